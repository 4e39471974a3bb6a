"""``planner calendar``: openings, reasons, cases and iCalendar files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import icalendar
import pytest

from planner_provider.cli import calendar_changes
from tests.cli.runner import planner

ROOT = Path(__file__).parents[2]
SPEC = """apiVersion: planner/v1
kind: Calendar
metadata: {name: nights}
spec:
  timezone: Europe/Berlin
  windows: [{days: [fri], from: "22:00", to: "04:00"}]
  freezes: [{from: 2026-12-25, to: 2026-12-25, reason: Christmas}]
  cutoff: 1h
---
apiVersion: planner/v1
kind: Plan
metadata: {name: patch, owner: team-payments}
spec:
  summary: Patch
  schedule: {calendar: nights}
  steps:
    - id: check
      http: {connection: sandbox}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    path = tmp_path / "nights.yaml"
    path.write_text(SPEC)
    return path


def test_next(spec: Path) -> None:
    ended = planner("calendar", "next", spec, "--count", "2", "--at", "2026-12-19T00:00")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "4h 0m   Sat 2026-12-19 00:00 (Fri 2026-12-18 23:00Z) to Sat 2026-12-19 04:00 (03:00Z)",
        "4h 0m   Sat 2026-12-26 00:00 (Fri 2026-12-25 23:00Z) to Sat 2026-12-26 04:00 (03:00Z)",
    ]
    told = json.loads(
        planner("calendar", "next", spec, "--at", "2026-12-19T00:00Z", "-f", "json").out
    )
    assert told == [
        {"start": "2026-12-18T21:00:00Z", "end": "2026-12-19T03:00:00Z", "seconds": 21600.0,
         "may_start": "2026-12-19T00:00:00Z"}
    ]  # fmt: skip


def test_next_that_never_comes(spec: Path) -> None:
    ended = planner("calendar", "next", spec, "--work", "7h")
    assert ended.code == 1
    assert "work of 7h never fits" in ended.err


def test_expand(spec: Path) -> None:
    ended = planner(
        "calendar", "expand", f"{spec}:nights", "--from", "2026-12-20", "--to", "2026-12-31"
    )
    assert ended.out.splitlines() == [
        "4h 0m   Sat 2026-12-26 00:00 (Fri 2026-12-25 23:00Z) to Sat 2026-12-26 04:00 (03:00Z)"
    ]


@pytest.mark.parametrize(
    ("moment", "state", "reason"),
    [
        ("2026-12-18T23:00", "is OPEN at", "Window 1 (Fri, 22:00 to 04:00 Europe/Berlin) is on"),
        ("2026-12-19T03:30", "is OPEN, BUT NOTHING NEW at", "the cutoff began"),
        ("2026-12-25T23:00", "is CLOSED at", "Freeze 1 (2026-12-25 to 2026-12-25"),
        ("2026-12-22T23:00", "is CLOSED at", "No window is on. The last one ended"),
    ],
)
def test_why(spec: Path, moment: str, state: str, reason: str) -> None:
    ended = planner("calendar", "why", spec, "--at", moment)
    assert state in ended.out.splitlines()[0]
    assert reason in ended.out.splitlines()[1]
    assert ended.code == 0


def test_check_passes_and_fails(tmp_path: Path, spec: Path) -> None:
    for name in ("window_cases.yaml", "window_cases_more.yaml"):
        ended = planner("calendar", "check", ROOT / "tests" / name)
        assert ended.code == 0
        assert " 0 failed" in ended.out.splitlines()[-1]
    cases = tmp_path / "cases.txt"
    cases.write_text(
        "version: 1\ncalendar: nights\ncases:\n"
        '- {id: good, query: {kind: is_open, at: "2026-12-18T22:00Z"}, expect: true}\n'
        '- {id: bad, query: {kind: is_open, at: "2026-12-25T22:00Z"}, expect: true}\n'
    )
    ended = planner("calendar", "check", cases, "--specs", spec)
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "ok    good",
        "FAIL  bad: expected true, got false",
        "2 cases: 1 passed, 1 failed",
    ]


def test_malformed_cases_are_shown_with_their_place(tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text(
        "version: 1\ncases:\n"
        "- {id: a, timezone: UTC, windows: [{days: [mo], from: '22:00', to: '02:00'}],\n"
        "   query: {kind: is_open}, expect: true}\n"
    )
    ended = planner("calendar", "check", cases)
    assert ended.code == 2
    assert f"{cases}:3:44: error PLN204: 'mo' is not one of" in ended.err
    assert f"{cases}:4:11: error PLN232: is_open needs `at`" in ended.err


def test_export_is_read_by_others(tmp_path: Path, spec: Path) -> None:
    target = tmp_path / "out.ics"
    for what in ([str(spec)], ["--plans", "--specs", str(spec)]):
        ended = planner(
            "calendar", "export", *what, "--from", "2026-12-01", "--to", "2027-01-01",
            "-o", target,
        )  # fmt: skip
        assert ended.code == 0, ended.err
        read = icalendar.Calendar.from_ical(target.read_text())
        starts = [str(event["DTSTART"].dt) for event in read.walk("VEVENT")]
        assert starts == [
            "2026-12-04 21:00:00+00:00", "2026-12-11 21:00:00+00:00",
            "2026-12-18 21:00:00+00:00", "2026-12-25 23:00:00+00:00",
        ]  # fmt: skip


def test_what_is_not_there(spec: Path) -> None:
    assert "there is no calendar nigths" in planner("calendar", "why", f"{spec}:nigths").err
    ended = planner("calendar", "next", spec, "--at", "soon")
    assert ended.code == 2
    assert "'soon' is not a moment" in ended.err


def test_what_was_frozen_by_hand_is_seen(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = planner("calendar", "why", spec, "--at", "2026-12-18T23:00")
    assert "nights is OPEN at" in before.out
    assert planner("ledger", "upgrade").code == 0
    monkeypatch.setattr(calendar_changes, "now", lambda: datetime(2026, 12, 18, tzinfo=UTC))
    frozen = planner(
        "calendar", "freeze", "nights", "--to", "2026-12-19T12:00Z", "--reason", "INC-7", "--anyway"
    )
    assert frozen.code == 0
    after = planner("calendar", "why", spec, "--at", "2026-12-18T23:00")
    assert "nights is CLOSED at" in after.out
    assert "INC-7" in after.out
    (opening,) = planner("calendar", "next", spec, "--at", "2026-12-18T23:00").out.splitlines()
    assert "2026-12-26" in opening


def test_a_ledger_that_cannot_be_read_is_told(spec: Path) -> None:
    ended = planner("calendar", "why", spec, "--ledger", "sqlite:////nowhere/planner.db")
    assert ended.code == 2
    assert "--ledger" in ended.err
