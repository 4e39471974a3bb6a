"""A real Airflow, its ledger and the world, for the tests of what can happen to a run."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from planner_provider.ledger import Ledger
from planner_provider.ledger.audit import first_broken
from planner_provider.ledger.rows import ActRole, ApprovalState, Outcome, PlanRun
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.sandbox import Sandbox, SandboxClient
from tests.e2e.kill_matrix import overlaps
from tests.e2e.local_bundle import wait_until
from tests.hooks.http_server import Server

QUIET = 5.0
"""An answer to a younger question may be lost (apache/airflow issue 66374)."""
NUMBERS = itertools.count(1)


class Stage:
    """One Airflow, its ledger, the world, and a Prometheus whose numbers a test says."""

    def __init__(self, airflow: LocalAirflow, sandbox: Sandbox, server: Server, home: Path) -> None:
        self.airflow = airflow
        self.api = airflow.api
        self.sandbox = sandbox
        self.server = server
        self.ledger = Ledger(f"sqlite:///{home / 'planner.db'}")

    def start(self, plan: str) -> Run:
        """Start a run of a plan in a world in which nothing is done."""
        with SandboxClient(self.sandbox.url) as client:
            for flag in client.flags():
                client.remove_flag(flag.name)
        run_id = f"run-{next(NUMBERS)}"
        begun = len(self.sandbox.changes())
        self.api.trigger(plan, {}, run_id=run_id)
        return Run(self, plan, run_id, begun)

    @contextmanager
    def slowed(self, seconds: float) -> Iterator[None]:
        """Changes are made at once and answered late."""
        fault = self.sandbox.fault("slow_api", value=seconds, on="write")
        try:
            yield
        finally:
            self.sandbox.lift_fault(fault)


class Run:
    """One run of a plan."""

    def __init__(self, stage: Stage, plan: str, run_id: str, begun: int) -> None:
        self.stage = stage
        self.plan = plan
        self.run_id = run_id
        self._begun = begun

    @property
    def record(self) -> PlanRun:
        """What the ledger holds about it."""
        found = self.stage.ledger.run_of(self.plan, self.run_id)
        assert found is not None
        return found

    @property
    def plan_id(self) -> str:
        return self.record.plan_id

    def wait_for(self, task_id: str, *states: str, seconds: float = 90) -> None:
        wait_until(lambda: self.states().get(task_id) in states, seconds)

    def wait_until_acting(self, step: str, role: ActRole = ActRole.STEP) -> None:
        """Wait until the world has been asked for something by an act that has not ended."""

        def acts() -> bool:
            known = self.stage.ledger.run_of(self.plan, self.run_id)
            found = self.stage.ledger.acts_of(known.plan_id) if known else ()
            return any(a.step == step and a.role is role and a.may_act for a in found)

        wait_until(acts, 90)

    def states(self) -> dict[str, str | None]:
        tasks = self.stage.api.task_instances(self.plan, self.run_id)
        return {task.task_id: task.state for task in tasks}

    def world(self) -> list[str]:
        """The steps that took effect, in order; with "-" before it, what was taken away."""
        acts = [change.act for change in self.stage.sandbox.changes()[self._begun :]]
        prefix = f"flags/{self.plan}."
        return [
            ("" if act.after is not None else "-") + act.what.removeprefix(prefix)
            for act in acts
            if act.effective and act.what.startswith(prefix)
        ]

    def abort(self) -> None:
        """Stop it, as `planner abort` does."""
        self.stage.ledger.request_abort(
            self.plan_id, actor="cli:ada", reason="enough", now=datetime.now(UTC)
        )

    def hold(self) -> None:
        """Hold it, as `planner hold` does."""
        self.stage.ledger.hold_run(
            self.plan_id, actor="cli:ada", reason="lag rises", now=datetime.now(UTC)
        )

    def resume(self) -> None:
        """Let it go on, as `planner resume` does."""
        self.stage.ledger.resume_run(
            self.plan_id, actor="cli:ada", reason=None, now=datetime.now(UTC)
        )

    def answer(self, who: str, *, yes: bool, task_id: str = "approve") -> None:
        time.sleep(QUIET)
        path = f"/dags/{self.plan}/dagRuns/{self.run_id}/taskInstances/{task_id}/-1/hitlDetails"
        body = {"chosen_options": ["Approve" if yes else "Reject"], "params_input": {"reason": ""}}
        self.stage.airflow.api_as(who).call("PATCH", path, body)

    def end(self, timeout: float = 150) -> tuple[Outcome | None, str]:
        """Wait for its end, assert what always must hold, give outcome and reason."""
        state = self.stage.api.wait_for_run(self.plan, self.run_id, timeout=timeout).state
        record, ledger = self.record, self.stage.ledger
        assert (state == "success") is (record.outcome is Outcome.SUCCEEDED)
        assert ledger.check_lease(record.plan_id) is None, "the locks were not given back"
        assert record.plan_id not in {
            w.waiter.plan_id for w in ledger.lease_queue(now=datetime.now(UTC))
        }
        acts = ledger.acts_of(record.plan_id)
        assert [act for act in acts if act.is_open] == []
        assert overlaps(acts) == []
        assert all(act.generation for act in acts if act.role is not ActRole.CHECK)
        if any(act.role is ActRole.STEP for act in acts):
            for task in record.approvals:
                approval = ledger.approval_of(record.plan_id, task)
                assert approval is not None
                assert approval.state is ApprovalState.GRANTED
        assert first_broken(ledger.audit_of()) is None
        return record.outcome, record.reason or ""
