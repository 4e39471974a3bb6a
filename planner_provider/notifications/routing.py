"""Who is told what: by team, kind of event and severity."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from planner_provider.graph.contacts import Contact, ContactRoute
from planner_provider.ledger.notices import Draft
from planner_provider.notifications.events import SEVERITIES, Event, subject_of
from planner_provider.notifications.letter import Letter
from planner_provider.spec.notices import NoticeEvent
from planner_provider.spec.values import format_duration

ESCALATED: frozenset[NoticeEvent] = frozenset(
    {"needs_approval", "held", "rollback_failed", "failed"}
)
"""What is told to others as well when nobody acts."""


def wanted(route: ContactRoute, event: Event) -> bool:
    """Whether the event goes this way."""
    if route.events and event.kind not in route.events:
        return False
    if event.kind == "started" and not route.events:
        return False  # most people want to hear of what needs them, and of the end
    return SEVERITIES[event.severity] >= SEVERITIES[route.min_severity]


def routes_for(owner: str | None, contacts: Iterable[Contact]) -> tuple[ContactRoute, ...]:
    """The ways to the plan's owner, and to teams that want to hear what touches them."""
    found: dict[str, ContactRoute] = {}
    for contact in contacts:
        for route in contact.ways:
            if contact.team == owner or route.touched:
                found.setdefault(route.name, route)
    return tuple(found.values())


def drafts(
    event: Event, routes: Iterable[ContactRoute], earlier: Iterable[Letter] = ()
) -> tuple[Draft, ...]:
    """The notices of an event, one for each way, due at once.

    ``earlier`` is what was sent of the same run. If the event closes an alert, it goes wherever
    one may have gone, whatever the route says; and who was called because nobody had acted hears
    that somebody has. Where an issue gets a state, that is a notice of its own, after the comment.
    """
    letters: dict[str, Letter] = {}
    states: dict[str, Letter] = {}
    for route in routes:
        if wanted(route, event):
            letters.setdefault(route.name, Letter.of(event, route))
            state = dict(route.states).get(event.kind)
            if state is not None:
                states.setdefault(route.name, Letter.of(event, route, state=state))
    if event.alert == "resolve":
        for letter in earlier:
            called = letter.event.waited is not None
            known = letters.get(letter.route.name)
            if known is None or (called and known.closes):
                closing = Letter.of(event, letter.route, closes=not called)
                letters[letter.route.name] = closing
    later = subject_of("state", event.subject)
    return (
        *(_draft(name, letter, event.at) for name, letter in letters.items()),
        *(_draft(name, letter, event.at, subject=later) for name, letter in states.items()),
    )


def escalations(event: Event, contacts: Iterable[Contact]) -> tuple[Draft, ...]:
    """The notices for others, due later; they are dropped if somebody has acted by then."""
    if event.kind not in ESCALATED:
        return ()
    found: dict[tuple[str, str], Draft] = {}
    for contact in contacts:
        if contact.team != event.owner:
            continue
        for item in contact.escalations:
            told = escalated(event, item.after)
            for route in item.routes:
                if wanted(route, told):
                    letter = Letter.of(told, route, unless_acted=event.kind)
                    due = event.at + item.after
                    draft = _draft(route.name, letter, due, subject=told.subject)
                    found.setdefault((route.name, told.subject), draft)
    return tuple(found.values())


def escalated(event: Event, after: timedelta) -> Event:
    """The same event as it is told to others after some time. Never less than a warning."""
    waited = format_duration(after)
    return event.model_copy(
        update={
            "waited": waited,
            "subject": subject_of("after", waited, event.subject),
            "severity": "warning" if event.severity == "info" else event.severity,
            "kind": "approval_escalated" if event.kind == "needs_approval" else event.kind,
        }
    )


def _draft(name: str, letter: Letter, due_at: datetime, subject: str | None = None) -> Draft:
    return Draft(name, letter.to_json(), due_at, subject)
