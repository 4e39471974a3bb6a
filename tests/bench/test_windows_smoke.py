"""The benchmark of windows runs, and all three engines agree. Its timings are not judged here."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("recurring_ical_events")

from bench import windows


def test_it_runs_and_all_agree(capsys: pytest.CaptureFixture[str]) -> None:
    assert windows.run(windows.Size(moments=5, slow_moments=1, years=1), as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["rule"] for row in report["rows"]] == ["daily", "weekly", "monthly", "yearly"]
    assert report["summary"]["agree"] is True
