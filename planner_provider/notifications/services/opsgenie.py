"""Opsgenie: one alert for each run of a plan, whose alias is the plan ID."""

from __future__ import annotations

from typing import Any

from planner_provider.errors import MisconfiguredError, PlannerError, RefusedError, UnavailableError
from planner_provider.notifications.services.parcel import TIMEOUT, Parcel

PRIORITIES = {"info": "P4", "warning": "P3", "critical": "P1"}
MAX_MESSAGE, MAX_ALIAS, MAX_DESCRIPTION, MAX_NOTE = 130, 512, 15000, 25000
MAX_DETAIL = 500


def send(parcel: Parcel, connection: Any) -> str | None:
    """Open the alert of the run, or close it. ``channel`` is the team that is to respond."""
    from airflow.providers.opsgenie.hooks.opsgenie import OpsgenieAlertHook
    from opsgenie_sdk import CloseAlertPayload, CreateAlertPayload

    event = parcel.event
    if event.alert == "none" and event.severity == "info":
        return None
    alias = event.plan_id[:MAX_ALIAS]
    if not connection.password:
        raise MisconfiguredError(
            f"Connection '{parcel.connection}' lacks the API key of Opsgenie (password)"
        )
    hook = OpsgenieAlertHook(opsgenie_conn_id=parcel.connection)
    api = hook.get_conn()
    api.api_client.configuration.retry_enabled = False  # whoever sends next tries again, not we
    try:
        if event.alert == "resolve":
            closing = CloseAlertPayload(source="planner", note=f"{event.title}"[:MAX_NOTE])
            api.close_alert(
                identifier=alias, identifier_type="alias", close_alert_payload=closing,
                _request_timeout=TIMEOUT,
            )  # fmt: skip
            return alias
        details = {
            "plan": event.plan, "plan_id": event.plan_id, "event": event.kind,
            "owner": event.owner, "step": event.step, "run": event.run_url,
            "page": event.page_url, "runbook": event.runbook,
        }  # fmt: skip
        payload = CreateAlertPayload(
            message=event.title[:MAX_MESSAGE],
            alias=alias,
            description=event.text[:MAX_DESCRIPTION],
            responders=[{"type": "team", "name": parcel.channel}] if parcel.channel else None,
            details={name: str(v)[:MAX_DETAIL] for name, v in details.items() if v},
            entity=event.plan,
            source="planner",
            priority=PRIORITIES[event.severity],
        )
        api.create_alert(create_alert_payload=payload, _request_timeout=TIMEOUT)
    except Exception as error:
        raise _translated(parcel, error) from error
    return alias


def _translated(parcel: Parcel, error: Exception) -> PlannerError:
    from opsgenie_sdk.exceptions import OpenApiException

    attempt = getattr(error, "last_attempt", None)  # of tenacity, which the client tries with
    inner = attempt.exception() if attempt is not None else error
    status = getattr(inner, "status", None)
    who = f"Opsgenie (connection {parcel.connection})"
    if not isinstance(status, int) or status == 0:
        return (
            RefusedError(f"{who} cannot be sent this: {inner}")
            if isinstance(inner, OpenApiException) and status is None
            else UnavailableError(f"{who} did not answer: {type(inner).__name__}")
        )
    text = f"{who} answered {status}: {getattr(inner, 'reason', '')}"
    if status in (401, 403):
        return MisconfiguredError(f"{text}. Look at the API key of the connection.")
    if status in (408, 429) or status >= 500:
        return UnavailableError(text)
    return RefusedError(text)
