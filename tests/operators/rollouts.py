"""A rollout played task by task against a world of nodes, as Airflow would run it, without Airflow.

Each task may be run in a process of its own, so that a test can kill it at any request; then it is
tried again, as Airflow does.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import airflow.providers.cncf.kubernetes.hooks.kubernetes  # noqa: F401 - else in every child
import kubernetes.config  # noqa: F401 - as above
from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from planner_provider.compiler.dag import build_dag
from planner_provider.graph.build import build_graph
from planner_provider.graph.model import PlanGraph
from planner_provider.hooks import drains, expectations, fleet, http, nodes  # noqa: F401 - as above
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Course, Hold, ItemState, RunKey, WorkItem
from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.spec.folder import LoadOptions, SourceFile, load

RUN_ID = "manual__1"
STEP = "kernel"
PLAN = """
apiVersion: planner/v1
kind: Fleet
metadata: {name: nodes}
spec: {kubernetes_nodes: {connection: cluster, selector: pool=web}}
---
apiVersion: planner/v1
kind: Plan
metadata: {name: patching, owner: team-infra}
spec:
  summary: Patch the nodes
  defaults: {retries: {limit: 2, delay: 0s}}
  steps:
    - id: kernel
      patch:
        fleet: nodes
        waves: WAVES
        max_unavailable: UNAVAILABLE
        max_errors: ERRORS
        per_target:
          - drain: {timeout: 5s}
          - http: {connection: agent, method: POST, path: "/agent/{{ target.name }}/patch"}
          - reboot:
              timeout: REBOOT
              by: {http: {connection: agent, method: POST, path: "/agent/{{ target.name }}/reboot"}}
          - verify: {within: 5s, every: 1s}
        undo: [{http: {connection: agent, method: POST, path: "/agent/{{ target.name }}/revert"}}]
      rollback: auto
"""


def graph(
    waves: str = "[1, 100%]", unavailable: str = "1", errors: str = "0", reboot: str = "20s"
) -> PlanGraph:
    """The plan above, compiled."""
    text = PLAN.replace("WAVES", waves).replace("UNAVAILABLE", unavailable)
    text = text.replace("REBOOT", reboot)
    specs = load([SourceFile("p.yaml", text.replace("ERRORS", errors).encode())], LoadOptions())
    assert not specs.has_errors, specs.diagnostics
    return build_graph(specs.plans[0], specs.catalog)


class KilledError(Exception):
    """The process of a task was killed."""


class NotNowError(Exception):
    """The task deferred itself."""


class FailedError(Exception):
    """The task failed, with its error in words."""


class TaskInstance:
    """What operators use of a task instance."""

    def __init__(self, task_id: str, map_index: int, try_number: int) -> None:
        self.dag_id = "patching"
        self.run_id = RUN_ID
        self.task_id = task_id
        self.map_index = map_index
        self.try_number = try_number
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class Rollout:
    """One run of the plan."""

    def __init__(
        self, plan: PlanGraph, ledger: Ledger, *, forks: bool = False, seed: int = 0
    ) -> None:
        self.plan = plan
        self.dag = build_dag(plan)
        self.ledger = ledger
        self.forks = forks
        self.chance = random.Random(seed)
        self.plan_id = PlanRef(plan.name, plan.digest, Role.FRAME).plan_id(RUN_ID)
        self.child = 0
        """Process of the task that runs now."""
        self.tries = 0
        self.failed: list[tuple[str, int, str]] = []
        self.said: dict[str, Any] = {}

    def acquire(self) -> Rollout:
        """Assess the run and take its locks, as the frame does before the steps."""
        now = datetime.now(UTC)
        key = RunKey(self.plan_id, self.plan.name, self.plan.name, RUN_ID, self.plan.digest)
        self.ledger.pin_run(key, expires_at=None, parameters={}, actor="t", now=now)
        self.ledger.take_lease(self.plan_id, [Hold("plan://patching")], actor="t", now=now)
        return self

    def wind_up(self, course: Course = Course.UNDO) -> None:
        """Decide, as `decide` does."""
        now = datetime.now(UTC)
        lease = self.ledger.close_lease(self.plan_id, now=now)
        assert lease is not None
        self.ledger.record_course(
            self.plan_id, lease.generation, course, detail={}, actor="t", now=now
        )

    def items(self) -> dict[str, WorkItem]:
        return {item.item: item for item in self.ledger.items_of(self.plan_id, STEP)}

    # ---- tasks

    def play(self) -> bool:
        """All tasks of the step in an order that Airflow might choose; whether it went through."""
        prefix = f"execute.{STEP}"
        try:
            names = self.task(f"{prefix}.targets")
            number = 1
            while f"{prefix}.gate-{number}" in self.dag.task_dict:
                self._wave(f"{prefix}.wave-{number}", names)
                names = self.task(f"{prefix}.gate-{number}")
                number += 1
        except FailedError as error:
            self.failed.append((prefix, -1, str(error)))
            return False
        self.said["report"] = self.task(f"{prefix}.report")
        return True

    def _wave(self, group: str, names: Sequence[str]) -> None:
        going = {index: self._target(group, index) for index in range(len(names))}
        idle = 0
        while going:
            index = self.chance.choice(sorted(going))
            try:
                waits = next(going[index])
            except StopIteration:
                del going[index]
                idle = 0
                continue
            idle = idle + 1 if waits else 0
            assert idle < 200, "nobody's turn ever comes"

    def _target(self, group: str, index: int) -> Iterator[bool]:
        """The tasks of one target, one at a time; gives whether it waits for its turn."""
        inner = self.plan.by_id[f"execute.{STEP}"].parts[1].each
        while True:
            try:
                self.task(f"{group}.begin", index)
                break
            except NotNowError:
                yield True
            except AirflowSkipException:
                return
            except FailedError as error:
                self.failed.append((f"{group}.begin", index, str(error)))
                return
        yield False
        for part in inner[1:-1]:
            try:
                self.task(f"{group}.{part.id}", index)
            except FailedError as error:
                self.failed.append((part.id, index, str(error)))
                break
            yield False
        self.task(f"{group}.end", index)

    def task(self, task_id: str, index: int = -1) -> Any:
        """Run a task to its end; one that was killed, or may be tried again, is tried again."""
        operator = self.dag.task_dict[task_id]
        for number in range(1, 12):
            try:
                if self.forks:
                    return self._forked(operator, index, number)
                return self._here(operator, index, number)
            except KilledError:
                continue
            except (AirflowSkipException, NotNowError):
                raise
            except Exception as error:
                policy: Any = operator.retry_policy
                retries = operator.retries or 0
                decided = policy.evaluate(error, number, retries)
                if decided.action.name == "FAIL" or number > retries:
                    raise FailedError(str(error)) from error
        raise AssertionError("it was killed again and again")

    def _here(self, operator: BaseOperator, index: int, number: int) -> Any:
        self.tries += 1
        context: Any = {
            "ti": TaskInstance(operator.task_id, index, number),
            "run_id": RUN_ID,
            "params": {},
            "dag": self.dag,
            "task": operator,
        }
        for name in ("_item", "_acting"):
            operator.__dict__.pop(name, None)
        fresh = operator.prepare_for_execution()
        fresh.render_template_fields(context)
        ExecutorSafeguard.tracker.set(fresh)
        try:
            return fresh.execute(context)
        except TaskDeferred as deferred:
            raise NotNowError(type(deferred.trigger).__name__) from None

    def _forked(self, operator: BaseOperator, index: int, number: int) -> Any:
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:  # a process of its own, as Airflow's tasks have
            os.close(reads)
            try:
                out: Any = ("gave", self._here(operator, index, number))
            except BaseException as error:  # noqa: BLE001 - told to the parent
                out = ("raised", error, traceback.format_exc())
            try:
                data = pickle.dumps(out)
            except Exception:  # noqa: BLE001 - some errors cannot be pickled
                data = pickle.dumps(("raised", RuntimeError(str(out[1])), out[2]))
            with os.fdopen(writes, "wb") as pipe:
                pipe.write(data)
            os._exit(0)
        os.close(writes)
        self.child = child
        with os.fdopen(reads, "rb") as pipe:
            data = pipe.read()
        _, status = os.waitpid(child, 0)
        self.child = 0
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            raise KilledError
        kind, value, *_ = pickle.loads(data)
        if kind == "raised":
            raise value
        return value

    def kill(self) -> bool:
        """Kill the process of the task that runs now."""
        if not self.child:
            return False
        os.kill(self.child, signal.SIGKILL)
        return True


def states(rollout: Rollout) -> dict[str, ItemState]:
    """Where each target stands."""
    return {name: item.state for name, item in rollout.items().items()}
