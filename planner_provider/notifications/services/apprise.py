"""Apprise: any of its services, as its Connection's `config` names them."""

from __future__ import annotations

from typing import Any

from planner_provider.errors import MisconfiguredError, UnavailableError
from planner_provider.notifications.services.mentions import no_mentions
from planner_provider.notifications.services.parcel import Parcel

TYPES = {"info": "info", "warning": "warning", "critical": "failure"}


def send(parcel: Parcel, connection: Any) -> str | None:
    """Send to the services of the Connection; to those with the tag ``channel``, if given."""
    import apprise as sdk
    from airflow.providers.apprise.hooks.apprise import AppriseHook

    event = parcel.event
    services = sdk.Apprise()
    hook = AppriseHook(apprise_conn_id=parcel.connection)
    try:
        hook.set_config_from_conn(conn=connection, apprise_obj=services)
    except (KeyError, ValueError, TypeError) as error:
        raise MisconfiguredError(
            f"Connection '{parcel.connection}' of type apprise has no usable `config` in its "
            'extra; it looks like {"config": {"path": "json://host/path", "tag": "ops"}}'
        ) from error
    if not len(services):
        raise MisconfiguredError(
            f"Connection '{parcel.connection}' names no service that Apprise knows"
        )
    tag = parcel.channel or "all"
    if not any(True for _ in services.find(tag)):
        raise MisconfiguredError(
            f"No service of connection '{parcel.connection}' has the tag '{tag}'"
        )
    kind = sdk.NotifyType.SUCCESS if event.kind == "done" else sdk.NotifyType(TYPES[event.severity])
    done = services.notify(
        title=no_mentions(event.title),
        body=no_mentions(event.text),
        notify_type=kind,
        body_format=sdk.NotifyFormat.TEXT,
        tag=tag,
        interpret_escapes=False,
    )
    if not done:
        raise UnavailableError(
            f"Apprise could not send through connection '{parcel.connection}'; its log says why"
        )
    return None
