"""How teams are told things, resolved from their Team documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field

from planner_provider.graph.frozen import Frozen
from planner_provider.spec.attached import Silence
from planner_provider.spec.kinds import Team, TeamEscalation
from planner_provider.spec.notices import NoticeEvent, Severity
from planner_provider.spec.values import Duration, format_duration


class OwnWords(Frozen):
    """What a team says of an event in place of our own words: templates."""

    event: NoticeEvent
    title: str | None = None
    text: str | None = None


class ContactRoute(Frozen):
    """One way by which people are told things, and what goes that way."""

    connection: str
    """Airflow Connection; its type says which service it is."""
    channel: str | None = None
    """Channel, address, team or tag within the service."""
    events: tuple[NoticeEvent, ...] = ()
    """Only these; empty: all but ``started``."""
    min_severity: Severity = "info"
    touched: bool = False
    """Whether it stands here because the plan touches a service of the team, and the team wants
    to hear of that."""
    tracker: Literal["jira", "github", "alertmanager"] | None = None
    """Whether ``channel`` is an issue there, which gets comments; or a silence."""
    silence: Silence | None = None
    """What Alertmanager silences, with parameters filled in."""
    words: tuple[OwnWords, ...] = ()
    """The team's own words, by event."""
    states: tuple[tuple[NoticeEvent, str], ...] = ()
    """What becomes of the state of the issue, by event."""

    @property
    def name(self) -> str:
        """What tells one way from another: connection and channel."""
        return f"{self.connection}/{self.channel}" if self.channel else self.connection


class ContactEscalation(Frozen):
    """Who is told as well when nobody has acted after some time."""

    after: Duration
    team: str
    routes: tuple[ContactRoute, ...]


class Contact(Frozen):
    """How a team is told things."""

    team: str
    connections: tuple[str, ...]
    """Airflow Connections, each once."""
    routes: tuple[ContactRoute, ...] = ()
    """What goes to which connection; empty: everything to all of them."""
    escalations: tuple[ContactEscalation, ...] = Field(default=())
    """Sorted by time."""

    @property
    def ways(self) -> tuple[ContactRoute, ...]:
        """The routes, also where the team names no more than connections."""
        return self.routes or plain(self.connections)


def plain(connections: Iterable[str]) -> tuple[ContactRoute, ...]:
    """Routes for connections that everything goes to."""
    return tuple(ContactRoute(connection=name) for name in dict.fromkeys(connections))


def contact(name: str, team: Team, teams: Mapping[str, Team], *, touched: bool) -> Contact:
    """How a team is told; ``touched`` says that the plan touches a service of it."""
    return Contact(
        team=name,
        connections=team.spec.connections,
        routes=routes_of(team, touched=touched),
        escalations=tuple(
            ContactEscalation(after=item.after, team=to, routes=ways)
            for item in team.spec.escalations
            for to in _teams(item, teams)
            if (ways := ways_of(teams[to]))
        ),
    )


def routes_of(team: Team, *, touched: bool = False) -> tuple[ContactRoute, ...]:
    """The routes of a team; none if its connections say everything."""
    ways = ways_of(team, touched=touched)
    return () if ways == plain(team.spec.connections) else ways


def ways_of(team: Team, *, touched: bool = False) -> tuple[ContactRoute, ...]:
    """The routes of a team, each once."""
    words = tuple(
        OwnWords(event=event, title=said.title, text=said.text)
        for event, said in sorted(team.spec.templates.items())
    )
    return tuple(
        ContactRoute(
            connection=route.connection,
            channel=route.channel,
            events=route.events,
            min_severity=route.min_severity,
            touched=touched and route.touched,
            words=words,
        )
        for route in team.spec.routes
    )


def _teams(escalation: TeamEscalation, teams: Mapping[str, Team]) -> list[str]:
    """The teams that are named; a bare name means a team if there is one of that name."""
    names = [text.removeprefix("team:").removeprefix("group:") for text in escalation.to]
    return [name for name in dict.fromkeys(names) if name in teams]


def reach(item: Contact) -> list[str]:
    """How a team is told, in words, one line for each way."""
    lines = [_words(route) for route in item.ways]
    for escalation in item.escalations:
        ways = ", ".join(route.name for route in escalation.routes)
        after = format_duration(escalation.after)
        lines.append(f"{escalation.team} ({ways}) if nobody acts for {after}")
    return lines


def own_words(contacts: Iterable[Contact]) -> dict[tuple[str, str], OwnWords]:
    """What teams, and those who are called if they do not act, are told in words of their own: by
    team and event."""
    told = [(item.team, item.ways) for item in contacts]
    told += [(called.team, called.routes) for item in contacts for called in item.escalations]
    return {
        (team, words.event): words for team, ways in told for route in ways for words in route.words
    }


def _words(route: ContactRoute) -> str:
    limits = [", ".join(route.events)] if route.events else []
    if route.min_severity != "info":
        limits.append(f"{route.min_severity} and above")
    if route.touched:
        limits.append("because it is touched")
    return f"{route.name} ({'; '.join(limits)})" if limits else route.name
