"""Sending one parcel, through whatever service its Connection is of."""

from __future__ import annotations

import importlib
from typing import Any

from planner_provider.errors import MisconfiguredError, PlannerError, UnavailableError
from planner_provider.hooks.connections import get_connection, redact, secrets_of, shorten
from planner_provider.notifications.services.parcel import Parcel, Service
from planner_provider.notifications.wording import worded

PACKAGE = "airflow-provider-planner"
_PLACES: dict[str, tuple[str, str, bool, str | None]] = {
    "slack": ("slack", "send", False, "slack"),
    "slackwebhook": ("slack", "send_webhook", False, "slack"),
    "pagerduty_events": ("pagerduty", "send", True, "pagerduty"),
    "pagerduty": ("pagerduty", "send", True, "pagerduty"),
    "opsgenie": ("opsgenie", "send", True, "opsgenie"),
    "smtp": ("mail", "send", False, "smtp"),
    "apprise": ("apprise", "send", False, "apprise"),
    "http": ("webhook", "send", False, None),
    "https": ("webhook", "send", False, None),
}
"""Type of the Connection -> module, function, whether it keeps alerts, and extra."""


def service_of(conn_type: str | None, conn_id: str) -> Service:
    """The service of a Connection. Raises ``MisconfiguredError`` for a type that nothing serves."""
    place = _PLACES.get(conn_type or "")
    if place is None:
        raise MisconfiguredError(
            f"Connection '{conn_id}' is of type {conn_type or 'nothing'}, through which nobody can "
            f"be told. Use one of: {', '.join(sorted(_PLACES))}"
        )
    module, function, alerts, extra = place
    found = importlib.import_module(f"planner_provider.notifications.services.{module}")
    return Service(send=getattr(found, function), alerts=alerts, extra=extra)


def deliver(parcel: Parcel, *, closes: bool = False) -> str | None:
    """Send, within about ``TIMEOUT`` seconds. Gives the conversation, if there is one.

    With ``closes``, it is sent only through services that keep alerts.

    Raises:
        UnavailableError: not now; trying later may help.
        MisconfiguredError: the Connection, or what it needs, is missing or wrong.
        RefusedError: the service does not take this message.
    """
    connection = get_connection(parcel.connection)
    if parcel.tracker is not None:
        if closes:
            return None
        if parcel.tracker == "alertmanager":
            from planner_provider.notifications.services.alertmanager import silence

            return silence(parcel)
        from planner_provider.notifications.services.issue_states import set_state
        from planner_provider.notifications.services.issues import comment

        if parcel.state is None:
            comment(parcel)
        else:
            set_state(parcel)
        return None
    service = service_of(connection.conn_type, parcel.connection)
    if closes and not service.alerts:
        return parcel.thread
    parcel = worded(parcel)
    try:
        return service.send(parcel, connection)
    except PlannerError:
        raise
    except ImportError as error:
        raise MisconfiguredError(
            f"Connection '{parcel.connection}' is of type {connection.conn_type}, for which "
            f"{error.name or 'a package'} is not installed. Install {PACKAGE}[{service.extra}] "
            "where Airflow's scheduler, triggerer and workers run."
        ) from error
    except Exception as error:  # whatever a library raises: it was not sent
        raise UnavailableError(_words(error, parcel, connection)) from error


def _words(error: Exception, parcel: Parcel, connection: Any) -> str:
    said = redact(shorten(str(error)), secrets_of(connection))
    return f"Connection '{parcel.connection}': {type(error).__name__}: {said}"
