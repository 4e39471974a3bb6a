"""A webhook: one POST with JSON, through a Connection of type http."""

from __future__ import annotations

from typing import Any

from planner_provider.errors import RefusedError, UnavailableError
from planner_provider.notifications.events import Event
from planner_provider.notifications.services.mentions import no_mentions
from planner_provider.notifications.services.parcel import TIMEOUT, Parcel


def payload(event: Event) -> dict[str, Any]:
    """What is posted. ``text`` holds everything, for chats that read no more than that."""
    return {
        "text": no_mentions(event.text),
        "title": event.title,
        "event": event.kind,
        "severity": event.severity,
        "plan_id": event.plan_id,
        "plan": event.plan,
        "owner": event.owner,
        "step": event.step,
        "summary": event.summary,
        "reason": event.reason,
        "requester": event.requester,
        "next": event.next,
        "runbook": event.runbook,
        "run_url": event.run_url,
        "page_url": event.page_url,
        "answer_url": event.answer_url,
        "at": event.at.isoformat(),
    }


def send(parcel: Parcel, connection: Any) -> str | None:
    """Post; tries of the same notice carry the same Idempotency-Key."""
    from planner_provider.hooks.http import HttpRequest
    from planner_provider.hooks.http import send as ask

    answer = ask(
        HttpRequest(
            connection=parcel.connection,
            method="POST",
            path="",
            headers={"Idempotency-Key": parcel.key},
            body=payload(parcel.event),
            timeout=TIMEOUT,
        )
    )
    if 200 <= answer.status < 300:
        return None
    said = f" It said: '{answer.excerpt}'" if answer.excerpt else ""
    text = f"{answer.where} answered {answer.status} {answer.reason}.{said}"
    if answer.status in (408, 425, 429) or answer.status >= 500:
        raise UnavailableError(text)
    raise RefusedError(text)
