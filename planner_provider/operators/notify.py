"""Action ``notify``: tell people something, through any service or in the task's log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.errors import MisconfiguredError, PlannerError, UnavailableError
from planner_provider.graph.contacts import ContactRoute
from planner_provider.hooks.connections import get_connection
from planner_provider.hooks.settings import open_ledger
from planner_provider.notifications.delivery import deliver
from planner_provider.notifications.events import Event
from planner_provider.notifications.plans import page_address, run_address
from planner_provider.notifications.routing import wanted
from planner_provider.notifications.services.mentions import no_mentions
from planner_provider.notifications.services.parcel import Parcel
from planner_provider.notifications.wording import worded
from planner_provider.operators.http import task_identity, traced_headers
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.tracing import PlanTrace, idempotency_key, trace_of
from planner_provider.spec.actions import Notify

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.CRITICAL}
DELIVERED = "planner_notified"
"""Key in the task's state store: connections that earlier tries reached."""
WEBHOOKS = ("http", "https")
TIMEOUT = 15.0
"""Longest wait for a webhook, in seconds."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is told."""

    text: str
    severity: str
    trace: PlanTrace | None
    run_url: str | None

    def payload(self) -> dict[str, str | None]:
        """The JSON body for a webhook; chat webhooks read ``text``."""
        return {
            "text": self.text,
            "plan_id": self.trace.plan_id if self.trace else None,
            "plan": self.trace.plan if self.trace else None,
            "step": self.trace.step if self.trace else None,
            "severity": self.severity,
            "run_url": self.run_url,
        }


class NotifyOperator(PlanStepMixin, BaseOperator):
    """Tell people something. The XCom is ``{sent}``, the ways along which the message went.

    Webhooks get a POST with JSON: ``text``, ``plan_id``, ``plan``, ``step``, ``severity`` and
    ``run_url``. Slack and mail get it in the thread of the run. All targets are tried, also if one
    fails; a retry leaves out those that were reached. The message always goes to the task's log.

    Args:
        message: the text (templated).
        to: targets: ``log``, ``connection:ID`` (an Airflow Connection of a type that
            ``notifications.delivery`` lists; the host of one of type http may hold the whole
            address) or ``team:NAME``.
        severity: ``info``, ``warning`` or ``critical``.
        teams: ways by name of team, or names of connections, for targets ``team:NAME``; what a
            way does not want is not sent there. A team without any is told in the log only, and
            the log says so.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        UnavailableError: a service did not take the message.
        MisconfiguredError: all that failed lack a working Connection.
    """

    template_fields: Sequence[str] = ("message",)
    ui_color = "#fef9c3"

    def __init__(
        self,
        *,
        message: str,
        to: Sequence[str] = ("log",),
        severity: str = "info",
        teams: Mapping[str, Sequence[str | ContactRoute]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.message = message
        self.to = to
        self.severity = severity
        self.teams = {
            name: tuple(ContactRoute(connection=w) if isinstance(w, str) else w for w in ways)
            for name, ways in (teams or {}).items()
        }

    @classmethod
    def from_action(
        cls,
        action: Notify,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator for a ``notify`` action; ``contacts`` says how teams are reached."""
        return cls(
            message=action.message,
            to=action.to,
            severity=action.severity,
            teams={contact.team: contact.ways for contact in contacts},
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> dict[str, Any]:
        """Tell all targets."""
        message = Message(
            text=self.message,
            severity=self.severity,
            trace=trace_of(self.plan_ref, context),
            run_url=run_url(context),
        )
        self.log.log(LEVELS[self.severity], "%s: %s", self.severity.upper(), message.text)
        event = self._event(message, context)
        store = context.get("task_state_store")
        delivered: list[str] = list(self._told_before(store))
        key = idempotency_key(*task_identity(message.trace, context))
        failures: list[PlannerError] = []
        for way in self._ways(event):
            if way.name in delivered:
                self.log.info("%s was told by an earlier try.", way.name)
                continue
            try:
                self._send(way, event, message, key)
            except PlannerError as error:
                self.log.error("%s could not be told: %s", way.name, error)
                failures.append(error)
                continue
            self.log.info("%s was told.", way.name)
            delivered.append(way.name)
            if store is not None:
                store.set(DELIVERED, delivered)
        if failures:
            raise self._failure(failures)
        return {"sent": delivered}

    @staticmethod
    def _told_before(store: Any) -> Sequence[str]:
        known = store.get(DELIVERED) if store is not None else None
        return known if isinstance(known, list) else ()

    def _ways(self, event: Event) -> Iterable[ContactRoute]:
        found: dict[str, ContactRoute] = {}
        for target in self.to:
            kind, _, name = target.partition(":")
            if kind == "connection":
                found.setdefault(name, ContactRoute(connection=name))
            elif kind == "team":
                reached = self.teams.get(name, ())
                if not reached:
                    self.log.warning(
                        "Team %s names no connection (`notify` in its Team document); "
                        "this message stands in this log only.",
                        name,
                    )
                for way in reached:
                    if wanted(way, event):
                        found.setdefault(way.name, way)
        return found.values()

    def _event(self, message: Message, context: Context) -> Event:
        ti, trace = context["ti"], message.trace
        plan_id = trace.plan_id if trace else f"{ti.dag_id} {ti.run_id}"
        return Event.model_validate(
            {
                "kind": "message",
                "severity": self.severity,
                "plan_id": plan_id,
                "plan": trace.plan if trace else ti.dag_id,
                "subject": ti.task_id,
                "summary": message.text,
                "at": self.clock.now(),
                "step": trace.step if trace else ti.task_id,
                "run_url": message.run_url,
                "page_url": page_address(plan_id) if trace else None,
            }
        )

    def _send(self, way: ContactRoute, event: Event, message: Message, key: str) -> None:
        parcel = Parcel(event, way.connection, way.channel, f"{key}-{way.name}", words=way.words)
        if get_connection(way.connection).conn_type in WEBHOOKS:
            own = worded(parcel).event.own_text
            told = replace(message, text=no_mentions(own)) if own is not None else message
            post(way.connection, told, key)
            return
        thread = open_ledger().notice_thread(event.plan_id, way.name) if message.trace else None
        deliver(replace(parcel, thread=thread))

    @staticmethod
    def _failure(failures: Sequence[PlannerError]) -> PlannerError:
        text = "; ".join(str(error) for error in failures)
        if all(isinstance(error, MisconfiguredError) for error in failures):
            return MisconfiguredError(f"Not everybody was told: {text}")
        return UnavailableError(f"Not everybody was told: {text}")


def post(connection: str, message: Message, key: str) -> None:
    """Send a message to a webhook. Raises what `planner_provider.hooks.http.send` raises.

    Also raises ``UnavailableError`` if the answer is not 2xx.
    """
    from planner_provider.hooks.http import HttpRequest, send

    answer = send(
        HttpRequest(
            connection=connection,
            method="POST",
            path="",
            headers=traced_headers({"Idempotency-Key": key}, message.trace),
            body=message.payload(),
            timeout=TIMEOUT,
        )
    )
    if not 200 <= answer.status < 300:
        said = f" It said: '{answer.excerpt}'" if answer.excerpt else ""
        raise UnavailableError(f"{answer.where} answered {answer.status} {answer.reason}.{said}")


def run_url(context: Context) -> str | None:
    """Where the run is seen in Airflow's UI; ``None`` if ``[api] base_url`` is not set."""
    ti = context["ti"]
    return run_address(ti.dag_id, ti.run_id)
