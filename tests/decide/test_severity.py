from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from planner_provider.decide.severity import FindingError, read_finding, severities

NAMES = {"target": "host", "cve": "id", "cvss": "score", "kev": "kev", "since": "first_seen"}


def test_findings_of_a_target_are_taken_together() -> None:
    records: list[dict[str, Any]] = [
        {"host": "a", "id": "CVE-2026-1000", "score": "7.5", "kev": "", "first_seen": "2026-11-03"},
        {"host": "a", "id": "CVE-2026-1001", "score": 9.8, "kev": True,
         "first_seen": "2026-11-01T12:00:00+02:00"},
        {"host": "b", "id": "CVE-2026-1000", "score": None, "kev": "no", "first_seen": None},
    ]  # fmt: skip
    found = [read_finding(record, NAMES, n) for n, record in enumerate(records, 1)]
    both = severities(found)
    assert (both["a"].kev, both["a"].cvss, both["a"].cves) == (
        True, 9.8, ("CVE-2026-1000", "CVE-2026-1001"),
    )  # fmt: skip
    assert both["a"].since == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert (both["b"].kev, both["b"].cvss, both["b"].since) == (False, 0.0, None)
    assert both["a"].rank < both["b"].rank
    only = severities(found, ["CVE-2026-1000"])
    assert (only["a"].kev, only["a"].cvss) == (False, 7.5)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"host": "", "score": 5}, "finding 3 names no target"),
        ({"host": "a", "score": "high"}, "CVSS 'high'"),
        ({"host": "a", "score": 11}, "CVSS 11"),
        ({"host": "a", "score": "nan"}, "CVSS 'nan'"),
        ({"host": "a", "first_seen": "last week"}, "not a time"),
    ],
)
def test_a_finding_that_cannot_be_read_is_not_passed_over(
    record: dict[str, object], why: str
) -> None:
    with pytest.raises(FindingError, match=why):
        read_finding(record, NAMES, 3)
