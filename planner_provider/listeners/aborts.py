"""A person set the state of a plan's run by hand: no step may begin, and those that act stop.

Airflow calls this in the API server the moment the state is set; the teardowns still run and wind
the run up. The scheduler calls it again at the real end, with another message.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.listeners import hookimpl

from planner_provider.errors import PlannerError
from planner_provider.hooks.settings import open_ledger
from planner_provider.operators.clock import SYSTEM_CLOCK

log = logging.getLogger(__name__)

BY_HAND = "manually set"


@hookimpl  # type: ignore[untyped-decorator]
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Write the abort down."""
    _record(dag_run, msg)


@hookimpl  # type: ignore[untyped-decorator]
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """Write the abort down: a run is not done because somebody says so."""
    _record(dag_run, msg)


def _record(dag_run: Any, msg: str) -> None:
    if BY_HAND not in (msg or ""):
        return
    try:
        open_ledger().record_abort(
            dag_run.dag_id, dag_run.run_id, actor="airflow:state set by hand",
            now=SYSTEM_CLOCK.now(),
        )  # fmt: skip
    except PlannerError as error:
        log.warning("Run %s: the abort could not be written down: %s", dag_run.run_id, error)
