"""Action ``notify``: tell people something, through webhooks or in the task's log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf

from planner_provider.errors import MisconfiguredError, PlannerError, UnavailableError
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
    """Tell people something. The XCom is ``{sent}``, the connections that took the message.

    Webhooks get a POST with JSON: ``text``, ``plan_id``, ``plan``, ``step``, ``severity`` and
    ``run_url``. All targets are tried, also if one fails; a retry leaves out those that were
    reached. The message always goes to the task's log as well.

    Args:
        message: the text (templated).
        to: targets: ``log``, ``connection:ID`` (a webhook, as an Airflow Connection of type http
            whose host may hold the whole address) or ``team:NAME``.
        severity: ``info``, ``warning`` or ``critical``.
        teams: connections by name of team, for targets ``team:NAME``. A team without connections
            is told in the log only, and the log says so.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        UnavailableError: a webhook did not take the message.
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
        teams: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.message = message
        self.to = to
        self.severity = severity
        self.teams = teams or {}

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
            teams={contact.team: contact.connections for contact in contacts},
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
        store = context.get("task_state_store")
        delivered: list[str] = list(self._told_before(store))
        key = idempotency_key(*task_identity(message.trace, context))
        failures: list[PlannerError] = []
        for connection in self._connections():
            if connection in delivered:
                self.log.info("%s was told by an earlier try.", connection)
                continue
            try:
                post(connection, message, key)
            except PlannerError as error:
                self.log.error("%s could not be told: %s", connection, error)
                failures.append(error)
                continue
            self.log.info("%s was told.", connection)
            delivered.append(connection)
            if store is not None:
                store.set(DELIVERED, delivered)
        if failures:
            raise self._failure(failures)
        return {"sent": delivered}

    @staticmethod
    def _told_before(store: Any) -> Sequence[str]:
        known = store.get(DELIVERED) if store is not None else None
        return known if isinstance(known, list) else ()

    def _connections(self) -> Iterable[str]:
        found: dict[str, None] = {}
        for target in self.to:
            kind, _, name = target.partition(":")
            if kind == "connection":
                found[name] = None
            elif kind == "team":
                reached = self.teams.get(name, ())
                if not reached:
                    self.log.warning(
                        "Team %s names no connection (`notify` in its Team document); "
                        "this message stands in this log only.",
                        name,
                    )
                found.update(dict.fromkeys(reached))
        return found

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
    base = conf.get("api", "base_url", fallback="") or ""
    if not base:
        return None
    ti = context["ti"]
    return f"{base.rstrip('/')}/dags/{quote(ti.dag_id)}/runs/{quote(ti.run_id, safe='')}"
