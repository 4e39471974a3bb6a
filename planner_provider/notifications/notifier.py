"""An Airflow notifier, for DAGs that are written by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from planner_provider.errors import PlannerError, UnavailableError
from planner_provider.graph.contacts import ContactRoute
from planner_provider.notifications.delivery import deliver
from planner_provider.notifications.events import SEVERITY, Event, event_key, subject_of
from planner_provider.notifications.plans import run_address
from planner_provider.notifications.services.parcel import Parcel
from planner_provider.spec.notices import NoticeEvent, Severity

if TYPE_CHECKING:
    from airflow.sdk import Context


class PlannerNotifier(BaseNotifier):
    """Tell people through the services that plans use, from the callbacks of any DAG or task.

    With ``event="failed"`` in ``on_failure_callback`` and ``event="done"`` in
    ``on_success_callback``, PagerDuty and Opsgenie open and close one alert for each run.

    Args:
        message: what is said (templated).
        to: Connections, as ``ID`` or ``ID/CHANNEL``; see ``docs/notifications.md`` for their types.
        event: what it is told as; decides what becomes of alerts.
        severity: by default that of the event.
        next_step: what to do now (templated).

    Raises:
        UnavailableError: somebody was not reached. All are tried first.
    """

    template_fields: Sequence[str] = ("message", "next_step")

    def __init__(
        self,
        *,
        message: str,
        to: Sequence[str],
        event: NoticeEvent = "message",
        severity: Severity | None = None,
        next_step: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.message = message
        self.to = tuple(to)
        self.event = event
        self.severity = severity
        self.next_step = next_step

    def notify(self, context: Context) -> None:
        """Tell everybody."""
        told = self._event(context)
        failures: list[str] = []
        for name in self.to:
            connection, _, channel = name.partition("/")
            way = ContactRoute(connection=connection, channel=channel or None)
            parcel = Parcel(told, way.connection, way.channel, event_key(told, way.name))
            try:
                deliver(parcel)
            except PlannerError as error:
                failures.append(str(error))
        if failures:
            raise UnavailableError(f"Not everybody was told: {'; '.join(failures)}")

    async def async_notify(self, context: Context) -> None:
        """Tell everybody, from a process with an event loop."""
        await asyncio.to_thread(self.notify, context)

    def _event(self, context: Context) -> Event:
        run: Any = context.get("dag_run")
        task: Any = context.get("ti")
        source = run or task
        dag_id = str(getattr(source, "dag_id", "") or "airflow")
        run_id = str(getattr(source, "run_id", "") or "")
        task_id = getattr(task, "task_id", None)
        return Event(
            kind=self.event,
            severity=self.severity or SEVERITY[self.event],
            plan_id=" ".join(filter(None, (dag_id, run_id))),
            plan=dag_id,
            subject=subject_of(self.event, task_id or "", str(getattr(task, "try_number", ""))),
            summary=self.message,
            at=datetime.now(UTC),
            step=task_id,
            requester=getattr(run, "triggering_user_name", None),
            next=self.next_step,
            run_url=run_address(dag_id, run_id) if run_id else None,
        )
