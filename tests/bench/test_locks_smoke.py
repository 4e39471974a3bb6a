from __future__ import annotations

import json

import pytest

from bench import locks
from bench.locks import Sample


def test_it_measures_and_reports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "postgres_programs", lambda: None)
    assert locks.run((1, 2), rounds=10, as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["skipped"] == ["postgresql: not installed"]
    assert [(row["scenario"], row["contenders"]) for row in report["rows"]] == [
        ("apart", 1), ("same", 1), ("apart", 2), ("same", 2),
    ]  # fmt: skip
    for row in report["rows"]:
        assert row["acquire"]["count"] == row["release"]["count"] == 10
        assert 0 < row["acquire"]["p50"] <= row["acquire"]["p99"]
        assert row["baseline"]["p50"] > 0
        assert (row["handover"] is not None) == (
            row["scenario"] == "same" and row["contenders"] > 1
        )
    assert report["summary"]["ratio_p50_max"] == max(row["ratio_p50"] for row in report["rows"])


def test_the_hundredth_value_is_the_slowest_and_the_middle_is_the_middle() -> None:
    times = locks._times([float(n) for n in range(100, 0, -1)])
    assert (times.p50, times.p99, times.count) == (50.0, 99.0, 100)
    assert locks._times([7.0]).p99 == 7.0


def test_handover_is_from_giving_back_to_having() -> None:
    samples = [Sample(0, 0, 3.0, 4.0), Sample(0, 0, 1.0, 2.0), Sample(0, 0, 4.5, 5.0)]
    assert locks._handover(samples).p50 == 500.0
    assert locks._handover(samples).p99 == 1000.0
