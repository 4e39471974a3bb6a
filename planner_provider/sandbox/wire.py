"""The JSON of the API as types: what it takes and what it answers.

The server writes them, the client reads them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from planner_provider.sandbox.clock import iso
from planner_provider.sandbox.config import Frozen, Version
from planner_provider.sandbox.faults import (
    ANY,
    COUNTED_KINDS,
    DELAY_KINDS,
    HOOKS,
    MAX_DELAY_S,
    TRAFFIC_KINDS,
    Calls,
    Fault,
    FaultKind,
)
from planner_provider.sandbox.model import Change, Flag, Service, TrackKey
from planner_provider.sandbox.traffic import Totals

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_MAX_DURATION_S = 366 * 86_400.0


def _seconds(value: float | str) -> float:
    if isinstance(value, str):
        found = _DURATION.fullmatch(value)
        if found is None:
            raise ValueError(f"{value!r} is not a duration; write seconds, or 90s, 5m, 2h")
        value = float(found[1]) * _UNITS[found[2]]
    if not 0 < value <= _MAX_DURATION_S:
        raise ValueError("a duration lies above 0 and within a year")
    return value


Duration = Annotated[float | str, AfterValidator(_seconds)]
"""Seconds as a number, or text such as ``90s`` or ``5m``; becomes seconds."""


class VersionBody(Frozen):
    """Body of PUT canary, PUT version."""

    version: Version


class PromoteBody(Frozen):
    """Body of promote. Without the version it is not safe to send twice."""

    version: Version | None = None


class WeightBody(Frozen):
    """Body of PUT weight. With ``version`` it is refused when the canary is another one."""

    weight: int = Field(ge=0, le=100)
    version: Version | None = None


class ReplicasBody(Frozen):
    """Body of PUT replicas."""

    replicas: int = Field(ge=0, le=10_000)


class FlagBody(Frozen):
    """Body of PUT flag; what is left out stays as it is."""

    enabled: bool | None = None
    percentage: int | None = Field(default=None, ge=0, le=100)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.enabled is None and self.percentage is None:
            raise ValueError("says neither enabled nor percentage")
        return self


class AdvanceBody(Frozen):
    """Body of POST /sim/advance: simulated seconds, at most a day at a time."""

    seconds: float = Field(gt=0, le=86_400)


class FaultBody(Frozen):
    """Body of POST /faults; the kinds are explained in ``faults``."""

    kind: FaultKind
    service: str = ANY
    version: str = ANY
    value: float | None = None
    status: Literal[429, 500, 502, 503, 504] = 503
    calls: int | None = Field(default=None, ge=1, le=1_000_000)
    on: Calls | None = None
    for_: Duration | None = Field(default=None, alias="for")

    @model_validator(mode="after")
    def _check(self) -> Self:
        kind, value = self.kind, self.value
        if kind in TRAFFIC_KINDS and (self.on is not None or self.calls is not None):
            raise ValueError(f"'on' and 'calls' are for faults of the API, not for {kind}")
        if kind in TRAFFIC_KINDS and self.service == HOOKS:
            raise ValueError(f"a hook has no traffic; {kind} is for services")
        if kind not in TRAFFIC_KINDS and self.version != ANY:
            raise ValueError(f"{kind} hits calls of the API, which have no version")
        if kind == "down" and value is not None:
            raise ValueError("down takes no value")
        if kind in COUNTED_KINDS and value is not None and self.calls is not None:
            raise ValueError("give 'value' or 'calls', not both: they mean the same here")
        self._check_value(kind, value)
        return self

    @staticmethod
    def _check_value(kind: str, value: float | None) -> None:
        if value is None:
            if kind in ("errors", "error_factor", "latency") or kind in DELAY_KINDS:
                raise ValueError(f"{kind} needs a value")
            return
        if kind == "errors" and not 0 < value <= 1:
            raise ValueError("the value of errors is a ratio: above 0, at most 1")
        if kind in ("error_factor", "latency") and not 0 < value <= 1000:
            raise ValueError(f"the value of {kind} is a factor: above 0, at most 1000")
        if kind in DELAY_KINDS and not 0 < value <= MAX_DELAY_S:
            raise ValueError(f"the value of {kind} is in seconds: above 0, at most {MAX_DELAY_S:g}")
        if kind in COUNTED_KINDS and not (value >= 1 and value == int(value)):
            raise ValueError(f"the value of {kind} is a number of calls: 1 or more")

    def fault(self) -> Fault:
        """The fault that this asks for, still without an id and an end."""
        left = self.calls
        if self.kind in COUNTED_KINDS and left is None:
            left = int(self.value or 1)
        on: Calls = self.on or ("write" if self.kind == "drop" else "any")
        return Fault(
            id=0, kind=self.kind, service=self.service, version=self.version,
            value=self.value or 0.0, status=self.status, on=on, until_ms=None, left=left,
        )  # fmt: skip


class View(BaseModel):
    """Base of the answers. A client ignores what it does not know."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class TrackView(View):
    """One deployed version and its share of the requests in percent."""

    version: str
    weight: int


class FlagView(View):
    """A feature flag."""

    name: str
    enabled: bool
    percentage: int
    service: str | None

    @classmethod
    def of(cls, flag: Flag) -> Self:
        """The flag as the API shows it."""
        return cls(
            name=flag.name, enabled=flag.enabled, percentage=flag.percentage, service=flag.service
        )


class ServiceView(View):
    """A service. ``schema_version`` is only known for ``orders``, and only with a database."""

    name: str
    stable: TrackView
    canary: TrackView | None
    replicas: int
    flags: tuple[FlagView, ...] = ()
    schema_version: int | None = None

    @classmethod
    def of(cls, service: Service, flags: tuple[Flag, ...], schema_version: int | None) -> Self:
        """The service as the API shows it."""
        canary = service.canary
        weight = canary.weight if canary else 0
        return cls(
            name=service.name,
            stable=TrackView(version=service.stable, weight=100 - weight),
            canary=TrackView(version=canary.version, weight=weight) if canary else None,
            replicas=service.replicas,
            flags=tuple(FlagView.of(flag) for flag in flags if flag.service == service.name),
            schema_version=schema_version,
        )


class ChangeView(View):
    """A change as it was recorded."""

    seq: int
    at: str
    service: str | None
    what: str
    from_: str | int | None = Field(alias="from")
    to: str | int | None
    effective: bool
    headers: dict[str, str]

    @classmethod
    def of(cls, change: Change) -> Self:
        """The change as the API shows it."""
        act = change.act
        return cls(
            seq=change.seq, at=iso(change.at_ms), service=act.service, what=act.what,
            from_=act.before, to=act.after, effective=act.effective, headers=dict(change.headers),
        )  # fmt: skip


class ChangedView(View):
    """Answer to a call that changes something. ``service`` is None when it was a flag."""

    changed: bool
    change: ChangeView
    service: ServiceView | None = None


class CountView(View):
    """How often one change was asked for, and how often that changed something."""

    service: str | None
    what: str
    to: str | int | None
    effective: int
    no_op: int


class CountsView(View):
    """All counts that were asked for, and their sums."""

    counts: tuple[CountView, ...]
    effective: int
    no_op: int


class TrackStats(View):
    """Requests of one version in the last seconds. Ratios are None when there were no requests."""

    version: str
    track: str
    requests: int
    errors: int
    slow: int
    error_ratio: float | None
    slow_ratio: float | None
    latency_ms_mean: float | None

    @classmethod
    def of(cls, key: TrackKey, totals: Totals) -> Self:
        """The counts as the API shows them."""
        n = totals.requests
        return cls(
            version=key.version, track=key.track, requests=n, errors=totals.errors,
            slow=totals.slow,
            error_ratio=totals.errors / n if n else None,
            slow_ratio=totals.slow / n if n else None,
            latency_ms_mean=totals.latency_us / 1000 / n if n else None,
        )  # fmt: skip


class StatsView(View):
    """What a service's versions did in the last ``seconds``, as precise as the 10 s buckets."""

    service: str
    seconds: int
    tracks: tuple[TrackStats, ...]


class FaultView(View):
    """A fault in force."""

    id: int
    kind: str
    service: str
    version: str
    value: float
    status: int
    on: str
    until: str | None
    left: int | None

    @classmethod
    def of(cls, fault: Fault) -> Self:
        """The fault as the API shows it."""
        return cls(
            id=fault.id, kind=fault.kind, service=fault.service, version=fault.version,
            value=fault.value, status=fault.status, on=fault.on, left=fault.left,
            until=None if fault.until_ms is None else iso(fault.until_ms),
        )  # fmt: skip


class MessageView(View):
    """A message that was posted to a hook."""

    at: str
    body: Any
    headers: dict[str, str]


class SimView(View):
    """The simulated clock. ``speed`` is None when it is stepped."""

    now: str
    epoch: float
    stepped: bool
    speed: float | None
    seed: int
    generation: int


class ErrorView(View):
    """What went wrong, to what, and what to do next."""

    error: str
    detail: str
    hint: str
