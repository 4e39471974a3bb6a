"""Running operators without Airflow's processes: a home, a context, rendering and execution."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="planner-airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard

from planner_provider.graph.model import Contact
from planner_provider.operators.actions import ACTION_OPERATORS
from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.spec.base import Model

RUN_ID = "manual__2026-11-23T10:00:00+00:00"
REF = PlanRef("checkout-release", "ab" * 32, Role.STEP, "shift")
PLAN_ID = REF.plan_id(RUN_ID)


@dataclass
class TaskInstance:
    task_id: str = "execute.shift"
    dag_id: str = "checkout-release"
    run_id: str = RUN_ID
    map_index: int = -1
    try_number: int = 1
    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class Store(dict[str, Any]):
    """Stands for ``task_state_store``."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def context_for(
    params: Mapping[str, Any] | None = None, store: Store | None = None, **ti: Any
) -> dict[str, Any]:
    return {
        "ti": TaskInstance(**ti),
        "run_id": RUN_ID,
        "params": dict(params or {}),
        "task_state_store": Store() if store is None else store,
        "dag": None,
    }


def build(
    name: str,
    action: Model,
    *,
    plan_ref: PlanRef | None = REF,
    contacts: tuple[Contact, ...] = (),
    **base: Any,
) -> BaseOperator:
    with DAG("checkout-release", schedule=None):
        return ACTION_OPERATORS[name](
            action, plan_ref=plan_ref, contacts=contacts, **{"task_id": "shift", **base}
        )


def act(operator: BaseOperator, context: Mapping[str, Any] | None = None) -> Any:
    """Render and act, without the ledger."""
    context = context_for() if context is None else context
    operator.render_template_fields(context)
    ExecutorSafeguard.tracker.set(operator)
    return operator.act(context)
