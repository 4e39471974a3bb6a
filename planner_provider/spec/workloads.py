"""The long actions: patch a fleet in waves, backfill a range of time under a throttle."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from planner_provider.spec.actions import Http, Operator, Pod, Shell, Sql, Verify, Wait
from planner_provider.spec.base import Bool, Int, Model, Number
from planner_provider.spec.values import (
    ConnectionId,
    CountOrShare,
    Duration,
    Instant,
    Name,
    PositiveDuration,
    Template,
    Text,
    form,
)


class Drain(Model):
    """Move work away from a target before it is touched."""

    timeout: PositiveDuration = Field(default=timedelta(minutes=15))
    force: Bool = False


class Reboot(Model):
    """Restart the target and wait until it is back."""

    timeout: PositiveDuration = Field(default=timedelta(minutes=15))


class Uncordon(Model):
    """Let the target take work again; only what the plan itself cordoned."""


class TargetStep(Model):
    """One thing that is done to each target; exactly one key."""

    drain: Drain | None = None
    reboot: Reboot | None = None
    uncordon: Uncordon | None = None
    pod: Pod | None = None
    shell: Shell | None = None
    http: Http | None = None
    sql: Sql | None = None
    operator: Operator | None = None
    verify: Verify | None = None
    wait: Wait | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise PydanticCustomError(
                "one_action",
                "each entry of `per_target` does exactly one thing, this one names {n}",
                {"n": len(self.model_fields_set)},
            )
        return self


class BetweenWaves(Model):
    """What must hold before the next wave."""

    bake: Duration = Field(default=timedelta(seconds=0))
    slos: tuple[Name, ...] = ()
    approval: Bool = False


class Patch(Model):
    """Work through a fleet in waves."""

    fleet: Name
    waves: tuple[CountOrShare, ...] = Field(min_length=1, max_length=100)
    """Cumulative size after each wave: a count or a share of the fleet."""
    max_unavailable: CountOrShare = 1
    max_errors: CountOrShare = 0
    """The wave stops at the first error beyond this number."""
    between_waves: BetweenWaves = Field(default_factory=BetweenWaves)
    per_target: tuple[TargetStep, ...] = Field(min_length=1)


class ThrottleSignal(Model):
    """What tells that the rate is too high: exactly one source."""

    slo: Name | None = None
    connection: ConnectionId | None = None
    query: Template | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        asked = (self.connection, self.query, self.max)
        if (self.slo is None) == all(part is None for part in asked):
            raise PydanticCustomError(
                "one_of", "give either `slo`, or `connection` with `query` and `max`"
            )
        if self.slo is None and any(part is None for part in asked):
            raise PydanticCustomError("one_of", "`connection`, `query` and `max` belong together")
        return self


class Throttle(Model):
    """How much runs at once, and what makes it less."""

    start: Annotated[Int, Field(ge=1)] = 1
    min: Annotated[Int, Field(ge=0)] = 1
    max: Annotated[Int, Field(ge=1, le=1024)] = 8
    every: PositiveDuration = Field(default=timedelta(seconds=30))
    signal: ThrottleSignal | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.min <= self.start <= self.max:
            raise PydanticCustomError(
                "throttle_order",
                "`min` <= `start` <= `max` must hold: {min}, {start}, {max}",
                {"min": self.min, "start": self.start, "max": self.max},
            )
        return self


class Chunks(Model):
    """A backfill of work that is not a DAG: one command or statement a chunk of time."""

    size: PositiveDuration
    sql: Sql | None = None
    shell: Shell | None = None
    pod: Pod | None = None
    http: Http | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(part is not None for part in (self.sql, self.shell, self.pod, self.http)) != 1:
            raise PydanticCustomError(
                "one_action", "chunks do exactly one of `sql`, `shell`, `pod` and `http`"
            )
        return self


class Backfill(Model):
    """Run past intervals again, as fast as what is downstream can bear."""

    dag: Annotated[Text, form(r"^[\w.-]{1,250}$(?!\n)")] | None = None
    chunks: Chunks | None = None
    from_: Instant | Template = Field(alias="from")
    to: Instant | Template
    order: Literal["oldest_first", "newest_first"] = "oldest_first"
    reprocess: Literal["none", "failed", "completed"] = "none"
    throttle: Throttle = Field(default_factory=Throttle)
    max_errors: CountOrShare = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.dag is None) == (self.chunks is None):
            raise PydanticCustomError("one_of", "give either `dag` or `chunks`")
        if (
            not isinstance(self.from_, str)
            and not isinstance(self.to, str)
            and self.from_ >= self.to
        ):
            raise PydanticCustomError("empty_range", "`from` must be before `to`")
        return self
