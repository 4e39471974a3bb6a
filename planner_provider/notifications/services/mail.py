"""Mail over SMTP. The messages of a run form one thread, by Message-ID and References."""

from __future__ import annotations

import html
from email.utils import parseaddr
from typing import Any

from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.notifications.events import Event
from planner_provider.notifications.services.parcel import TIMEOUT, Parcel

MAX_SUBJECT = 150


def send(parcel: Parcel, connection: Any) -> str | None:
    """Send; ``channel`` is the address, or `to` in the Connection's extra. Gives the Message-ID."""
    import smtplib

    from airflow.providers.smtp.hooks.smtp import SmtpHook

    class Bounded(SmtpHook):
        timeout = TIMEOUT
        smtp_retry_limit = 0

    to = parcel.channel or connection.extra_dejson.get("to")
    sender = connection.extra_dejson.get("from_email")
    if not to or not sender:
        what = "a `channel`, which is the address" if not to else "`from_email` in its extra"
        raise MisconfiguredError(
            f"Mail through connection '{parcel.connection}' needs {what}; mend the route or the "
            "connection"
        )
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    own = f"<{parcel.key}@{domain}>"
    headers = {"Message-ID": own, "X-Planner-Plan-Id": parcel.event.plan_id}
    if parcel.thread:
        headers |= {"In-Reply-To": parcel.thread, "References": parcel.thread}
    if parcel.event.severity == "critical":
        headers["X-Priority"] = "1"
    try:
        with Bounded(smtp_conn_id=parcel.connection) as hook:
            hook.send_email_smtp(
                to=to,
                subject=subject(parcel.event, reply=parcel.thread is not None),
                html_content=page(parcel.event),
                from_email=sender,
                mime_subtype="alternative",
                custom_headers=headers,
            )
    except smtplib.SMTPRecipientsRefused as error:
        raise RefusedError(f"The mail server refused {to}: {_said(error)}") from error
    except smtplib.SMTPAuthenticationError as error:
        raise MisconfiguredError(
            f"The mail server refused the login of connection '{parcel.connection}'"
        ) from error
    except (smtplib.SMTPException, OSError) as error:
        raise UnavailableError(
            f"Mail (connection {parcel.connection}): {type(error).__name__}: {_said(error)}"
        ) from error
    return parcel.thread or own


def subject(event: Event, *, reply: bool = False) -> str:
    """One line. Control characters are left out, so that it can add no header."""
    line = "".join(char if char.isprintable() else " " for char in event.title)
    line = " ".join(line.split())
    line = line if len(line) <= MAX_SUBJECT else f"{line[: MAX_SUBJECT - 1]}…"
    return f"Re: {line}" if reply else line


def page(event: Event) -> str:
    """The text as HTML, with everything in it escaped."""
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in event.lines)
    links = "".join(
        f'<li><a href="{html.escape(address, quote=True)}">{html.escape(words)}</a></li>'
        for words, address in event.links
    )
    body = f"<h3>{html.escape(event.title)}</h3>{lines}" + (f"<ul>{links}</ul>" if links else "")
    return f'<!DOCTYPE html><html><body style="white-space: pre-line">{body}</body></html>'


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
