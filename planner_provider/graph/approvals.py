"""Who may approve, with teams resolved to people, and what the size of the risk depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from planner_provider.graph.contacts import ContactRoute, plain, ways_of
from planner_provider.graph.frozen import Frozen
from planner_provider.spec.actions import Approval
from planner_provider.spec.kinds import Service, Team
from planner_provider.spec.values import Duration

RiskLevel = Literal["low", "medium", "high"]
SERVICE = "service://"


class EscalationRule(Frozen):
    """Who may approve as well when so much time has passed, and how they are told."""

    after: Duration
    """Counted from the moment of asking."""
    to: tuple[str, ...]
    """As the spec names them."""
    users: tuple[str, ...]
    """Users of Airflow, sorted."""
    connections: tuple[str, ...] = ()
    """Airflow Connections that reach them."""
    routes: tuple[ContactRoute, ...] = ()
    """What goes to which of them; empty: everything."""

    @property
    def ways(self) -> tuple[ContactRoute, ...]:
        """The routes, also where there are no more than connections."""
        return self.routes or plain(self.connections)


class ApprovalRule(Frozen):
    """An approval of a spec, with every group and team resolved to users of Airflow."""

    required: Literal["auto", "always"] = "always"
    approvers: tuple[str, ...]
    """As the spec names them."""
    users: tuple[str, ...]
    """Users of Airflow who may answer from the start, sorted."""
    connections: tuple[str, ...] = ()
    """Airflow Connections that reach the approvers."""
    routes: tuple[ContactRoute, ...] = ()
    """What goes to which of them; empty: everything."""
    count: int = Field(default=1, ge=1)
    """How many different people must agree."""
    not_requester: bool = True
    """Whether the one who started the run may not approve it."""
    timeout: Duration
    """How long answers are waited for, from the moment of asking."""
    on_timeout: Literal["reject", "expire"] = "expire"
    escalations: tuple[EscalationRule, ...] = ()
    """In the order of their times."""
    max_risk: RiskLevel | None = None
    """Highest risk at which no person is needed; ``None``: a person is always needed."""
    message: str | None = None
    """What the author of the plan says to the approvers (templated)."""

    @property
    def ways(self) -> tuple[ContactRoute, ...]:
        """The routes, also where there are no more than connections."""
        return self.routes or plain(self.connections)

    @property
    def everybody(self) -> tuple[str, ...]:
        """All who may answer at some time, sorted."""
        found = set(self.users)
        for escalation in self.escalations:
            found.update(escalation.users)
        return tuple(sorted(found))


class ChangeProfile(Frozen):
    """What the size of the risk depends on and the spec says. ``None``: the spec does not say."""

    tier: int | None = None
    """Lowest tier (0 is most critical) of the services that are changed."""
    exclusive_resources: int = 0
    """How many resources the plan changes."""
    dependents: int | None = None
    """How many services depend, directly or not, on those that are changed."""
    changing_steps: int = 0
    """How many steps can change something."""
    irreversible_steps: int = 0
    """How many of these declare nothing that undoes them."""


def approval_rule(approval: Approval, teams: Mapping[str, Team]) -> ApprovalRule | None:
    """Resolve an approval; ``None`` if none is required.

    ``group:NAME`` and ``team:NAME`` mean the members of the Team of that name. A team that is not
    in ``teams`` has no members: nobody can approve in its name.
    """
    if approval.required == "never":
        return None
    auto = approval.auto_approve if approval.required == "auto" else None
    escalations = sorted(approval.escalate, key=lambda item: item.after)
    return ApprovalRule(
        required=approval.required,
        approvers=approval.approvers,
        users=_users(approval.approvers, teams),
        connections=_connections(approval.approvers, teams),
        routes=_routes(approval.approvers, teams),
        count=approval.count,
        not_requester=approval.not_ == "requester",
        timeout=approval.timeout,
        on_timeout=approval.on_timeout,
        escalations=tuple(
            EscalationRule(
                after=item.after,
                to=item.to,
                users=_users(item.to, teams),
                connections=_connections(item.to, teams),
                routes=_routes(item.to, teams),
            )
            for item in escalations
        ),
        max_risk=auto.max_risk if auto else None,
        message=approval.message,
    )


def change_profile(
    changed: Iterable[str],
    services: Mapping[str, Service],
    *,
    changing_steps: int,
    irreversible_steps: int,
) -> ChangeProfile:
    """What the risk depends on.

    ``changed`` are the resources that are touched exclusively. A resource that belongs to no
    service, or a plan that changes something and says nothing of what it touches, makes tier and
    dependents unknown.
    """
    resources = sorted(set(changed))
    names: set[str] = set()
    unknown = not resources and changing_steps > 0
    for resource in resources:
        owners = [n for n, s in services.items() if _belongs(resource, n, s)]
        names.update(owners)
        unknown = unknown or not owners
    tiers = [services[name].spec.tier for name in names]
    known = [tier for tier in tiers if tier is not None]
    return ChangeProfile(
        tier=None if unknown or len(known) < len(tiers) else min(known, default=5),
        exclusive_resources=len(resources),
        dependents=None if unknown else len(_dependents(names, services)),
        changing_steps=changing_steps,
        irreversible_steps=irreversible_steps,
    )


def parameters_digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of the values that a run was started with, in hexadecimal."""
    text = json.dumps(dict(values), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _belongs(resource: str, name: str, service: Service) -> bool:
    return resource == f"{SERVICE}{name}" or resource in service.spec.resources


def _dependents(names: set[str], services: Mapping[str, Service]) -> set[str]:
    reached = set(names)
    grows = True
    while grows:
        more = {
            name
            for name, service in services.items()
            if name not in reached and reached.intersection(service.spec.depends_on)
        }
        reached |= more
        grows = bool(more)
    return reached - names


def _users(names: Iterable[str], teams: Mapping[str, Team]) -> tuple[str, ...]:
    found: set[str] = set()
    for text in names:
        kind, colon, name = text.partition(":")
        if not colon:
            found.add(text)
        elif kind == "user":
            found.add(name)
        elif name in teams:
            found.update(teams[name].spec.members)
    return tuple(sorted(found))


def _connections(names: Iterable[str], teams: Mapping[str, Team]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for team in _named_teams(names, teams):
        found.update(dict.fromkeys(team.spec.connections))
    return tuple(found)


def _routes(names: Iterable[str], teams: Mapping[str, Team]) -> tuple[ContactRoute, ...]:
    """The routes, each once; none if the connections say everything."""
    named = _named_teams(names, teams)
    ways = tuple(dict.fromkeys(way for team in named for way in ways_of(team)))
    return () if ways == plain(way.connection for way in ways) else ways


def _named_teams(names: Iterable[str], teams: Mapping[str, Team]) -> list[Team]:
    parts = [text.partition(":") for text in names]
    return [
        teams[name]
        for kind, colon, name in parts
        if colon and kind in ("group", "team") and name in teams
    ]
