from __future__ import annotations

from datetime import timedelta

import pytest

from planner_provider.graph.contacts import Contact, ContactRoute
from planner_provider.graph.model import PlanGraph
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import CompiledPlan, Outcome
from planner_provider.notifications.events import Event
from planner_provider.notifications.letter import Letter
from planner_provider.notifications.looking import SENDER, look
from planner_provider.notifications.outbox import send_left
from planner_provider.notifications.plans import (
    Audience,
    audience_of,
    note_end,
    note_holds,
    note_start,
)
from planner_provider.spec.plan import Ticket
from tests.ledger.cases import NOW, Run, later
from tests.notifications.deliveries import Deliveries
from tests.notifications.deliveries import deliveries as deliveries


@pytest.fixture
def compiled(ledger: Ledger) -> None:
    graph = PlanGraph(
        name="release", owner="team-shop", summary="Release {{ params.version }}", tasks=(),
        edges=(), runbook="https://runbooks.example.com/release",
        contacts=(
            Contact(team="team-shop", connections=("chat",)),
            Contact(
                team="team-web", connections=("web",),
                routes=(ContactRoute(connection="web", touched=True),),
            ),
        ),
    )  # fmt: skip
    ledger.remember_compiled(
        [CompiledPlan("release", "d" * 64, graph.to_json(), "plan.yaml", "sha", NOW)]
    )


def told(ledger: Ledger, run: Run) -> list[Event]:
    return [
        Letter.model_validate_json(notice.body).event
        for notice in ledger.notices_of(run.key.plan_id)
        if notice.channel == "chat"
    ]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_end_is_told_with_all_that_is_known(
    ledger: Ledger, run: Run, compiled: None, outcome: Outcome
) -> None:
    ledger.finish_run(run.key, outcome, "Because.", actor="t", now=NOW)
    note_end(ledger, run.key.plan_id, now=NOW)
    (event,) = told(ledger, run)
    assert event.kind == ("done" if outcome is Outcome.SUCCEEDED else outcome.value)
    assert (event.owner, event.reason) == ("team-shop", "Because.")
    assert event.run_url == "https://airflow.example.com/dags/release/runs/run-1"
    assert event.page_url == f"https://airflow.example.com/planner/#/runs/{run.key.plan_id}"
    assert event.runbook == "https://runbooks.example.com/release"
    assert {n.channel for n in ledger.notices_of(run.key.plan_id)} == {"chat", "web"}


def test_parameters_are_filled_in_and_who_started_it_is_said(
    ledger: Ledger, compiled: None
) -> None:
    run = Run(ledger)
    ledger.pin_run(
        run.key, expires_at=None, parameters={"version": "1.4.2"}, actor="t", now=NOW,
        requester="rita",
    )  # fmt: skip
    ledger.finish_run(run.key, Outcome.SUCCEEDED, "", actor="t", now=NOW)
    note_end(ledger, run.key.plan_id, now=NOW)
    (event,) = told(ledger, run)
    assert (event.summary, event.requester) == ("Release 1.4.2", "rita")


def test_an_end_is_told_once_and_again_when_the_run_was_taken_up(
    ledger: Ledger, run: Run, compiled: None
) -> None:
    for moment in (0, 60):
        ledger.finish_run(run.key, Outcome.FAILED, "x", actor="t", now=later(moment))
        note_end(ledger, run.key.plan_id, now=later(moment))
    assert len(told(ledger, run)) == 1, "the last task was done again"
    ledger.pin_run(run.key, expires_at=None, parameters={}, actor="t", now=later(120))
    ledger.finish_run(run.key, Outcome.FAILED, "x", actor="t", now=later(180))
    note_end(ledger, run.key.plan_id, now=later(180))
    assert len(told(ledger, run)) == 2


def test_a_run_that_goes_on_has_no_end_to_tell(ledger: Ledger, run: Run, compiled: None) -> None:
    note_end(ledger, run.key.plan_id, now=NOW)
    note_end(ledger, "unknown", now=NOW)
    assert ledger.notices_of(run.key.plan_id) == ()


def test_without_a_compilation_nobody_hears_and_nothing_breaks(ledger: Ledger, run: Run) -> None:
    ledger.remember_compiled([CompiledPlan("release", "d" * 64, "{}", "f", "s", NOW)])
    assert audience_of(ledger, "release").contacts == ()
    ledger.finish_run(run.key, Outcome.FAILED, "x", actor="t", now=NOW)
    note_end(ledger, run.key.plan_id, now=NOW)
    assert ledger.notices_of(run.key.plan_id) == ()


class TestTicket:
    AUDIENCE = Audience(
        owner="team-shop",
        contacts=(
            Contact(team="team-shop", connections=("chat",)),
            Contact(team="other", connections=("x",)),
        ),
        ticket=Ticket.model_validate(
            {"via": "jira", "connection": "jira", "issue": "{{ params.issue }}"}
        ),
    )

    def test_the_issue_of_a_run_hears_of_its_start_and_its_end(self, ledger: Ledger) -> None:
        run = Run(ledger)
        ledger.pin_run(run.key, expires_at=None, parameters={"issue": "SHOP-7"}, actor="t", now=NOW)
        for _ in range(2):
            note_start(ledger, run.key.plan_id, now=NOW, audience=self.AUDIENCE)
        ledger.finish_run(run.key, Outcome.SUCCEEDED, "", actor="t", now=NOW)
        note_end(ledger, run.key.plan_id, now=NOW, audience=self.AUDIENCE)
        told = [(n.event, n.channel) for n in ledger.notices_of(run.key.plan_id)]
        assert told == [("started", "jira/SHOP-7"), ("done", "chat"), ("done", "jira/SHOP-7")]
        letter = Letter.model_validate_json(ledger.notices_of(run.key.plan_id)[0].body)
        assert (letter.tracker, letter.channel) == ("jira", "SHOP-7")

    def test_who_wants_to_hear_of_starts_does(self, ledger: Ledger, run: Run) -> None:
        way = ContactRoute(connection="chat", events=("started",))
        contact = Contact(team="team-shop", connections=("chat",), routes=(way,))
        note_start(
            ledger, run.key.plan_id, now=NOW,
            audience=Audience(owner="team-shop", contacts=(contact,)),
        )  # fmt: skip
        assert [n.event for n in ledger.notices_of(run.key.plan_id)] == ["started"]

    def test_nobody_else_does(self, ledger: Ledger, run: Run, compiled: None) -> None:
        note_start(ledger, run.key.plan_id, now=NOW)
        assert ledger.notices_of(run.key.plan_id) == ()


class TestHolds:
    def test_a_hold_and_its_end_are_told_once(
        self, ledger: Ledger, run: Run, compiled: None
    ) -> None:
        ledger.hold_run(run.key.plan_id, actor="ann", reason="odd latency", now=NOW)
        note_holds(ledger, now=later(1))
        note_holds(ledger, now=later(2))
        ledger.resume_run(run.key.plan_id, actor="bob", reason=None, now=later(3))
        note_holds(ledger, now=later(4))
        note_holds(ledger, now=later(5))
        held, resumed = told(ledger, run)
        assert (held.kind, held.severity) == ("held", "warning")
        assert "ann holds this run" in held.reason
        assert "odd latency" in held.reason
        assert f"planner resume {run.key.plan_id}" in held.next
        assert (resumed.kind, resumed.reason) == ("resumed", "bob let it go on.")

    def test_a_second_hold_is_another_one(self, ledger: Ledger, run: Run, compiled: None) -> None:
        for moment in (0, 60):
            ledger.hold_run(run.key.plan_id, actor="ann", reason="r", now=later(moment))
            note_holds(ledger, now=later(moment + 1))
            ledger.resume_run(run.key.plan_id, actor="ann", reason=None, now=later(moment + 2))
            note_holds(ledger, now=later(moment + 3))
        assert [e.kind for e in told(ledger, run)] == ["held", "resumed", "held", "resumed"]

    def test_a_run_that_ended_while_it_was_held_does_not_go_on(
        self, ledger: Ledger, run: Run, compiled: None
    ) -> None:
        ledger.hold_run(run.key.plan_id, actor="ann", reason="r", now=NOW)
        note_holds(ledger, now=later(1))
        ledger.finish_run(run.key, Outcome.ROLLED_BACK, "x", actor="t", now=later(2))
        note_end(ledger, run.key.plan_id, now=later(2))
        note_holds(ledger, now=later(3))
        assert [e.kind for e in told(ledger, run)] == ["held", "rolled_back"]

    def test_who_waits_tells_and_sends(
        self, ledger: Ledger, run: Run, compiled: None, deliveries: Deliveries
    ) -> None:
        ledger.hold_run(run.key.plan_id, actor="ann", reason="r", now=NOW)
        look(ledger, NOW + timedelta(days=1))
        assert SENDER.wait(20)
        assert sorted(deliveries.told) == [("chat", "held"), ("web", "held")]
        send_left(ledger)
        assert len(deliveries.told) == 2
