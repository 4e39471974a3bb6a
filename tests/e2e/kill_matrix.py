"""One real Airflow, a plan that runs in it, and SIGKILL at a chosen point of the run."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

import pytest

from planner_provider.decide.replay import replay
from planner_provider.ledger import Ledger
from planner_provider.ledger.journal import Journal, StepStatus
from planner_provider.ledger.reports import Reports
from planner_provider.ledger.rows import Act, ActRole, Outcome
from planner_provider.localstack.api import ApiRefusedError, ApiUnavailableError
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.sandbox import Sandbox, SandboxClient, ServiceConfig, WorldConfig
from planner_provider.sandbox.model import Act as WorldAct
from tests.e2e.kill_plan import NAME, OLD, PLAN, SERVICE, SLO
from tests.e2e.local_bundle import make_airflow, make_bundle
from tests.e2e.scraping import scraping
from tests.e2e.victims import Victim, kill, sweep

Release = Literal["good", "bad"]
WORLD = WorldConfig(
    services=(ServiceConfig(name=SERVICE, version=OLD, rps=2_000, error_ratio=0.005),),
    bad_error_ratio=0.01,  # twice the usual
)
SPEED = 10
"""How much quicker the world goes than time, so that there is something to see in every second."""
NEW = "new"
"""Stands for the version of a run, which is another one each time."""
LOOK_SECONDS = 0.03
HEARTBEAT_TIMEOUT = "20"
START_SECONDS = 180.0
END_SECONDS = 420.0
SLOW_SECONDS = 2.0


class Moment(Protocol):
    """When to kill."""

    @property
    def slowed(self) -> str | None:
        """Fault of the sandbox that makes the moment last, if it needs one."""

    def has_come(self, ledger: Ledger, plan_id: str) -> bool:
        """Whether it is now."""

    def __str__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AtEntry:
    """As soon as the audit trail of the run has so many entries."""

    number: int
    slowed: str | None = None

    def has_come(self, ledger: Ledger, plan_id: str) -> bool:
        """Whether it has."""
        return len(ledger.audit_of(plan_id)) >= self.number

    def __str__(self) -> str:
        return f"at-{self.number}"


@dataclass(frozen=True, slots=True)
class Parked:
    """While a step is deferred."""

    step: str
    slowed: str | None = None

    def has_come(self, ledger: Ledger, plan_id: str) -> bool:
        """Whether it is."""
        acts = ledger.acts_of(plan_id)
        return any(a.step == self.step and a.is_open and a.parked_at for a in acts)

    def __str__(self) -> str:
        return f"parked-{self.step.replace('/', '.')}"


@dataclass(frozen=True, slots=True)
class InAct:
    """Between the intent and the end of an act, while the world has not answered yet.

    ``slowed`` says whether the world does it first and answers later (``slow_api``), or the other
    way round (``late_api``): then it is done although nobody waits for it any more.
    """

    step: str
    role: ActRole = ActRole.STEP
    slowed: str | None = "slow_api"

    def has_come(self, ledger: Ledger, plan_id: str) -> bool:
        """Whether it acts since a little while."""
        for act in ledger.acts_of(plan_id):
            if act.step == self.step and act.role is self.role and act.may_act:
                return (datetime.now(UTC) - act.intent_at).total_seconds() > SLOW_SECONDS / 2
        return False

    def __str__(self) -> str:
        what = "undo-" if self.role is ActRole.UNDO else ""
        how = {"late_api": "early", "slow_api": "late"}[self.slowed or "slow_api"]
        return f"in-{what}{self.step.replace('/', '.')}-{how}"


@dataclass(frozen=True, slots=True)
class Point:
    """Who is killed, when, in which run."""

    victim: Victim
    moment: Moment
    release: Release

    def __str__(self) -> str:
        return f"{self.victim}-{self.moment}-{self.release}"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a run leaves in the world and in the ledger."""

    state: str
    outcome: Outcome | None
    stable: str
    canary: str | None
    flags: tuple[tuple[str, bool, int], ...]
    steps: tuple[tuple[str, StepStatus], ...]
    changes: tuple[str, ...]
    """What took effect, in order, without weights."""
    weights: tuple[int, ...]
    """The weights that took effect, in order."""
    repeated: int = 0
    """How often the world was asked for what was so already."""


GOOD = Ending(
    state="success",
    outcome=Outcome.SUCCEEDED,
    stable=NEW,
    canary=None,
    flags=(("after", True, 100), ("before", True, 100)),
    steps=(
        ("before", StepStatus.DONE), ("shift", StepStatus.DONE), ("after", StepStatus.DONE),
    ),
    changes=("flags/before: on 100%", "canary: new", "promote: new", "flags/after: on 100%"),
    weights=(20, 50),
)  # fmt: skip
BAD = Ending(
    state="failed",
    outcome=Outcome.ROLLED_BACK,
    stable=OLD,
    canary=None,
    flags=(),
    steps=(
        ("before", StepStatus.UNDONE), ("shift", StepStatus.UNDONE),
        ("after", StepStatus.UNTOUCHED),
    ),
    changes=("flags/before: on 100%", "canary: new", "canary: None", "flags/before: None"),
    weights=(20, 0),
)  # fmt: skip
EXPECTED: dict[Release, Ending] = {"good": GOOD, "bad": BAD}
WEIGHTS: dict[Release, frozenset[tuple[int, ...]]] = {
    "good": frozenset({(20, 50)}),
    "bad": frozenset({(20, 0), (20, 50, 0), (20,), (20, 50)}),
}
"""Without a kill a bad version is taken back at the first weight or at the second. If who gives
the traffic back is killed first, taking the canary away does that, and no weight 0 is set."""


class Stage:
    """An Airflow, a sandbox and a ledger in which the plan runs again and again."""

    def __init__(self, airflow: LocalAirflow, sandbox: Sandbox, home: Path) -> None:
        self.airflow = airflow
        self.sandbox = sandbox
        self.home = home
        self.ledger = Ledger(f"sqlite:///{home / 'planner.db'}")
        self._numbers = itertools.count(1)

    def run(self, release: Release, point: Point | None = None) -> tuple[str, Ending]:
        """Run the plan, with a kill or without, and give the plan ID and how it ended."""
        self._reset()
        number = next(self._numbers)
        version = f"2.{number}.0" + ("-bad" if release == "bad" else "")
        run_id = f"run-{number}-{point or release}"
        before = len(self.sandbox.changes())
        slowed = point.moment.slowed if point else None
        fault = self.sandbox.fault(slowed, value=SLOW_SECONDS, on="write") if slowed else None
        try:
            self.airflow.api.trigger(NAME, {"version": version}, run_id=run_id)
            plan_id = self._plan_id(run_id)
            if point is not None:
                self._wait(lambda: point.moment.has_come(self.ledger, plan_id), str(point), plan_id)
                assert kill(self.airflow, point.victim, 60), f"no {point.victim} came to be killed"
            if fault is not None:
                self.sandbox.lift_fault(fault)
            self.airflow.wait_ready(START_SECONDS)
            state = self._end(run_id)
        except BaseException:
            self._give_up(run_id)
            raise
        return plan_id, self._ending(plan_id, state, version, before)

    def check(self, plan_id: str, release: Release, ending: Ending, *, kills: int) -> None:
        """Say what is not as without a kill; nothing, if all is."""
        wanted = EXPECTED[release]
        assert ending.weights in WEIGHTS[release], ending
        assert ending == replace(wanted, weights=ending.weights, repeated=ending.repeated)
        assert ending.repeated <= kills, "each kill lets at most one harmless request be repeated"
        ledger = self.ledger
        assert ledger.check_lease(plan_id) is None, "the locks were not given back"
        assert ledger.held_resources() == ()
        reports = Reports.open(f"sqlite:///{self.home / 'planner.db'}")
        locked = reports.locked(datetime.now(UTC))
        assert (locked.waiting, locked.silent) == ((), ()), "it still stands in the queue"
        acts = ledger.acts_of(plan_id)
        assert [act for act in acts if act.is_open] == []
        assert overlaps(acts) == []
        finding = reports.check_audit()
        assert finding.intact, finding.faults
        decisions = ledger.decisions_of(plan_id)
        assert "canary" in {item.decision.kind for item in decisions}
        assert [item.id for item in decisions if not replay(item.decision).equal] == []

    def entries(self, plan_id: str) -> list[str]:
        """The audit trail of a run, for people."""
        found = self.ledger.audit_of(plan_id)
        start = found[0].at
        return [
            f"{number:3} +{(entry.at - start).total_seconds():5.1f}s {entry.actor} {entry.what} "
            f"{json.dumps(dict(entry.detail), default=str)[:160]}"
            for number, entry in enumerate(found, 1)
        ]

    def _reset(self) -> None:
        self.airflow.wait_ready(START_SECONDS)
        sweep(self.airflow)
        with SandboxClient(self.sandbox.url) as client:
            client.remove_canary(SERVICE)
            client.set_version(SERVICE, OLD)
            for flag in client.flags():
                client.remove_flag(flag.name)
            for fault in client.faults():
                client.lift_fault(fault.id)

    def _plan_id(self, run_id: str) -> str:
        end = time.monotonic() + START_SECONDS
        while (run := self.ledger.run_of(NAME, run_id)) is None:
            assert time.monotonic() < end, f"{run_id} is not assessed"
            time.sleep(LOOK_SECONDS)
        return run.plan_id

    def _wait(self, what: Callable[[], bool], name: str, plan_id: str) -> None:
        end = time.monotonic() + START_SECONDS
        while not what():
            run = self.ledger.run(plan_id)
            assert run is None or run.outcome is None, f"the run ended before {name}"
            assert time.monotonic() < end, f"{name} has not come"
            time.sleep(LOOK_SECONDS)

    def _end(self, run_id: str) -> str:
        end = time.monotonic() + END_SECONDS
        while True:
            with suppress(ApiUnavailableError):
                return self.airflow.api.wait_for_run(
                    NAME, run_id, timeout=max(1.0, end - time.monotonic())
                ).state
            assert time.monotonic() < end, "the API server does not come back"

    def _give_up(self, run_id: str) -> None:
        """Let the next point begin with nothing under way."""
        for fault in self.sandbox.world.all_faults():
            self.sandbox.lift_fault(fault.id)
        with suppress(ApiUnavailableError, ApiRefusedError, TimeoutError):
            self.airflow.wait_ready(START_SECONDS)
            if not self.airflow.api.run(NAME, run_id).is_finished:
                self.airflow.api.set_run_state(NAME, run_id, "failed")
                self.airflow.api.wait_for_run(NAME, run_id, timeout=120)

    def _ending(self, plan_id: str, state: str, version: str, before: int) -> Ending:
        run = self.ledger.run(plan_id)
        journal = Journal(self.ledger.acts_of(plan_id))
        service = self.sandbox.service(SERVICE)
        asked = [change.act for change in self.sandbox.changes()[before:]]
        acts = [act for act in asked if act.effective]

        def named(text: object) -> str:
            return NEW if text == version else str(text)

        with SandboxClient(self.sandbox.url) as client:
            flags = tuple((f.name, f.enabled, f.percentage) for f in client.flags())
        return Ending(
            state=state,
            outcome=run.outcome if run else None,
            stable=named(service.stable),
            canary=named(service.canary.version) if service.canary else None,
            flags=flags,
            steps=tuple((step, journal[step].status) for step in ("before", "shift", "after")),
            changes=tuple(f"{a.what}: {named(a.after)}" for a in acts if a.what != "weight"),
            weights=tuple(_weight(a) for a in acts if a.what == "weight"),
            repeated=len(asked) - len(acts),
        )


def overlaps(acts: tuple[Act, ...]) -> list[str]:
    """Where something acted beside another try of itself, or a compensation beside a step."""
    found = []
    for act in acts:
        for later in acts:
            if later.id <= act.id or ActRole.CHECK in (act.role, later.role):
                continue
            over = act.ended_at is not None and act.ended_at <= later.intent_at
            same = _who(act) == _who(later)
            undoing = later.role is ActRole.UNDO and act.role is ActRole.STEP
            if not over and (same or undoing):
                found.append(f"act {act.id} of {act.step} and act {later.id} of {later.step}")
    return found


def _who(act: Act) -> tuple[str, ActRole, int]:
    return act.step, act.role, act.map_index


def _weight(act: WorldAct) -> int:
    return int(str(act.after))


def connection(port: int) -> str:
    """An Airflow Connection to a port of this machine."""
    return json.dumps({"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": port})


@contextmanager
def make_stage(factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A sandbox, a Prometheus that scrapes it, and an Airflow that knows the plan."""
    root = factory.mktemp("kills")
    home = root / "home"
    specs = make_bundle(root / "bundle")
    (specs / "010-slos.yaml").write_text(SLO)
    (specs / "020-release.yaml").write_text(PLAN)
    with (
        Sandbox(config=WORLD, speed=SPEED) as sandbox,
        scraping(root / "prometheus", sandbox.port) as prometheus,
    ):
        env = {
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": HEARTBEAT_TIMEOUT,
            "AIRFLOW_CONN_SANDBOX": connection(sandbox.port),
            "AIRFLOW_CONN_PROMETHEUS": connection(prometheus),
        }
        dags = root / "bundle" / "dags"
        with make_airflow(factory, home, dags=dags, env=env) as airflow:
            airflow.wait_ready(START_SECONDS)
            airflow.wait_dag(NAME, START_SECONDS)
            yield Stage(airflow, sandbox, home)
