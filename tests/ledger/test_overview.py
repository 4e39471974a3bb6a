"""The overview: what it says of each kind of run, and that many cost no more than few."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from bench.ui_decisions import slo_decision
from planner_provider.graph.model import PlanGraph
from planner_provider.ledger import Ledger
from planner_provider.ledger.engine import make_engine
from planner_provider.ledger.journal import PART, Journal, StepStatus
from planner_provider.ledger.overview import Board, Overviews
from planner_provider.ledger.overview_rows import ActGroup
from planner_provider.ledger.plan_facts import PartFacts, PlanFacts, StepFacts
from planner_provider.ledger.rows import (
    Act,
    ActResult,
    ActRole,
    ApprovalRequest,
    CompiledPlan,
    Course,
    Hold,
    ItemState,
    Outcome,
    Throttle,
    WorkItem,
)
from planner_provider.ledger.run_detail import detail, locks_now
from planner_provider.ledger.run_lists import RunFilter
from planner_provider.ledger.run_now import RunNow
from planner_provider.ledger.run_steps import steps_of
from tests.graph.plans import graph_of, put, small, undo
from tests.ledger.cases import NOW, Run, act, later


def overviews(ledger: Ledger) -> Overviews:
    return Overviews(make_engine(ledger.url))


def board(ledger: Ledger, at: float = 1) -> Board:
    return overviews(ledger).board(later(at))


def compile_(ledger: Ledger, *steps: dict[str, Any], **spec: Any) -> PlanGraph:
    graph = graph_of(small(*steps, **spec))
    ledger.remember_compiled(
        [CompiledPlan(graph.name, graph.digest, graph.to_json(), "p.yaml", "s" * 64, NOW)]
    )
    return graph


def run_of(ledger: Ledger, graph: PlanGraph, run_id: str = "manual__1") -> Run:
    run = Run(ledger, run_id=run_id, plan=graph.name, digest=graph.digest).pin()
    run.lease("db://orders")
    return run


def begin(run: Run, step: str, **more: Any) -> Any:
    return run.begin(step, digest=run.key.digest, **more)


def only(found: Board) -> RunNow:
    (run,) = found.live
    return run


def kinds(found: Board) -> list[str]:
    return [item.kind for item in found.wanted]


# ---- what it says


def test_steps_of_a_run_under_way(ledger: Ledger) -> None:
    graph = compile_(ledger, put("s1", rollback=undo()), put("s2"), put("s3"), name="release")
    run = run_of(ledger, graph)
    run.do("s1", digest=graph.digest)
    begin(run, "s2", at=later(5))
    found = only(board(ledger, 9))
    assert (found.state, found.waits_for) == ("running", None)
    assert [(step.id, step.action, step.state) for step in found.steps] == [
        ("s1", "http", "done"),
        ("s2", "http", "acting"),
        ("s3", "http", "untouched"),
    ]
    first, second, third = found.steps
    assert (first.since, first.duration, first.task_id) == (NOW, timedelta(0), "execute.s1")
    assert (second.since, second.duration, second.tries) == (later(5), None, 1)
    assert (third.since, third.detail, third.progress) == (None, None, None)
    assert found.started_by == "a person"


def test_a_run_that_rolls_back(ledger: Ledger) -> None:
    graph = compile_(ledger, put("s1", rollback=undo()), put("s2"), name="release")
    run = run_of(ledger, graph)
    run.do("s1", digest=graph.digest)
    run.do("s2", ActResult.FAILED, digest=graph.digest)
    ledger.record_failing("release", "manual__1", "s2", actor="t", now=later(1))
    stopping = board(ledger, 2)
    assert (only(stopping).state, kinds(stopping)) == ("stopping", ["failing"])
    assert "s2 failed for good" in stopping.wanted[0].text
    run.wind_up(Course.UNDO)
    begin(run, "s1", role=ActRole.UNDO)
    undoing = only(board(ledger, 3))
    assert undoing.state == "rolling_back"
    assert [step.state for step in undoing.steps] == ["undoing", "failed"]


def test_what_a_run_waits_for(ledger: Ledger) -> None:
    graph = compile_(ledger, put("s1"), name="release", touches=[{"resource": "db://orders"}])
    run_of(ledger, graph, "manual__1")
    second = Run(ledger, run_id="manual__2", plan="release", digest=graph.digest).pin()
    ledger.ask_for_lease(second.key.plan_id, [Hold("db://orders")], actor="t", now=NOW)
    third = Run(ledger, run_id="manual__3", plan="release", digest=graph.digest).pin()
    request = ApprovalRequest(
        third.key.plan_id, "approve", graph.digest, "", None, NOW, None, json.dumps({"count": 1})
    )
    ledger.open_approval(request, "t", NOW)
    found = board(ledger)
    said = {run.run.key.run_id: (run.state, run.waits_for) for run in found.live}
    assert said == {
        "manual__1": ("running", None),
        "manual__2": ("waiting", "locks: db://orders"),
        "manual__3": ("waiting", "an approval (approve)"),
    }
    assert kinds(found) == ["approval", "lock"]
    assert (found.wanted[0].task_id, found.wanted[0].since) == ("approve", NOW)


def test_a_closed_window(ledger: Ledger) -> None:
    from planner_provider.decide.replay import decide
    from planner_provider.decide.windows import WindowInputs
    from tests.decide.calendars import nights

    run = Run(ledger).pin()
    _, closed = decide(WindowInputs(now=later(36_000), calendar=nights()))
    assert not closed.outcome.passes
    ledger.record_decision(closed, plan_id=run.key.plan_id, step=None, actor="t", now=NOW)
    found = board(ledger)
    assert only(found).state == "waiting"
    assert str(only(found).waits_for).startswith("its window. ")
    assert kinds(found) == ["window"]
    _, opened = decide(WindowInputs(now=NOW, calendar=nights()))
    assert opened.outcome.passes
    ledger.record_decision(opened, plan_id=run.key.plan_id, step=None, actor="t", now=NOW)
    assert (only(board(ledger)).state, kinds(board(ledger))) == ("running", [])


def test_budgets_and_a_breach(ledger: Ledger) -> None:
    run = Run(ledger).pin()

    def ask(bad: int) -> Board:
        decision = slo_decision(NOW, bad=bad)
        ledger.record_decision(decision, plan_id=run.key.plan_id, step="s1", actor="t", now=NOW)
        return board(ledger)

    (budget,) = only(ask(40)).budgets
    assert (budget.slo, budget.remaining, budget.burn_rate, budget.breached) == (
        "checkout-availability", 0.96, 0.04, False,
    )  # fmt: skip
    breached = ask(4_000)
    assert only(breached).budgets[0].breached
    assert only(breached).budgets[0].remaining == pytest.approx(-3)
    assert kinds(breached) == ["breach"]
    assert kinds(ask(40)) == []


def test_held_and_paused(ledger: Ledger) -> None:
    run = Run(ledger).pin()
    paused = json.dumps({"paused": {"who": "cli:bob", "reason": "lunch", "at": NOW.isoformat()}})
    ledger.begin_throttle(Throttle("fill", run.key.plan_id, 4, 1, 8, "t", NOW, paused))
    assert only(board(ledger)).waits_for == "throttle fill, paused by cli:bob: lunch"
    ledger.hold_run(run.key.plan_id, actor="ui:ada", reason="look first", now=NOW)
    found = board(ledger)
    assert (only(found).state, kinds(found)) == ("held", ["held"])
    assert found.wanted[0].text == "Held by ui:ada: look first"


def test_how_far_long_steps_are(ledger: Ledger) -> None:
    run = Run(ledger).pin()
    states = [*[ItemState.DONE] * 4, ItemState.FAILED, ItemState.ACTING, ItemState.WAITING]
    for step, waves in (("patch", (1, 1, 1, 1, 2, 2, 3)), ("fill", (None,) * 7)):
        ledger.add_items(
            WorkItem(
                run.key.plan_id, step, f"i{n}", n, wave=waves[n], state=state,
                started_at=NOW, ended_at=later(100) if n < 5 else None,
            )
            for n, state in enumerate(states)
        )  # fmt: skip
        run.lease("db://x") if step == "patch" else None
        run.begin(step)
    patch, fill = only(board(ledger)).steps
    assert patch.progress is not None
    assert fill.progress is not None
    assert (patch.progress.kind, patch.progress.label) == ("wave", "wave 2 of 3, 4 of 7 targets")
    assert (fill.progress.kind, fill.progress.label) == ("partitions", "4 of 7 partitions")
    for progress in (patch.progress, fill.progress):
        assert (progress.done, progress.total, progress.failed) == (4, 7, 1)
        assert progress.eta == later(140).replace(microsecond=0), "5 in 100 s, so 2 in 40 s"


def test_what_ended(ledger: Ledger) -> None:
    ends = [Outcome.SUCCEEDED, Outcome.ROLLBACK_FAILED, Outcome.FAILED]
    for number, outcome in enumerate(ends):
        run = Run(ledger, run_id=f"scheduled__{number}", plan=f"p{number}").pin()
        ledger.finish_run(run.key, outcome, "because", actor="t", now=later(number))
    found = board(ledger, 10)
    assert [item.state for item in found.recent] == ["failed", "rollback_failed", "succeeded"]
    assert {item.started_by for item in found.recent} == {"the schedule"}
    assert found.ended_7d == {
        ("p0", "succeeded"): 1,
        ("p1", "rollback_failed"): 1,
        ("p2", "failed"): 1,
    }
    assert kinds(found) == ["rollback_failed"]
    week = 7 * 86_400
    assert board(ledger, week + 1.5).ended_7d == {("p2", "failed"): 1}
    again = Run(ledger, run_id="manual__9", plan="p1").pin()
    ledger.finish_run(again.key, Outcome.SUCCEEDED, "", actor="t", now=later(5))
    assert kinds(board(ledger, 10)) == [], "a run that succeeds after it puts it right"


def test_what_is_due(ledger: Ledger) -> None:
    cron = {"cron": "30 3 * * *", "timezone": "Europe/Berlin"}
    touches = [{"resource": "db://orders"}]
    compile_(ledger, put("s1"), name="a", schedule=cron, touches=touches)
    compile_(ledger, put("s1"), name="b", schedule=cron, touches=touches)
    compile_(ledger, put("s1"), name="c", schedule=cron, touches=[{**touches[0], "mode": "shared"}])
    compile_(ledger, put("s1"), name="d", schedule=cron, touches=[{"resource": "db://x"}])
    compile_(ledger, put("s1"), name="by-hand", touches=touches)
    found = board(ledger).due
    assert [(item.facts.plan, item.conflicts) for item in found] == [
        ("a", ("b", "c")), ("b", ("a", "c")), ("c", ("a", "b")), ("d", ()),
    ]  # fmt: skip
    assert {item.opens_at.isoformat() for item in found} == {"2026-03-29T01:30:00+00:00"}
    assert {item.closes_at for item in found} == {None}
    run = Run(ledger, plan="by-hand").pin()
    found = board(ledger).due
    assert (found[0].conflicts, found[3].conflicts) == (("b", "by-hand", "c"), ())
    ledger.finish_run(run.key, Outcome.FAILED, "", actor="t", now=NOW)


def test_due_by_calendar_with_what_people_changed(ledger: Ledger) -> None:
    from planner_provider.ledger.rows import CalendarChange, ChangeKind
    from tests.decide.calendars import nights

    graph = graph_of(small(put("s1"), name="nightly"))
    graph = graph.model_copy(
        update={"calendar": nights(), "schedule": _schedule("nights", needs="1h")}
    )
    ledger.remember_compiled(
        [CompiledPlan("nightly", graph.digest, graph.to_json(), "p.yaml", "s" * 64, NOW)]
    )
    reader = Overviews(make_engine(ledger.url), override_users=["ada"])
    at = later(10 * 3_600)
    (plain,) = reader.board(at).due
    assert plain.closes_at is not None
    assert (plain.opens_at.isoformat(), plain.closes_at.isoformat()) == (
        "2026-03-29T20:00:00+00:00", "2026-03-30T00:00:00+00:00",
    )  # fmt: skip

    def change(kind: ChangeKind, start: float, end: float, who: str) -> None:
        ledger.add_calendar_change(
            CalendarChange(0, "nights", kind, later(start), later(end), "x", who, NOW)
        )

    change(ChangeKind.FREEZE, 11 * 3_600, 30 * 3_600, "cli:bob")
    (frozen,) = reader.board(at).due
    assert frozen.opens_at.isoformat() == "2026-03-30T20:00:00+00:00"
    change(ChangeKind.OVERRIDE, 12 * 3_600, 14 * 3_600, "ui:eve")
    assert reader.board(at).due == (frozen,), "eve may not override"
    change(ChangeKind.OVERRIDE, 12 * 3_600, 14 * 3_600, "ui:ada")
    assert reader.board(at).due[0].opens_at == later(12 * 3_600)


def _schedule(calendar: str, **more: Any) -> Any:
    from planner_provider.spec.plan import Schedule

    return Schedule.model_validate({"calendar": calendar, **more})


def test_a_plan_that_changed_is_read_again(ledger: Ledger) -> None:
    first = compile_(ledger, put("s1"), name="release", summary="old")
    reader = overviews(ledger)
    run_of(ledger, first)
    assert [step.id for step in only(reader.board(NOW)).steps] == ["s1"]
    compile_(ledger, put("s1"), put("s2"), name="release", summary="new")
    found = only(reader.board(NOW))
    assert [step.id for step in found.steps] == ["s1"], "of the version that it is bound to"
    assert found.facts is not None
    assert found.facts.summary == "old"
    facts = reader.plans.of("release")
    assert facts is not None
    assert facts.summary == "new"
    fresh = only(overviews(ledger).board(NOW))
    assert (fresh.steps, fresh.facts and fresh.facts.summary) == ((), "new")


def test_what_another_release_wrote_is_left_out(ledger: Ledger) -> None:
    graph = compile_(ledger, put("s1"), name="good")
    ledger.remember_compiled([CompiledPlan("odd", "x" * 64, '{"graph": 9}', "f", "s" * 64, NOW)])
    reader = overviews(ledger)
    assert reader.dag_ids() == {graph.name}
    assert [facts.plan for facts in reader.plans.newest()] == ["good"]


# ---- one run, locks


def test_one_run_and_the_locks(ledger: Ledger) -> None:
    graph = compile_(ledger, put("s1", rollback=undo()), name="release")
    run = run_of(ledger, graph)
    run.do("s1", digest=graph.digest)
    ledger.finish_run(run.key, Outcome.SUCCEEDED, "Every step is done.", actor="t", now=later(9))
    reader = overviews(ledger)
    found = detail(reader, run.key.plan_id, later(10))
    assert found is not None
    assert [(step.id, step.state) for step in found.now.steps] == [("s1", "done")]
    assert found.now.state == "succeeded"
    assert found.advice[0] == "Nothing to do: the change is in."
    assert "still holds its locks" in found.advice[1]
    assert {blocker.resource for blocker in found.held} == {"db://orders", "plan://release"}
    assert found.audit[0].what == "run.finished"
    assert detail(reader, "nothing", NOW) is None
    with reader.reading() as connection:
        assert {b.plan_id for b in locks_now(connection, NOW).held} == {run.key.plan_id}


# ---- what it costs


def filled(ledger: Ledger, count: int) -> Overviews:
    graph = compile_(ledger, put("s1", rollback=undo()), put("s2"), name="release")
    for number in range(count):
        run = Run(ledger, run_id=f"m__{number}", plan="release", digest=graph.digest).pin()
        holds = [Hold(f"db://{number}")]
        ledger.take_lease(run.key.plan_id, holds, actor="t", now=NOW)
        run.do("s1", digest=graph.digest)
        begin(run, "s2")
        ledger.record_decision(
            slo_decision(NOW, bad=40), plan_id=run.key.plan_id, step="s1", actor="t", now=NOW
        )
        done = Run(ledger, run_id=f"d__{number}", plan="release", digest=graph.digest).pin()
        ledger.finish_run(done.key, Outcome.FAILED, "", actor="t", now=NOW)
    return overviews(ledger)


def statements(reader: Overviews, what: Any) -> int:
    found: list[str] = []

    def note(*given: Any) -> None:
        found.append(given[2])

    event.listen(reader._engine, "before_cursor_execute", note)
    try:
        what()
    finally:
        event.remove(reader._engine, "before_cursor_execute", note)
    return len(found)


def test_statements_do_not_grow_with_the_runs(ledger: Ledger) -> None:
    counts = []
    for more in (5, 45):
        reader = filled(ledger, more)
        first = statements(reader, lambda r=reader: r.board(later(1)))
        again = statements(reader, lambda r=reader: r.board(later(2)))
        page = statements(reader, lambda r=reader: r.page(RunFilter(), 100, later(2)))
        one = reader.board(later(2)).live[0].run.plan_id
        of_one = statements(reader, lambda r=reader, p=one: detail(r, p, later(2)))
        assert len(reader.board(later(2)).live) == (5 if more == 5 else 45)
        counts.append((first, again, page, of_one))
        for run in reader.board(later(2)).live:
            ledger.finish_run(run.run.key, Outcome.FAILED, "", actor="t", now=NOW)
    assert counts[0] == counts[1]
    assert counts[0][1] < counts[0][0], "what cannot change is not read again"


def test_a_board_that_has_not_changed_is_equal(ledger: Ledger) -> None:
    reader = filled(ledger, 3)
    first = reader.board(later(1))
    assert reader.board(later(90)) == first
    ledger.hold_run(first.live[0].run.plan_id, actor="ui:a", reason="x", now=NOW)
    assert reader.board(later(90)) != first


# ---- the same as the journal says

SHOWN = {
    StepStatus.UNTOUCHED: {"untouched"},
    StepStatus.DONE: {"done"},
    StepStatus.UNDONE: {"undone"},
    StepStatus.PARTLY_UNDONE: {"undoing"},
    StepStatus.FAILED: {"failed"},
    StepStatus.UNDO_FAILED: {"failed"},
    StepStatus.UNKNOWN: {"unknown"},
    StepStatus.UNDOING: {"undoing"},
    StepStatus.ACTING: {"acting", "waiting"},
}
RESULTS = st.sampled_from([ActResult.DONE, ActResult.FAILED, ActResult.UNKNOWN, None])
NAMES = st.sampled_from(["a", "b", "c/1", "c/2"])
ACTS = st.lists(st.tuples(NAMES, st.booleans(), RESULTS), max_size=10)


def groups_of(acts: list[Act]) -> list[ActGroup]:
    """What the statement gives for acts of steps that are not mapped."""
    last = {(item.step, item.role): item for item in acts}
    return [
        ActGroup(
            "p", item.step, item.role, item.result, parked=item.parked_at is not None, count=1,
            newest=item.id, begun_at=item.intent_at, last_begun_at=item.intent_at,
            ended_at=item.ended_at, tries=item.try_number, detail=None,
        )
        for item in last.values()
    ]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(ACTS)
def test_steps_stand_where_the_journal_says(given_acts: list[tuple[str, bool, Any]]) -> None:
    acts: list[Act] = []
    for number, (name, undoing, result) in enumerate(given_acts, 1):
        whole = name.partition(PART)[0]
        if not undoing:
            acts.append(act(number, name, result=result))
        elif any(item.step.partition(PART)[0] == whole for item in acts):  # what began is undone
            acts.append(act(number, whole, ActRole.UNDO, result=result))
    journal = Journal(acts)
    for step in steps_of(None, groups_of(acts), (), live=True):
        assert step.state in SHOWN[journal[step.id].status], journal[step.id]


CANARY = StepFacts(
    "shift", "canary", "Shift", "execute.shift",
    tuple(
        PartFacts(name, weight, timedelta(minutes=10) if weight else None, None, False)
        for name, weight in (("deploy", None), ("w10", 10), ("w50", 50), ("promote", None))
    ),
)  # fmt: skip
PLAN = PlanFacts("p", "d", "f", NOW, "s", "o", None, (CANARY,), {})


def canary_group(
    id_: int, part: str, result: ActResult | None, role: ActRole = ActRole.STEP
) -> Any:
    name = f"shift{PART}{part}" if part else "shift"
    ended = later(id_ + 1) if result else None
    return ActGroup(
        "p", name, role, result, parked=result is None and role is ActRole.STEP, count=1,
        newest=id_, begun_at=later(id_), last_begun_at=later(id_), ended_at=ended, tries=1,
        detail=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("begun", "state", "done", "label", "task"),
    [
        ([("deploy", ActResult.DONE)], "acting", 0, "0% of the traffic", "execute.shift.deploy"),
        ([("deploy", ActResult.DONE), ("w10", None)], "acting", 10, "10% of the traffic",
         "execute.shift.w10"),
        ([("w10", ActResult.DONE), ("w50", None)], "acting", 50, "50% of the traffic",
         "execute.shift.w50"),
        ([("deploy", ActResult.DONE), ("w10", ActResult.DONE), ("w50", ActResult.DONE),
          ("promote", ActResult.DONE)], "done", 100, "all of the traffic", "execute.shift.promote"),
    ],
)  # fmt: skip
def test_a_canary(
    begun: list[tuple[str, Any]], state: str, done: int, label: str, task: str
) -> None:
    groups = [canary_group(n, part, result) for n, (part, result) in enumerate(begun, 1)]
    (step,) = steps_of(PLAN, groups, (), live=True)
    assert step.progress is not None
    assert (step.state, step.progress.done, step.progress.label, step.task_id) == (
        state, done, label, task,
    )  # fmt: skip
    if label.startswith("10%"):
        assert step.progress.eta == later(2) + timedelta(minutes=20)


def test_a_canary_that_was_taken_back() -> None:
    groups = [canary_group(1, "deploy", ActResult.DONE), canary_group(2, "w10", ActResult.FAILED)]
    (step,) = steps_of(PLAN, groups, (), live=False)
    assert (step.state, step.progress and step.progress.done) == ("failed", 10)
    groups.append(canary_group(3, "", ActResult.DONE, ActRole.UNDO))
    (step,) = steps_of(PLAN, groups, (), live=False)
    assert step.progress is not None
    assert (step.state, step.progress.done, step.progress.label) == ("undone", 0, "taken back")
