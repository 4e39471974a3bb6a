"""What can be changed in the simulated production, as data, and the changes as pure functions.

Each function takes what is and returns what shall be, with the ``Act`` that leads there. An act
that asks for what already is so is not ``effective``. ``ContradictionError`` says that the world
does not allow the act now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

Track = Literal["stable", "canary"]
TRACKS: tuple[Track, ...] = ("stable", "canary")

Value = str | int | None
"""What a change goes from and to."""


class TrackKey(NamedTuple):
    """What requests are counted by."""

    service: str
    version: str
    track: Track


@dataclass(frozen=True, slots=True)
class Canary:
    """A second version of a service; ``weight`` is its share of the requests in percent."""

    version: str
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """What is deployed of one service."""

    name: str
    stable: str
    replicas: int
    canary: Canary | None = None

    def tracks(self) -> tuple[tuple[TrackKey, float], ...]:
        """What serves requests, each with its share of them (0 to 1)."""
        canary = self.canary
        if canary is None:
            return ((TrackKey(self.name, self.stable, "stable"), 1.0),)
        share = canary.weight / 100
        return (
            (TrackKey(self.name, self.stable, "stable"), 1 - share),
            (TrackKey(self.name, canary.version, "canary"), share),
        )


@dataclass(frozen=True, slots=True)
class Flag:
    """A feature flag: whether it is on, and for how many percent of the users."""

    name: str
    enabled: bool = False
    percentage: int = 0
    service: str | None = None

    def __str__(self) -> str:
        return f"{'on' if self.enabled else 'off'} {self.percentage}%"


@dataclass(frozen=True, slots=True)
class Act:
    """One request to change something.

    ``service`` is None for a flag that belongs to no service.
    """

    service: str | None
    what: str
    before: Value
    after: Value
    effective: bool


@dataclass(frozen=True, slots=True)
class Change:
    """An act as it was recorded. ``at_ms`` is simulated time in milliseconds since 1970."""

    seq: int
    at_ms: int
    act: Act
    headers: Mapping[str, str] = field(default_factory=dict)


class ContradictionError(Exception):
    """The world, as it is, does not allow the act."""

    def __init__(self, detail: str, hint: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


def put_canary(service: Service, version: str) -> tuple[Service, Act]:
    """Deploy ``version`` beside the stable one, without traffic.

    The same again keeps its weight.
    """
    canary = service.canary
    if canary is None:
        return (
            replace(service, canary=Canary(version)),
            Act(service.name, "canary", None, version, effective=True),
        )
    if canary.version != version:
        raise ContradictionError(
            f"{service.name} already has the canary {canary.version} at weight {canary.weight}",
            f"promote it, or remove it with DELETE /services/{service.name}/canary, then try again",
        )
    return service, Act(service.name, "canary", version, version, effective=False)


def put_weight(service: Service, weight: int, expected: str | None) -> tuple[Service, Act]:
    """Give the canary ``weight`` percent of the requests; ``expected`` is the version it must
    have.
    """
    canary = service.canary
    if canary is None:
        raise ContradictionError(
            f"{service.name} has no canary, so nothing can get {weight} % of its traffic",
            f'deploy one first: PUT /services/{service.name}/canary {{"version": ...}}',
        )
    if expected is not None and canary.version != expected:
        raise ContradictionError(
            f"the canary of {service.name} is {canary.version}, not {expected}",
            "somebody else deployed another canary; read the service again before you go on",
        )
    act = Act(service.name, "weight", canary.weight, weight, effective=canary.weight != weight)
    return replace(service, canary=replace(canary, weight=weight)), act


def promote(service: Service, expected: str | None) -> tuple[Service, Act]:
    """Make the canary the stable version. With ``expected``, doing it twice is harmless."""
    canary = service.canary
    if canary is not None and expected in (None, canary.version):
        act = Act(service.name, "promote", service.stable, canary.version, effective=True)
        return replace(service, stable=canary.version, canary=None), act
    if canary is None and expected is not None and service.stable == expected:
        return service, Act(service.name, "promote", expected, expected, effective=False)
    here = "no canary" if canary is None else f"the canary {canary.version}"
    wanted = "a canary" if expected is None else f"the canary {expected}"
    raise ContradictionError(
        f"cannot promote {wanted}: {service.name} has {here} and its stable version is "
        f"{service.stable}",
        f"read GET /services/{service.name}, then deploy the canary that you mean",
    )


def remove_canary(service: Service, expected: str | None) -> tuple[Service, Act]:
    """Take the canary away; all traffic goes to the stable version. None there: nothing to do."""
    canary = service.canary
    if canary is None:
        return service, Act(service.name, "canary", None, None, effective=False)
    if expected is not None and canary.version != expected:
        raise ContradictionError(
            f"the canary of {service.name} is {canary.version}, not {expected}",
            "it is not the one that you deployed, so it was left alone",
        )
    act = Act(service.name, "canary", canary.version, None, effective=True)
    return replace(service, canary=None), act


def put_replicas(service: Service, replicas: int) -> tuple[Service, Act]:
    """Run this many replicas."""
    act = Act(
        service.name, "replicas", service.replicas, replicas,
        effective=service.replicas != replicas,
    )  # fmt: skip
    return replace(service, replicas=replicas), act


def put_version(service: Service, version: str) -> tuple[Service, Act]:
    """Deploy ``version`` as the stable one at once, without a canary."""
    act = Act(service.name, "version", service.stable, version, effective=service.stable != version)
    return replace(service, stable=version), act


def put_flag(
    old: Flag | None, name: str, enabled: bool | None, percentage: int | None
) -> tuple[Flag, Act]:
    """Set a flag, or make it.

    What is None stays as it is; a new flag is off, or on for everybody.
    """
    base = old or Flag(name, percentage=100 if enabled else 0)
    new = replace(
        base,
        enabled=base.enabled if enabled is None else enabled,
        percentage=base.percentage if percentage is None else percentage,
    )
    before = None if old is None else str(old)
    return new, Act(new.service, f"flags/{name}", before, str(new), effective=new != old)


def remove_flag(old: Flag | None, name: str) -> Act:
    """Take a flag away. None there: nothing to do."""
    if old is None:
        return Act(None, f"flags/{name}", None, None, effective=False)
    return Act(old.service, f"flags/{name}", str(old), None, effective=True)
