from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from planner_provider.graph.approvals import ApprovalRule
from planner_provider.graph.build import build_graph
from planner_provider.ledger.rows import ActResult, CompiledPlan, Outcome
from planner_provider.spec.folder import LoadOptions, SourceFile, load
from tests.cli.ledgers import DIGEST, LedgerCase, ago
from tests.cli.runner import GOOD, planner

ID = "release-dddddddd-11111111"


@pytest.fixture
def case(ledger_for: Callable[..., LedgerCase]) -> LedgerCase:
    return ledger_for("show")


def squeezed(*argv: str) -> str:
    ended = planner("show", *argv)
    assert ended.code == 0, ended.err
    return " ".join(ended.out.split())


def test_the_story_of_a_run_that_was_rolled_back_in_part(case: LedgerCase) -> None:
    key = case.pin(ID, ago(minutes=30), by="dana", version="1.4", n=3)
    case.approve(key, ago(minutes=29))
    case.lock(key, ago(minutes=28), "db://orders")
    case.act(key, "deploy", ago(minutes=27))
    case.act(key, "shift/w5", ago(minutes=25), ActResult.FAILED, detail="503 from the router")
    case.decide(key, "Only 3 events in 5 min; 100 are needed.", ago(minutes=24))
    case.roll_back(key, ["shift"], ago(minutes=23))
    case.finish(key, Outcome.ROLLBACK_FAILED, "Left changed: deploy.", ago(minutes=20))
    text = squeezed(ID)
    for words in (
        "Outcome rollback_failed at 2026-03-29 00:40:00 UTC, after 10m 0s",
        "Reason Left changed: deploy.",
        "Plan release, version dddddddd",
        f"Airflow DAG release, run manual__{ID}",
        "Started 2026-03-29 00:30:00 UTC by dana",
        'Parameters version="1.4", n=3',
        "deploy done 00:33:30",
        "shift/w5 undone",
        "step shift/w5 try 1 failed, 30s",
        "undo shift try 1 done, 30s",
        "#1 00:36:00 slo_gate gate: hold (inconclusive). Only 3 events in 5 min; 100 are needed.",
        "approve open, asked 00:31:00 for dana",
        "yes by kim through airflow: looks good",
        "HELD since 00:32:00, being wound up since 00:37:00, decided to undo: db://orders",
        "Look now. By the journal there is left: deploy (done). Put it right by hand",
        f"planner locks --release {ID}",
    ):
        assert words in text, words
    lines = planner("show", ID).out.splitlines()
    assert max(map(len, lines)) <= 80


def test_json_has_the_same(case: LedgerCase) -> None:
    key = case.pin(ID, ago(minutes=30), n=3)
    case.approve(key, ago(minutes=29))
    case.lock(key, ago(minutes=28))
    case.act(key, "deploy", ago(minutes=27))
    case.decide(key, "Few.", ago(minutes=24))
    said = json.loads(planner("show", ID, "--json").out)
    assert (said["state"], said["outcome"], said["parameters"]) == ("running", None, {"n": 3})
    assert said["steps"] == [{"step": "deploy", "status": "done"}]
    assert said["acts"][0]["intent_at"] == "2026-03-29T00:33:00+00:00"
    assert said["decisions"][0]["verdict"]["reasons"][0]["text"] == "Few."
    assert said["approvals"][0]["answers"][0]["user"] == "kim"
    assert said["leases"][0]["holds"] == [{"resource": "plan://release", "mode": "exclusive"}]
    assert said["next"]


def test_an_answer_that_does_not_count_is_told_as_one(case: LedgerCase) -> None:
    key = case.pin(ID, ago(minutes=30))
    rule = ApprovalRule(approvers=("user:lee",), users=("lee",), timeout=timedelta(hours=1))
    case.approve(key, ago(minutes=29), rule.model_dump_json(exclude_defaults=True))
    said = planner("show", ID).out
    assert "yes by kim through airflow: looks good" in said
    assert "which does not count: they are no approver." in said


def test_steps_that_have_not_begun_come_from_the_plan_of_that_version(case: LedgerCase) -> None:
    (loaded,) = load((SourceFile("good.yaml", GOOD.encode()),), LoadOptions()).plans
    graph = build_graph(loaded, load((), LoadOptions()).catalog)
    case.pin("good-dddddddd-11111111", ago(minutes=3))
    assert "None has begun" in squeezed("good")
    kept = CompiledPlan("good", DIGEST, graph.to_json(), "good.yaml", "s" * 64, ago())
    case.ledger.remember_compiled([kept])
    assert "put has not begun" in squeezed("good")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.SUCCEEDED, "Nothing to do: the change is in."),
        (Outcome.ROLLED_BACK, "Nothing is left to put right."),
        (Outcome.FAILED, "Nothing was changed. Mend what the reason says"),
        (Outcome.REJECTED, "Talk to whoever said no"),
        (Outcome.EXPIRED, "approve it in time"),
        (Outcome.BLOCKED, "has passed, start a new run"),
        (Outcome.ABORTED, "when the work may go on"),
        (Outcome.ROLLBACK_FAILED, "Look now."),
    ],
)
def test_every_outcome_has_its_advice(case: LedgerCase, outcome: Outcome, words: str) -> None:
    key = case.pin(ID, ago(minutes=30))
    case.finish(key, outcome, "Why.", ago())
    assert words in squeezed(ID)


def test_what_a_failed_run_left_is_named(case: LedgerCase) -> None:
    key = case.pin(ID, ago(minutes=30))
    case.lock(key, ago(minutes=28))
    case.act(key, "deploy", ago(minutes=27))
    case.finish(key, Outcome.FAILED, "Left changed: deploy.", ago())
    assert "Look whether what is left may stay: deploy (done)." in squeezed(ID)


def test_a_run_that_is_under_way(case: LedgerCase) -> None:
    key = case.pin(ID, ago(minutes=30))
    assert "Nothing acts at this moment." in squeezed(ID)
    case.lock(key, ago(minutes=28))
    begun = case.begin(key, "bake", ago(seconds=9))
    assert "its last sign of life was less than 10 s ago" in squeezed(ID)
    assert begun.act is not None
    case.ledger.park_act(begun.act.id, now=ago(seconds=5))
    text = squeezed(ID)
    assert "bake waiting" in text
    assert "no process acts on it" in text
    assert f"planner abort {ID}" in text
    case.ledger.request_abort(ID, actor="t", reason="wrong version", now=ago())
    text = squeezed(ID)
    assert "Outcome being aborted" in text
    assert "Aborted 2026-03-29 01:00:00 UTC: wrong version" in text
    assert "A person stopped it." in text


def test_a_run_that_waits_for_locks(case: LedgerCase) -> None:
    case.lock(case.pin("orders-dddddddd-22222222", ago(hours=1)), ago(hours=1), "db://orders")
    case.wait_for(case.pin(ID, ago(minutes=5)), ago(seconds=30), "db://orders")
    text = squeezed(ID)
    assert "waits for 30s for db://orders (exclusive)" in text
    assert "`planner locks` says who holds them." in text


def test_a_beginning_must_mean_one_run(case: LedgerCase) -> None:
    case.pin(ID, ago())
    case.pin("release-dddddddd-12222222", ago())
    assert "release-dddddddd-11111111" in squeezed("release-dddddddd-11")
    ended = planner("show", "release-dddddddd-1")
    assert ended.code == 2
    assert "is the beginning of several plan IDs" in ended.err
    ended = planner("show", "release_dddddddd-1%")
    assert "no run has a plan ID" in ended.err
    assert planner("show", "").code == 2
