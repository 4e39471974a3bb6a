"""A plan's run ended for good: what its own last tasks left open is closed.

Airflow calls this in the scheduler when a run has really ended, whatever became of its tasks:
with `dagrun_timeout`, for example, the teardowns are skipped too. Normally `finish` has written
the outcome by then and the locks are given back, and there is nothing to do.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from planner_provider.errors import PlannerError
from planner_provider.hooks.settings import load_settings, open_ledger
from planner_provider.listeners.aborts import BY_HAND
from planner_provider.notifications.sender_process import SenderProcess
from planner_provider.operators.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger

log = logging.getLogger(__name__)

ACTOR = "airflow:run ended"
AFTER_START = timedelta(seconds=20)
SENDER = SenderProcess()
"""Tells people what no task has told or could tell."""


@hookimpl  # type: ignore[untyped-decorator]
def on_starting(component: Any) -> None:
    """The scheduler starts: what was left to tell when the last one ended is told."""
    if getattr(component, "job_type", None) == "SchedulerJob":
        SENDER.wake(AFTER_START)


@hookimpl  # type: ignore[untyped-decorator]
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Close what the run left open."""
    _close(dag_run, msg)


@hookimpl  # type: ignore[untyped-decorator]
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """Close what the run left open."""
    _close(dag_run, msg)


def _close(dag_run: Any, msg: str) -> None:
    if BY_HAND in (msg or ""):
        return  # not the end: teardowns still run
    try:
        _conclude(open_ledger(), dag_run.dag_id, dag_run.run_id, msg or "no reason given")
    except PlannerError as error:
        log.warning("Run %s: what it left open could not be closed: %s", dag_run.run_id, error)


def _conclude(ledger: Ledger, dag_id: str, run_id: str, why: str) -> None:
    from planner_provider.ledger.journal import Journal
    from planner_provider.ledger.outcome import conclude_unfinished

    run = ledger.run_of(dag_id, run_id)
    if run is None:
        return
    now = SYSTEM_CLOCK.now()
    lease = ledger.last_lease(run.plan_id)
    if run.outcome is None:
        journal = Journal(ledger.acts_of(run.plan_id))
        ended = conclude_unfinished(journal, lease.course if lease else None, why)
        ledger.finish_run(run.key, ended.outcome, ended.reason, actor=ACTOR, now=now)
        log.error("%s: %s. %s", run.plan_id, ended.outcome.value.upper(), ended.reason)
        from planner_provider.notifications.plans import note_end

        note_end(ledger, run.plan_id, now=now)
    if lease is not None and lease.released_at is None:
        reaped = ledger.reap(now=now, actor=ACTOR, silence=load_settings().silence)
        if run.plan_id in reaped.closing:
            log.warning(
                "%s: something may still be acting; its locks are taken back when it is silent.",
                run.plan_id,
            )
    if ledger.next_notice_due() is not None:
        SENDER.wake()  # the scheduler itself waits for nobody
