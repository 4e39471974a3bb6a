"""What a service is given to send, and how it is limited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from planner_provider.graph.contacts import OwnWords
from planner_provider.notifications.events import Event
from planner_provider.spec.attached import Silence

TIMEOUT = 5
"""Longest wait for an answer, in seconds."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """An event for one channel of a service."""

    event: Event
    connection: str
    """Id of the Airflow Connection."""
    channel: str | None
    key: str
    """The same for all tries to tell this event to this channel."""
    tracker: Literal["jira", "github", "alertmanager"] | None = None
    """Whether ``channel`` is an issue there, or a silence."""
    silence: Silence | None = None
    state: str | None = None
    """What the state of the issue becomes; without one, the issue gets a comment."""
    words: tuple[OwnWords, ...] = ()
    """The team's own words, by event."""
    thread: str | None = None
    """The conversation that the first message of the run began."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service, as ``deliver`` needs it."""

    send: Callable[[Parcel, Any], str | None]
    """Takes the parcel and the Connection; gives the conversation, if there is one."""
    alerts: bool = False
    """Whether it keeps alerts, which are opened and closed."""
    extra: str | None = None
    """The extra of this package that installs what it needs."""
