from __future__ import annotations

import getpass
import json
from collections.abc import Callable

import pytest

from planner_provider.ledger.rows import Outcome, PlanRun
from tests.cli.ledgers import LedgerCase, ago
from tests.cli.runner import planner

ID = "release-dddddddd-11111111"


@pytest.fixture
def case(ledger_for: Callable[..., LedgerCase]) -> LedgerCase:
    case = ledger_for("hold", "show", "history")
    case.lock(case.pin(ID, ago(minutes=9)), ago(minutes=5))
    return case


def run_of(case: LedgerCase) -> PlanRun:
    run = case.ledger.run(ID)
    assert run is not None
    return run


def words(text: str) -> str:
    return " ".join(text.split())


def test_hold_and_resume(case: LedgerCase) -> None:
    run = run_of(case)
    case.act(run.key, "deploy", ago(minutes=4))
    case.begin(run.key, "bake", ago(minutes=2))
    ended = planner("hold", "release", "--reason", " lag rises ")
    assert (ended.code, ended.err) == (0, "")
    told = words(ended.out)
    assert f"The run {ID} is held since 2026-03-29 01:00:00 UTC." in told
    assert "What acts now goes on to the end" in told
    assert "after 2026-04-01 00:51:00 UTC no step begins" in told
    assert f"planner resume {ID}" in told
    who = f"cli:{getpass.getuser()}"
    assert (run_of(case).held_by, run_of(case).held_reason) == (who, "lag rises")

    ended = planner("resume", "release", "--reason", "lag is gone")
    assert (ended.code, ended.err) == (0, "")
    assert f"{who} had held it since 2026-03-29 01:00:00 UTC" in words(ended.out)
    assert run_of(case).held_at is None
    held, resumed = case.ledger.audit_of(ID)[-2:]
    assert (held.what, held.actor, held.detail) == ("run.held", who, {"reason": "lag rises"})
    assert (resumed.what, resumed.actor) == ("run.resumed", who)
    assert resumed.detail["reason"] == "lag is gone"


def test_what_others_say_of_it(case: LedgerCase) -> None:
    case.ledger.hold_run(ID, actor="ada", reason="Lag rises.", now=ago(minutes=1))
    shown = words(planner("show", ID).out)
    assert "Outcome held, for 9m" in shown
    assert "Held 2026-03-29 00:59:00 UTC by ada: Lag rises." in shown
    assert "ada holds this run since 2026-03-29 00:59:00 UTC: Lag rises. Nothing new" in shown
    assert f"To let it go on, by 2026-04-01 00:51:00 UTC: `planner resume {ID}`." in shown
    told = json.loads(planner("show", ID, "--json").out)
    assert (told["state"], told["held_by"], told["held_reason"]) == ("held", "ada", "Lag rises.")
    listed = words(planner("history").out)
    assert "held" in listed
    assert "ada holds this run since" in listed


def test_twice_is_harmless(case: LedgerCase) -> None:
    case.ledger.hold_run(ID, actor="ada", reason="Lag rises.", now=ago(minutes=1))
    ended = planner("hold", ID, "--reason", "other")
    assert ended.code == 0
    assert "was held already: ada holds this run since" in words(ended.out)
    assert run_of(case).held_by == "ada"
    planner("resume", ID)
    ended = planner("resume", ID)
    assert (ended.code, ended.out) == (0, f"Nobody holds the run {ID}. Nothing was changed.\n")


@pytest.mark.parametrize("command", ["hold", "resume"])
@pytest.mark.parametrize("how", ["ended", "stopped"])
def test_a_run_that_is_over(case: LedgerCase, command: str, how: str) -> None:
    if how == "ended":
        case.finish(run_of(case).key, Outcome.SUCCEEDED, "Done.", ago(minutes=2))
    else:
        case.ledger.request_abort(ID, actor="t", reason=None, now=ago(minutes=2))
    ended = planner(command, ID, "--reason", "x")
    assert (ended.code, ended.out) == (1, "")
    assert f"There is nothing to {command}" in words(ended.err)
    assert run_of(case).held_at is None


@pytest.mark.parametrize(
    ("prepare", "said"),
    [("late", "was over at 2026-03-29 00:59:59 UTC"), ("failing", "A step of it has failed")],
)
def test_what_resuming_cannot_do(case: LedgerCase, prepare: str, said: str) -> None:
    run = run_of(case)
    if prepare == "late":
        case.ledger.pin_run(
            run.key, expires_at=ago(seconds=1), parameters={}, actor="t", now=ago(minutes=9)
        )
    else:
        case.ledger.record_failing(
            run.key.dag_id, run.key.run_id, "deploy", actor="t", now=ago(minutes=1)
        )
    case.ledger.hold_run(ID, actor="ada", reason="why", now=ago(minutes=1))
    told = words(planner("resume", ID).out)
    assert said in told
    assert "is rolled back" in told


@pytest.mark.parametrize("argv", [[ID], [ID, "--reason", " "], ["nope", "-r", "x"]])
def test_wrong_use(case: LedgerCase, argv: list[str]) -> None:
    ended = planner("hold", *argv)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    assert run_of(case).held_at is None
