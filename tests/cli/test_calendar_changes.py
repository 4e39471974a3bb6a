from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner_provider.cli import calendar_changes
from planner_provider.graph.model import PlanGraph
from planner_provider.ledger.location import ENV_VAR
from planner_provider.ledger.rows import ChangeKind, CompiledPlan
from tests.cli.ledgers import NOW, LedgerCase, ago
from tests.cli.runner import planner
from tests.decide.calendars import nights
from tests.graph.plans import graph_of, small


@pytest.fixture(autouse=True)
def me(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_changes, "now", ago)
    monkeypatch.setattr(calendar_changes, "_who", lambda: "cli:dana")
    monkeypatch.setenv("AIRFLOW__PLANNER__OVERRIDE_USERS", "alice, bob")


@pytest.fixture
def case(here: Path, monkeypatch: pytest.MonkeyPatch) -> LedgerCase:
    case = LedgerCase(here / "planner.db")
    monkeypatch.setenv(ENV_VAR, case.url)
    company = nights().model_copy(update={"name": "company"})
    graph: PlanGraph = graph_of(small()).model_copy(
        update={"calendar": nights().model_copy(update={"requires": (company,)})}
    )
    kept = CompiledPlan("small", "d" * 64, graph.to_json(), "small.yaml", "e" * 64, NOW)
    case.ledger.remember_compiled([kept])
    return case


def squeezed(text: str) -> str:
    return " ".join(text.split())


def as_alice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_changes, "_who", lambda: "cli:alice")


def test_freeze(case: LedgerCase) -> None:
    ended = planner("calendar", "freeze", "nights", "--to", "2h", "--reason", "an incident")
    assert (ended.code, ended.err) == (0, "")
    assert squeezed(ended.out) == (
        "Calendar nights is frozen from 2026-03-29 01:00:00 to 2026-03-29 03:00:00 UTC, 2h 0m "
        "(change 1, by cli:dana). Plans by this calendar: small Plans that wait see it within a "
        "minute. To take it back: planner calendar withdraw 1"
    )
    (change,) = case.ledger.calendar_changes_of("nights")
    assert (change.kind, change.reason) == (ChangeKind.FREEZE, "an incident")
    trail = planner("audit", "show").out
    assert "calendar.freeze  cli:dana" in trail
    assert "reason=an incident" in trail


def test_a_calendar_that_another_one_needs(case: LedgerCase) -> None:
    ended = planner(
        "calendar", "freeze", "company", "--from", "2026-04-01T00:00+02:00",
        "--to", "2026-04-02T00:00Z", "-r", "x",
    )  # fmt: skip
    assert "from 2026-03-31 22:00:00 to 2026-04-02 00:00:00 UTC" in squeezed(ended.out)
    assert "small" in ended.out


def test_a_name_that_no_plan_knows(case: LedgerCase) -> None:
    wrong = planner("calendar", "freeze", "night", "--to", "2h", "--reason", "x")
    assert (wrong.code, wrong.out) == (2, "")
    assert "Nothing was written. Calendars of plans: company, nights" in squeezed(wrong.err)
    assert case.ledger.calendar_changes_of() == ()
    assert planner("calendar", "freeze", "night", "--to", "2h", "-r", "x", "--anyway").code == 0


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--to", "2026-04-01T00:00"], "names no time zone"),
        (["--to", "soon"], "neither a duration nor a moment"),
        (["--to", "2026-03-01T00:00Z"], "the end must lie after the beginning"),
        (["--from", "3h", "--to", "2h"], "before it begins"),
        (["--to", "2h", "--reason", " "], "--reason is empty"),
    ],
)
def test_wrong_use(case: LedgerCase, argv: list[str], words: str) -> None:
    reason = [] if "--reason" in argv else ["--reason", "x"]
    ended = planner("calendar", "freeze", "nights", *argv, *reason)
    assert (ended.code, ended.out) == (2, "")
    assert words in squeezed(ended.err)
    assert case.ledger.calendar_changes_of() == ()


def test_override_needs_a_permission_of_its_own(
    case: LedgerCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = planner("calendar", "override", "nights", "--until", "2h", "--reason", "x")
    assert (refused.code, refused.out) == (1, "")
    assert "cli:dana may not override calendars. Nothing was written" in squeezed(refused.err)
    assert "here: alice, bob" in squeezed(refused.err)
    as_alice(monkeypatch)
    assert planner("calendar", "override", "nights", "--until", "2h", "--reason", "x").code == 0
    (change,) = case.ledger.calendar_changes_of()
    assert (change.kind, change.who) == (ChangeKind.OVERRIDE, "cli:alice")
    assert "calendar.override  cli:alice" in planner("audit", "show").out


def test_nobody_may_override_where_nothing_is_set(
    case: LedgerCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__PLANNER__OVERRIDE_USERS")
    as_alice(monkeypatch)
    refused = planner("calendar", "override", "nights", "--until", "2h", "--reason", "x")
    assert refused.code == 1
    assert "here: nobody" in squeezed(refused.err)


def test_changes_and_withdraw(case: LedgerCase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert planner("calendar", "changes").out == "Nothing was changed that still matters.\n"
    as_alice(monkeypatch)
    planner("calendar", "freeze", "nights", "--to", "2h", "--reason", "an incident")
    shown = planner("calendar", "changes", "nights").out
    assert "1  freeze of nights: in force" in shown
    assert "an incident" in shown
    assert json.loads(planner("calendar", "changes", "--json").out)[0]["who"] == "cli:alice"
    monkeypatch.setattr(calendar_changes, "_who", lambda: "cli:mallory")
    refused = planner("calendar", "withdraw", "1")
    assert refused.code == 1
    assert "is a freeze by cli:alice; cli:mallory may not take it back" in squeezed(refused.err)
    monkeypatch.setattr(calendar_changes, "_who", lambda: "cli:bob")
    assert "taken back at 2026-03-29 01:00:00 UTC by cli:bob" in squeezed(
        planner("calendar", "withdraw", "1").out
    )
    assert "still matters" in planner("calendar", "changes").out
    assert (
        "taken back 2026-03-29 01:00:00 by cli:bob" in planner("calendar", "changes", "--past").out
    )
    assert planner("calendar", "withdraw", "7").code == 2


def test_who_types_is_not_a_matter_of_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for name in ("LOGNAME", "USER", "USERNAME"):
        monkeypatch.setenv(name, "alice")
    assert calendar_changes._who() != "cli:alice"


def test_a_run_that_waits_for_its_window_says_so(case: LedgerCase) -> None:
    key = case.pin("release-dddddddd-11111111", ago(hours=1))
    case.decide(key, "No window is on.", ago(minutes=50), kind="window")
    shown = squeezed(planner("show", key.plan_id).out)
    assert "It waits for its maintenance window. No window is on." in shown
    assert "`planner calendar changes`" in shown
