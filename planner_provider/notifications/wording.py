"""A team's own words, put in place of ours."""

from __future__ import annotations

import logging
from dataclasses import replace

from planner_provider.notifications.events import Event
from planner_provider.notifications.services.parcel import Parcel
from planner_provider.notifications.services.webhook import payload
from planner_provider.spec.notice_text import rendered

log = logging.getLogger(__name__)


def fields(event: Event) -> dict[str, str]:
    """What a template may name. What is not known is empty; ``text`` is without the links."""
    known = payload(event) | {"text": "\n".join(event.lines)}
    return {name: str(value or "") for name, value in known.items()}


def worded(parcel: Parcel) -> Parcel:
    """The parcel with the team's own words in it. What cannot be rendered is said as we say it.

    What comes out is plain text like our own, and each service escapes it as a whole.
    """
    event = parcel.event
    own = next((words for words in parcel.words if words.event == event.kind), None)
    if own is None:
        return parcel
    known = fields(event)
    told = event.model_copy(
        update={
            "own_title": _rendered(parcel, "title", own.title, known),
            "own_text": _rendered(parcel, "text", own.text, known),
        }
    )
    return replace(parcel, event=told)


def _rendered(parcel: Parcel, what: str, template: str | None, known: dict[str, str]) -> str | None:
    if template is None:
        return None
    try:
        return rendered(template, known)
    except ValueError as error:
        log.warning(
            "The %s for %s in the words of a team (connection %s) could not be made, so that it is "
            "told in our own: %s. Mend `templates` of its Team document.",
            what, parcel.event.kind, parcel.connection, error,
        )  # fmt: skip
        return None
