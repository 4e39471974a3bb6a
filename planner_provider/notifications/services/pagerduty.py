"""PagerDuty, Events API v2: one alert for each run of a plan, opened, updated and resolved.

The plan ID is the key by which PagerDuty knows that two events mean the same alert.
"""

from __future__ import annotations

from typing import Any

from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.notifications.services.parcel import TIMEOUT, Parcel

MAX_SUMMARY = 1024
MAX_KEY = 255


def send(parcel: Parcel, connection: Any) -> str | None:
    """Trigger or resolve the alert of the run.

    The Connection's password is the integration key; in one of type ``pagerduty``, ``routing_key``
    in its extra is. Its host may name another address of the Events API, such as that of the EU.
    """
    import pagerduty as sdk
    from airflow.providers.pagerduty.hooks.pagerduty_events import prepare_event_data

    event = parcel.event
    if event.alert == "none" and event.severity == "info":
        return None
    action = "resolve" if event.alert == "resolve" else "trigger"
    links = [{"href": address, "text": words} for words, address in event.links]
    data = prepare_event_data(
        summary=event.heading[:MAX_SUMMARY],
        severity=event.severity,
        source=event.plan_id,
        component=event.step,
        group=event.plan,
        class_type=event.kind,
        custom_details={"text": event.text, "owner": event.owner, "next": event.next},
        action=action,
        dedup_key=event.plan_id[:MAX_KEY],
        links=links,
        action_key_name="event_action",
    )
    if action == "resolve":
        del data["payload"]
        del data["links"]
    key = routing_key(parcel, connection)
    client = sdk.EventsApiV2Client(key, base_url=_base(connection))
    client.timeout = TIMEOUT
    client.max_network_attempts = 0  # whoever sends next tries again, not we
    client.max_http_attempts = -1
    client.retry = {429: 1, 500: 1, 502: 1, 503: 1, 504: 1}
    try:
        answer = client.post("/v2/enqueue", json=data)
    except sdk.Error as error:
        raise UnavailableError(
            f"PagerDuty (connection {parcel.connection}): {str(error).replace(key, '***')}"
        ) from error
    if answer.status_code == 202:
        return event.plan_id
    text = f"PagerDuty (connection {parcel.connection}) answered {answer.status_code}: "
    text += answer.text[:200].replace(key, "***")
    if answer.status_code == 429 or answer.status_code >= 500:
        raise UnavailableError(text)
    raise RefusedError(text)


def routing_key(parcel: Parcel, connection: Any) -> str:
    """The integration key of a Connection."""
    if connection.conn_type == "pagerduty":
        key = connection.extra_dejson.get("routing_key")
    else:
        key = connection.password
    if not key:
        where = "`routing_key` in its extra" if connection.conn_type == "pagerduty" else "password"
        raise MisconfiguredError(
            f"Connection '{parcel.connection}' lacks the integration key of PagerDuty's Events API "
            f"v2 ({where})"
        )
    return str(key)


def _base(connection: Any) -> str | None:
    host = connection.host or ""
    if not host:
        return None
    return host.rstrip("/") if "://" in host else f"https://{host.rstrip('/')}"
