"""An event on its way to one channel, as it is kept in the ledger."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from planner_provider.graph.contacts import ContactRoute, OwnWords
from planner_provider.notifications.events import CLOSES, Event
from planner_provider.spec.attached import Silence
from planner_provider.spec.notices import NoticeEvent


class Letter(BaseModel):
    """What is sent where."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    event: Event
    connection: str
    channel: str | None = None
    tracker: Literal["jira", "github", "alertmanager"] | None = None
    """Whether ``channel`` is an issue there, or a silence."""
    silence: Silence | None = None
    state: str | None = None
    """What the state of the issue becomes; without one, the issue gets a comment."""
    words: tuple[OwnWords, ...] = ()
    """The team's own words for this event, and for those that may close what it opens."""
    closes: bool = False
    """Whether it goes there only to close an alert; chats and mail are left alone."""
    unless_acted: NoticeEvent | None = None
    """Dropped if somebody has acted on this meanwhile."""

    def to_json(self) -> str:
        """For the ledger; what has its default value is left out."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True)

    @property
    def route(self) -> ContactRoute:
        """Where it goes."""
        return ContactRoute(
            connection=self.connection, channel=self.channel, tracker=self.tracker,
            words=self.words,
        )  # fmt: skip

    @classmethod
    def of(
        cls,
        event: Event,
        route: ContactRoute,
        *,
        state: str | None = None,
        closes: bool = False,
        unless_acted: NoticeEvent | None = None,
    ) -> Self:
        """An event for a route."""
        return cls(
            event=event,
            connection=route.connection,
            channel=route.channel,
            tracker=route.tracker,
            silence=route.silence,
            state=state,
            words=tuple(w for w in route.words if w.event == event.kind or w.event in CLOSES),
            closes=closes,
            unless_acted=unless_acted,
        )
