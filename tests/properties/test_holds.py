"""Whatever people and tasks do in whatever order: no step begins while the run is held."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner_provider.errors import NoAuthorityError
from planner_provider.ledger import Ledger
from planner_provider.ledger.acts import Permit
from planner_provider.ledger.rows import Act, ActResult
from tests.ledger.cases import NOW, Run

STEPS = ("a", "b", "c")
NUMBERS = itertools.count(1)
PEOPLE = st.sampled_from(["hold", "hold", "resume", "resume", "abort", "clear"])
TASKS = st.tuples(
    st.sampled_from(["begin", "park", "go on", "done", "fail"]), st.sampled_from(STEPS)
)
STORY = st.lists(st.one_of(PEOPLE, TASKS, TASKS, TASKS), max_size=25)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path_factory.mktemp('holds') / 'planner.db'}")


class World:
    """A run, and what must be so by all that happened to it."""

    def __init__(self, ledger: Ledger) -> None:
        number = next(NUMBERS)
        self.run = Run(ledger, plan=f"p{number}", run_id=f"r{number}").pin()
        self.run.lease()
        self.ledger = ledger
        self.held = self.stopped = False
        self.acting: dict[str, Act] = {}
        self.parked: dict[str, Act] = {}
        self.done: set[str] = set()
        self.began: list[str] = []

    def person(self, what: str) -> None:
        plan_id = self.run.key.plan_id
        if what == "hold":
            self.ledger.hold_run(plan_id, actor="ada", reason="why", now=NOW)
            self.held = self.held or not self.stopped
        elif what == "resume":
            self.ledger.resume_run(plan_id, actor="bo", reason=None, now=NOW)
            self.held = False
        elif what == "abort":
            self.ledger.request_abort(plan_id, actor="ada", reason="why", now=NOW)
            self.stopped = True
        elif not self.stopped:  # somebody clears the first tasks: they run once more
            self.run.pin()
            self.run.lease()

    def task(self, what: str, step: str) -> None:
        act = self.acting.get(step)
        if what == "begin" and step not in self.parked:
            self.begin(step)
        elif what == "go on" and step in self.parked:
            self.go_on(step)
        elif act is None:
            return
        elif what == "park":
            self.ledger.park_act(act.id, now=NOW)
            self.parked[step] = self.acting.pop(step)
        elif what in ("done", "fail"):
            result = ActResult.DONE if what == "done" else ActResult.FAILED
            self.ledger.end_act(act, result, None, actor="t", now=NOW)
            del self.acting[step]
            if result is ActResult.DONE:
                self.done.add(step)

    def begin(self, step: str) -> Permit | None:
        try:
            answer = self.run.begin(step)
        except NoAuthorityError:
            assert self.stopped
            return None
        if step in self.done:
            assert answer.permit is Permit.ALREADY_DONE
        elif step in self.acting:
            assert answer.permit is Permit.BUSY
        else:
            assert answer.permit is (Permit.HELD if self.held else Permit.GRANTED)
        assert not self.stopped or step in self.done
        if answer.permit is Permit.GRANTED:
            assert answer.act is not None
            self.acting[step] = answer.act
            self.began.append(step)
        return answer.permit

    def go_on(self, step: str) -> None:
        """What was deferred goes on, held or not."""
        try:
            answer = self.run.begin(step, resumes=True)
        except NoAuthorityError:
            assert self.stopped
            return
        assert answer.permit is Permit.GRANTED
        assert answer.act is not None
        assert answer.act.id == self.parked.pop(step).id
        self.acting[step] = answer.act

    def check(self) -> None:
        found = self.ledger.run(self.run.key.plan_id)
        assert found is not None
        assert (found.held_at is not None) is self.held
        acts = self.ledger.acts_of(self.run.key.plan_id)
        assert [act.step for act in acts] == self.began, "nobody else has begun anything"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(story=STORY)
def test_no_step_begins_while_it_is_held_and_after_that_exactly_one(
    ledger: Ledger, story: list[str | tuple[str, str]]
) -> None:
    world = World(ledger)
    for event in story:
        if isinstance(event, str):
            world.person(event)
        else:
            world.task(*event)
        world.check()
    world.person("resume")
    for step in STEPS:
        free = step not in world.done and step not in world.acting and step not in world.parked
        if free and not world.stopped:
            answers = [world.begin(step) for _ in range(3)]
            assert answers == [Permit.GRANTED, Permit.BUSY, Permit.BUSY]
