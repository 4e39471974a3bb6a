"""Plans by calendar in a real Airflow: openings, a scheduler that was down, freezes, an end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ActRole, CalendarChange, ChangeKind, Outcome, PlanRun
from planner_provider.localstack.answers import DagRun
from planner_provider.localstack.local_airflow import LocalAirflow
from tests.e2e.local_bundle import make_airflow, make_bundle, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

TELL = "    - {id: tell, notify: {message: hello}}\n"
HOLD = "    - {id: hold, wait: {for: 25s}}\n"
LAST = "    - {id: last, notify: {message: done}}\n"


def calendar(name: str, *windows: tuple[datetime, timedelta]) -> str:
    listed = ", ".join(
        f'{{dtstart: "{start:%Y-%m-%dT%H:%M:%S}Z", duration: PT{int(length.total_seconds())}S}}'
        for start, length in windows
    )
    return (
        "apiVersion: planner/v1\nkind: Calendar\n"
        f"metadata: {{name: {name}}}\n"
        f"spec: {{timezone: UTC, windows: [{listed}]}}\n---\n"
    )


def plan(name: str, steps: str, **schedule: str) -> str:
    said = "".join(f", {key}: {value}" for key, value in schedule.items())
    return (
        "apiVersion: planner/v1\nkind: Plan\n"
        f"metadata: {{name: {name}, owner: team-shop}}\n"
        f"spec:\n  summary: The plan {name}\n  schedule: {{calendar: {name}{said}}}\n"
        f"  steps:\n{steps}"
    )


class Stage:
    def __init__(self, airflow: LocalAirflow, specs: Path, home: Path) -> None:
        self.airflow = airflow
        self.api = airflow.api
        self.specs = specs
        self.ledger = Ledger(f"sqlite:///{home / 'planner.db'}")

    def write(
        self, name: str, steps: str, *windows: tuple[datetime, timedelta], **more: str
    ) -> None:
        text = calendar(name, *windows) + plan(name, steps, **more)
        (self.specs / f"{name}.yaml").write_text(text)

    def runs(self, name: str) -> list[DagRun]:
        return sorted(self.api.runs(name), key=lambda run: run.run_after)

    def freeze(self, name: str, seconds: float) -> CalendarChange:
        now = datetime.now(UTC)
        ends = now + timedelta(seconds=seconds)
        return self.ledger.add_calendar_change(
            CalendarChange(0, name, ChangeKind.FREEZE, now, ends, "an incident", "cli:dana", now)
        )

    def known(self, name: str, run_id: str) -> PlanRun | None:
        return self.ledger.run_of(name, run_id)

    def done(self, name: str, run_id: str) -> list[str]:
        run = self.known(name, run_id)
        acts = self.ledger.acts_of(run.plan_id) if run else ()
        return [act.step for act in acts if act.role is ActRole.STEP]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    base = tmp_path_factory.mktemp("windows")
    specs = make_bundle(base / "bundle")
    with make_airflow(tmp_path_factory, base / "home", dags=base / "bundle" / "dags") as airflow:
        airflow.wait_ready()
        yield Stage(airflow, specs, base / "home")


def soon(seconds: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


def until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))


def test_runs_start_at_their_openings_and_stop_at_the_end(stage: Stage) -> None:
    opening = soon(30)
    length = timedelta(minutes=10)
    stage.write("opens", TELL, (opening, length), needs="1m")
    stage.write("frozen", TELL + HOLD + LAST, (opening, length))
    stage.write("waits", TELL, (opening, length), catch_up="none")
    ends = opening + timedelta(seconds=50)
    long = "    - {id: hold, wait: {for: 20m}}\n"
    stage.write("ends", TELL + long, (opening, ends - opening), at_end="abort")
    stage.write("later", TELL, (opening + timedelta(days=1), length))
    for name in ("opens", "frozen", "waits", "ends", "later"):
        stage.airflow.wait_dag(name)
    freeze = stage.freeze("waits", 600)
    by_hand = stage.api.trigger("later", run_id="by-hand").run_id
    assert stage.runs("opens") == []

    until(opening)
    wait_until(lambda: stage.runs("opens"), 40)
    (run,) = stage.runs("opens")
    assert run.run_after == opening
    assert run.start_date is not None
    assert run.start_date >= opening
    assert stage.api.wait_for_run("opens", run.run_id).state == "success"

    (frozen,) = stage.runs("frozen")
    wait_until(lambda: "hold" in stage.done("frozen", frozen.run_id), 60)
    stage.freeze("frozen", 600)
    assert stage.api.wait_for_run("frozen", frozen.run_id).state == "failed"
    assert stage.done("frozen", frozen.run_id) == ["tell", "hold"]
    known = stage.known("frozen", frozen.run_id)
    assert known is not None
    assert "Calendar frozen is frozen until" in (known.reason or "")
    assert "by cli:dana (an incident); step last did not begin" in (known.reason or "")

    (ended,) = stage.runs("ends")
    ended = stage.api.wait_for_run("ends", ended.run_id)
    known = stage.known("ends", ended.run_id)
    assert known is not None
    assert known.abort_at is not None
    assert ends <= known.abort_at <= ends + timedelta(seconds=10)
    assert "window of calendar ends closed at" in (known.reason or "")
    hold = next(act for act in stage.ledger.acts_of(known.plan_id) if act.step == "hold")
    assert hold.ended_at is not None

    (waits,) = stage.runs("waits")
    assert stage.api.task_instance("waits", waits.run_id, "window").state == "deferred"
    stage.ledger.withdraw_calendar_change(freeze.id, actor="cli:dana", now=datetime.now(UTC))
    assert stage.api.wait_for_run("waits", waits.run_id).state == "success"
    known = stage.known("waits", waits.run_id)
    assert known is not None
    kinds = [d.decision.outcome.passes for d in stage.ledger.decisions_of(known.plan_id)]
    assert (kinds[0], kinds[-1]) == (False, True)

    assert stage.api.task_instance("later", by_hand, "window").state == "deferred"
    known = stage.known("later", by_hand)
    assert known is not None
    stage.ledger.request_abort(known.plan_id, actor="cli:dana", reason="x", now=datetime.now(UTC))
    assert stage.api.wait_for_run("later", by_hand).state == "failed"
    known = stage.known("later", by_hand)
    assert known is not None
    assert known.outcome is Outcome.ABORTED
    for name in ("opens", "frozen", "ends", "waits"):
        assert len(stage.runs(name)) == 1


@pytest.mark.soak
def test_openings_while_nothing_ran(stage: Stage) -> None:
    """Also the dag-processor is down, so that what is written down about the next run is old."""
    opening = soon(25)
    brief = timedelta(seconds=8)
    again = opening + timedelta(seconds=75)
    length = timedelta(minutes=10)
    stage.write("late", TELL, (opening, length), needs="1m")
    stage.write("missed", TELL, (opening, brief), (again, length))
    for name in ("late", "missed"):
        stage.airflow.wait_dag(name)
    for process in ("scheduler", "dag-processor"):
        stage.airflow.kill(process, signal.SIGKILL)
    until(opening + brief + timedelta(seconds=3))
    assert (stage.runs("late"), stage.runs("missed")) == ([], [])
    stage.airflow.start_again("scheduler")
    wait_until(lambda: stage.runs("late") and stage.runs("missed"), 60)
    stage.airflow.start_again("dag-processor")
    (late,) = stage.runs("late")
    assert late.run_after == opening
    assert stage.api.wait_for_run("late", late.run_id).state == "success"
    (made,) = stage.runs("missed")
    assert made.run_after == again
    assert made.state == "queued" or datetime.now(UTC) >= again
    until(again)
    ran = stage.api.wait_for_run("missed", made.run_id)
    assert ran.state == "success"
    assert ran.start_date is not None
    assert ran.start_date >= again
    for process in ("scheduler", "dag-processor"):
        stage.airflow.restart(process)
    time.sleep(20)
    assert [len(stage.runs(name)) for name in ("late", "missed")] == [1, 1]
