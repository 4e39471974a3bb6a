"""How urgent it is to patch a target, by what a scanner found on it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_YES = frozenset({"true", "yes", "y", "1", "kev"})


class FindingError(ValueError):
    """A record of a report cannot be read; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One vulnerability of one target."""

    target: str
    cve: str
    cvss: float
    """From 0 to 10."""
    kev: bool = False
    """Known to be exploited."""
    since: datetime | None = None
    """Since when the target is exposed."""


@dataclass(frozen=True, slots=True)
class Severity:
    """The findings of one target, taken together."""

    kev: bool = False
    cvss: float = 0.0
    """The highest."""
    since: datetime | None = None
    """The earliest."""
    cves: tuple[str, ...] = ()
    """Sorted."""

    @property
    def rank(self) -> tuple[int, float]:
        """Sorts the most urgent first: known to be exploited, then by CVSS."""
        return (0 if self.kev else 1, -self.cvss)


NOTHING_FOUND = Severity()


def severities(findings: Iterable[Finding], cves: Iterable[str] = ()) -> dict[str, Severity]:
    """The severity of each target that has findings. With ``cves``, only these count."""
    wanted = frozenset(cves)
    of_target: dict[str, list[Finding]] = {}
    for finding in findings:
        if not wanted or finding.cve in wanted:
            of_target.setdefault(finding.target, []).append(finding)
    return {
        target: Severity(
            kev=any(item.kev for item in found),
            cvss=max(item.cvss for item in found),
            since=min((item.since for item in found if item.since), default=None),
            cves=tuple(sorted({item.cve for item in found if item.cve})),
        )
        for target, found in of_target.items()
    }


def read_finding(record: Mapping[str, Any], names: Mapping[str, str], number: int) -> Finding:
    """Read one record; ``names`` are its fields by what they mean.

    Raises ``FindingError``: a finding that cannot be read might be the urgent one.
    """
    target = str(record.get(names["target"]) or "").strip()
    if not target:
        raise FindingError(f"finding {number} names no target (field '{names['target']}')")
    return Finding(
        target=target,
        cve=str(record.get(names["cve"]) or "").strip(),
        cvss=_cvss(record.get(names["cvss"]), number),
        kev=str(record.get(names["kev"]) or "").strip().lower() in _YES,
        since=_moment(record.get(names["since"]), number),
    )


def _cvss(value: Any, number: int) -> float:
    if value is None or value == "":
        return 0.0
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not 0 <= score <= 10:
        raise FindingError(f"finding {number} has the CVSS {value!r}, not a number from 0 to 10")
    return score


def _moment(value: Any, number: int) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise FindingError(
            f"finding {number} is there since {value!r}, which is not a time such as "
            "2026-11-01T00:00Z"
        ) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
