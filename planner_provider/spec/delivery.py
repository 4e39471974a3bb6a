"""The actions that change what a service runs: canary, blue_green, deploy, flag, scale."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from planner_provider.spec.actions import HttpMethod
from planner_provider.spec.base import Int, Json, Model, Number
from planner_provider.spec.values import (
    ConnectionId,
    Duration,
    Name,
    PositiveDuration,
    Share,
    Template,
    TemplateTree,
    Text,
    form,
)


class KubernetesTarget(Model):
    """A Deployment in a cluster."""

    connection: ConnectionId = "kubernetes_default"
    namespace: Template
    deployment: Template
    container: Template | None = None
    """Which container the image is for; needed where the pod has several."""


class HttpTarget(Model):
    """A service that is deployed by HTTP calls."""

    connection: ConnectionId
    service: Template


class Target(Model):
    """What is changed: exactly one of the ways to reach it."""

    kubernetes: KubernetesTarget | None = None
    http: HttpTarget | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.kubernetes is None) == (self.http is None):
            raise PydanticCustomError("one_of", "a target is either `kubernetes` or `http`")
        return self


class Change(Model):
    """What it is changed to."""

    image: Template | None = None
    version: Template | None = None
    env: dict[Text, Template] = Field(default_factory=dict)
    patch: TemplateTree = None
    """A strategic merge patch, for what the other keys cannot say."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.image is None and self.version is None and not self.env and self.patch is None:
            raise PydanticCustomError(
                "nothing_changed",
                "this change changes nothing; give `image`, `version`, `env` or `patch`",
            )
        return self


class HttpTraffic(Model):
    """Traffic that is shifted by an HTTP call; ``{{ weight }}`` stands for the percentage."""

    connection: ConnectionId
    method: HttpMethod = "PUT"
    path: Template
    body: TemplateTree = None


class Traffic(Model):
    """How the share of traffic is set: exactly one way."""

    http_route: Name | None = None
    """Name of a Gateway API HTTPRoute."""
    replicas: Literal["ratio"] | None = None
    """By the ratio of replicas."""
    argo_rollout: Name | None = None
    """Name of an Argo Rollout that is driven."""
    http: HttpTraffic | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [self.http_route, self.replicas, self.argo_rollout, self.http]
        if sum(way is not None for way in given) != 1:
            raise PydanticCustomError(
                "one_of", "give exactly one of `http_route`, `replicas`, `argo_rollout` and `http`"
            )
        return self


class CanaryStep(Model):
    """One weight, and how long it is watched."""

    weight: Annotated[Int, Field(ge=0, le=100)]
    bake: PositiveDuration


class Arms(Model):
    """Label matchers that tell canary from baseline in the metrics."""

    canary: Template = 'track="canary"'
    """PromQL label matchers, without braces, that are added to every selector."""
    baseline: Template = 'track="stable"'


class Metric(Model):
    """Events that canary and baseline are compared by, such as slow or failed requests."""

    name: Name
    connection: ConnectionId
    """Airflow Connection of the Prometheus."""
    bad: Template
    """Series selector of the counter of bad events."""
    total: Template
    """Series selector of the counter of all events."""
    direction: Literal["increase", "decrease", "either"] = "increase"
    """Which change of the share of bad events counts against the canary."""
    importance: Literal["critical", "normal", "informational"] = "normal"


class Analysis(Model):
    """What decides whether the canary may go on."""

    slos: tuple[Name, ...] = ()
    """SLOs that must not be breached."""
    compare: tuple[Name, ...] = ()
    """SLOs whose indicator is compared between canary and baseline."""
    metrics: tuple[Metric, ...] = ()
    arms: Arms = Field(default_factory=Arms)
    """How the metrics tell canary from baseline."""
    every: PositiveDuration = Field(default=timedelta(minutes=1))
    """Time between two looks, and the length of the intervals that are counted."""
    patience: Duration | None = None
    """How much longer than its bake a weight is watched while too little is known to go on;
    left out: as long again. After it the canary is rolled back."""
    max_ratio: Annotated[Number, Field(gt=1, le=10)] = 1.5
    """A canary goes on only if its share of bad events is, for all that can be seen, less than so
    many times the baseline's."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not (self.slos or self.compare or self.metrics):
            raise PydanticCustomError(
                "nothing_checked",
                "this analysis checks nothing; give `slos`, `compare` or `metrics`",
            )
        return self


class Canary(Model):
    """Give a new version a growing share of traffic while it is judged against the old one."""

    target: Target
    change: Change
    traffic: Traffic
    steps: tuple[CanaryStep, ...] = Field(min_length=1, max_length=50)
    analysis: Analysis

    @model_validator(mode="after")
    def _weights_rise(self) -> Self:
        weights = [step.weight for step in self.steps]
        if any(later <= earlier for earlier, later in pairwise(weights)):
            raise PydanticCustomError(
                "weights_not_rising",
                "the weights must rise from step to step: {weights}",
                {"weights": ", ".join(map(str, weights))},
            )
        return self


class BlueGreen(Model):
    """Start the new version beside the old one, check it, then switch all traffic at once."""

    target: Target
    change: Change
    traffic: Traffic
    bake: PositiveDuration = Field(default=timedelta(minutes=10))
    """How long the new version is watched after the switch, with the old one kept ready."""
    analysis: Analysis | None = None

    @model_validator(mode="after")
    def _nothing_to_compare(self) -> Self:
        if self.analysis is not None and (self.analysis.compare or self.analysis.metrics):
            raise PydanticCustomError(
                "one_of",
                "`blue_green` leaves the old version no traffic to compare with; give `slos` only, "
                "or use `canary`",
            )
        return self


class Deploy(Model):
    """Change a service in place and wait until it is rolled out."""

    target: Target
    change: Change
    progress_deadline: PositiveDuration = Field(default=timedelta(minutes=10))


class Flag(Model):
    """Change a feature flag."""

    name: Annotated[Text, form(r"^[\w.-]{1,200}$(?!\n)")]
    action: Literal["enable", "disable", "rollout", "set", "remove"]
    connection: ConnectionId | None = None
    percentage: Share | None = None
    value: Json = None

    @model_validator(mode="after")
    def _action_needs(self) -> Self:
        if (self.action == "rollout") != (self.percentage is not None):
            raise PydanticCustomError(
                "missing_for_mode", "`percentage` belongs to action `rollout`, which needs it"
            )
        if (self.action == "set") != (self.value is not None):
            raise PydanticCustomError(
                "missing_for_mode", "`value` belongs to action `set`, which needs it"
            )
        return self


class Scale(Model):
    """Change how many replicas a service has."""

    target: Target
    replicas: Annotated[Int, Field(ge=0)] | None = None
    by: Annotated[Text, form(r"^[+-]\d+%?$(?!\n)")] | None = None
    """A relative change: ``+3``, ``-1``, ``+50%``."""
    max_replicas: Annotated[Int, Field(ge=1)] | None = None
    cost_cap_per_hour: Annotated[Number, Field(gt=0)] | None = None
    """Most that the change may cost an hour, in the currency of the billing source."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.replicas is None) == (self.by is None):
            raise PydanticCustomError("one_of", "give either `replicas` or `by`")
        return self
