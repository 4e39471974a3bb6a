"""OpenSLO v1 documents, with the rules of the OpenSLO specification.

Keys are OpenSLO's own (camelCase in text, snake_case in Python). Rules are those of the
specification's README and, where it is silent, those of its Go SDK.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from planner_provider.spec.base import Bool, Json, Model, Number, RawStr
from planner_provider.spec.values import NAME_PATTERN, Zone

ObjectName = Annotated[RawStr, Field(pattern=NAME_PATTERN)]
"""A name by RFC 1123: lower-case letters, digits and dashes, at most 63 characters."""
Description = Annotated[RawStr, Field(max_length=1050)]
Operator = Literal["lte", "gte", "lt", "gt"]
DurationShorthand = Annotated[RawStr, Field(pattern=r"^\d*[1-9]\d*[mhdwMQY]$(?!\n)")]
"""A positive whole number and a unit: m, h, d, w, M (month), Q (quarter) or Y."""
LabelKey = Annotated[
    RawStr, Field(pattern=r"^[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$(?!\n)")
]
FilledText = Annotated[RawStr, Field(min_length=1)]


class OpenSloModel(Model):
    """A part of an OpenSLO document."""

    model_config = ConfigDict(alias_generator=to_camel)


class ObjectMetadata(OpenSloModel):
    """Name, labels and annotations of an OpenSLO object."""

    name: ObjectName
    display_name: Annotated[RawStr, Field(max_length=63)] | None = None
    labels: dict[LabelKey, RawStr | tuple[RawStr, ...]] = Field(default_factory=dict)
    annotations: dict[RawStr, RawStr] = Field(default_factory=dict)


class MetricSource(OpenSloModel):
    """Where a number comes from: a data source, and what it is asked."""

    metric_source_ref: ObjectName | None = None
    type: FilledText | None = None
    spec: dict[RawStr, Json] = Field(min_length=1)
    """Whatever the kind of data source needs, such as a query."""

    @model_validator(mode="after")
    def _known_type(self) -> Self:
        if self.metric_source_ref is None and self.type is None:
            raise PydanticCustomError(
                "openslo", "a metric source needs `type` or `metricSourceRef`"
            )
        return self


class MetricSpec(OpenSloModel):
    """One metric."""

    metric_source: MetricSource


class RatioMetric(OpenSloModel):
    """Good or bad events out of all, or a ratio that is already worked out."""

    counter: Bool = False
    """Whether the metrics only ever rise; without effect beside `raw`."""
    good: MetricSpec | None = None
    bad: MetricSpec | None = None
    total: MetricSpec | None = None
    raw_type: Literal["success", "failure"] | None = None
    raw: MetricSpec | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.total is None) == (self.raw is None):
            raise PydanticCustomError("openslo", "a ratioMetric has either `total` or `raw`")
        if self.raw is not None:
            if self.good is not None or self.bad is not None:
                raise PydanticCustomError("openslo", "`raw` stands alone, without `good` and `bad`")
            if self.raw_type is None:
                raise PydanticCustomError("openslo", "`raw` needs `rawType`: success or failure")
        else:
            if (self.good is None) == (self.bad is None):
                raise PydanticCustomError("openslo", "beside `total` stands either `good` or `bad`")
            if self.raw_type is not None:
                raise PydanticCustomError("openslo", "`rawType` belongs to `raw`")
        return self


class SliSpec(OpenSloModel):
    """How a service level is measured."""

    description: Description | None = None
    threshold_metric: MetricSpec | None = None
    ratio_metric: RatioMetric | None = None

    @model_validator(mode="after")
    def _one_metric(self) -> Self:
        if (self.threshold_metric is None) == (self.ratio_metric is None):
            raise PydanticCustomError(
                "openslo", "an SLI has either `thresholdMetric` or `ratioMetric`"
            )
        return self


class InlineIndicator(OpenSloModel):
    """An SLI that is written out within an SLO."""

    metadata: ObjectMetadata
    spec: SliSpec


class CalendarWindow(OpenSloModel):
    """A window that is aligned with the calendar."""

    start_time: Annotated[RawStr, Field(pattern=r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$(?!\n)")]
    time_zone: Zone

    @model_validator(mode="after")
    def _real_time(self) -> Self:
        from datetime import datetime

        try:
            datetime.strptime(self.start_time, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - a wall time
        except ValueError:
            raise PydanticCustomError(
                "openslo", "there is no time {value}", {"value": self.start_time}
            ) from None
        return self


class TimeWindow(OpenSloModel):
    """The period that the error budget is for."""

    duration: DurationShorthand
    is_rolling: Bool = False
    calendar: CalendarWindow | None = None

    @model_validator(mode="after")
    def _rolling_or_calendar(self) -> Self:
        if self.is_rolling and self.calendar is not None:
            raise PydanticCustomError("openslo", "a rolling window has no `calendar`")
        if not self.is_rolling and self.calendar is None:
            raise PydanticCustomError(
                "openslo", "a time window has either `isRolling: true` or a `calendar`"
            )
        return self


class Objective(OpenSloModel):
    """A target, and for threshold metrics the value that counts as good."""

    display_name: RawStr | None = None
    op: Operator | None = None
    value: Number | None = None
    target: Annotated[Number, Field(ge=0, lt=1)] | None = None
    """Share of good events, from 0 to below 1."""
    target_percent: Annotated[Number, Field(ge=0, lt=100)] | None = None
    """The same in percent."""
    time_slice_target: Annotated[Number, Field(gt=0, le=1)] | None = None
    time_slice_window: DurationShorthand | Annotated[Number, Field(gt=0)] | None = None
    """Length of a time slice; a bare number counts minutes."""
    indicator: InlineIndicator | None = None
    indicator_ref: ObjectName | None = None
    composite_weight: Annotated[Number, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.target is None) == (self.target_percent is None):
            raise PydanticCustomError(
                "openslo", "an objective has either `target` or `targetPercent`"
            )
        if self.indicator is not None and self.indicator_ref is not None:
            raise PydanticCustomError("openslo", "give either `indicator` or `indicatorRef`")
        return self

    @property
    def ratio(self) -> float:
        """The target as a share, from 0 to below 1."""
        if self.target is not None:
            return float(self.target)
        return float(self.target_percent or 0) / 100

    @property
    def is_composite(self) -> bool:
        """Whether the objective has an indicator of its own."""
        return self.indicator is not None or self.indicator_ref is not None


class AlertConditionType(OpenSloModel):
    """When an alert is raised."""

    kind: Literal["burnrate"] = "burnrate"
    op: Operator | None = None
    threshold: Number
    lookback_window: DurationShorthand
    alert_after: Annotated[RawStr, Field(pattern=r"^\d+[mhdwMQY]$(?!\n)")] | None = None


class AlertConditionSpec(OpenSloModel):
    """A condition and how bad it is."""

    description: Description | None = None
    severity: FilledText
    condition: AlertConditionType


class AlertNotificationTargetSpec(OpenSloModel):
    """Where alerts go."""

    description: Description | None = None
    target: FilledText


class _InlineOrRef(OpenSloModel):
    @model_validator(mode="after")
    def _one_form(self) -> Self:
        inline = {"kind", "metadata", "spec"}
        given = self.model_fields_set
        reference = next(name for name in type(self).model_fields if name not in inline)
        if (reference in given) == bool(inline & given):
            alias = to_camel(reference)
            raise PydanticCustomError(
                "openslo", "give either `{ref}`, or `kind`, `metadata` and `spec`", {"ref": alias}
            )
        if inline & given and not inline <= given:
            raise PydanticCustomError("openslo", "`kind`, `metadata` and `spec` belong together")
        return self


class AlertPolicyCondition(_InlineOrRef):
    """A condition, by name or written out."""

    condition_ref: ObjectName | None = None
    kind: Literal["AlertCondition"] | None = None
    metadata: ObjectMetadata | None = None
    spec: AlertConditionSpec | None = None


class AlertPolicyTarget(_InlineOrRef):
    """A notification target, by name or written out."""

    target_ref: ObjectName | None = None
    kind: Literal["AlertNotificationTarget"] | None = None
    metadata: ObjectMetadata | None = None
    spec: AlertNotificationTargetSpec | None = None


class AlertPolicySpec(OpenSloModel):
    """When somebody is told, and who."""

    description: Description | None = None
    alert_when_no_data: Bool = False
    alert_when_resolved: Bool = False
    alert_when_breaching: Bool = False
    conditions: tuple[AlertPolicyCondition, ...] = Field(min_length=1, max_length=1)
    notification_targets: tuple[AlertPolicyTarget, ...] = Field(min_length=1)


class SloAlertPolicy(_InlineOrRef):
    """An alert policy, by name or written out."""

    alert_policy_ref: ObjectName | None = None
    kind: Literal["AlertPolicy"] | None = None
    metadata: ObjectMetadata | None = None
    spec: AlertPolicySpec | None = None


class SloSpec(OpenSloModel):
    """A service level objective."""

    description: Description | None = None
    service: FilledText
    """The service it is about; an OpenSLO `Service` of that name may exist."""
    indicator: InlineIndicator | None = None
    indicator_ref: ObjectName | None = None
    time_window: tuple[TimeWindow, ...] = Field(default=(), max_length=1)
    budgeting_method: Literal["Occurrences", "Timeslices", "RatioTimeslices"]
    objectives: tuple[Objective, ...] = Field(min_length=1)
    alert_policies: tuple[SloAlertPolicy, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_indicators()
        for index, objective in enumerate(self.objectives, start=1):
            self._check_slices(index, objective)
            indicator = objective.indicator or self.indicator
            if indicator is not None and indicator.spec.threshold_metric is not None:
                problem = threshold_problem(objective, len(self.objectives))
                if problem:
                    raise PydanticCustomError(
                        "openslo",
                        "objective {index}: {problem}",
                        {"index": index, "problem": problem},
                    )
        return self

    def _check_indicators(self) -> None:
        own = [self.indicator, self.indicator_ref]
        if all(own):
            raise PydanticCustomError("openslo", "give either `indicator` or `indicatorRef`")
        composite = [objective.is_composite for objective in self.objectives]
        if any(own) and any(composite):
            raise PydanticCustomError(
                "openslo", "the indicator stands either in `spec` or in the objectives, not in both"
            )
        if not any(own) and not any(composite):
            raise PydanticCustomError("openslo", "an SLO needs `indicator` or `indicatorRef`")
        if any(composite) and not all(composite):
            raise PydanticCustomError(
                "openslo", "in a composite SLO every objective needs `indicator` or `indicatorRef`"
            )

    def _check_slices(self, index: int, objective: Objective) -> None:
        sliced = self.budgeting_method != "Occurrences"
        if sliced and objective.time_slice_window is None:
            raise PydanticCustomError(
                "openslo", "objective {index}: budgetingMethod {method} needs `timeSliceWindow`",
                {"index": index, "method": self.budgeting_method},
            )  # fmt: skip
        if self.budgeting_method == "Timeslices" and objective.time_slice_target is None:
            raise PydanticCustomError(
                "openslo", "objective {index}: budgetingMethod Timeslices needs `timeSliceTarget`",
                {"index": index},
            )  # fmt: skip


def threshold_problem(objective: Objective, count: int) -> str | None:
    """Say what an objective lacks when its SLI is a threshold metric, or ``None``."""
    if objective.op is None or objective.value is None:
        return "a thresholdMetric needs `op` and `value`"
    if count > 1 and not objective.is_composite:
        return "with a thresholdMetric there is only one objective"
    return None


class DataSourceSpec(OpenSloModel):
    """A source of metrics."""

    description: Description | None = None
    type: FilledText
    connection_details: Json
    """What the source needs to be reached. Credentials belong into an Airflow Connection."""


class ServiceSpec(OpenSloModel):
    """A group of SLOs."""

    description: Description | None = None


class Slo(OpenSloModel):
    """An OpenSLO ``SLO``."""

    api_version: Literal["openslo/v1"]
    kind: Literal["SLO"]
    metadata: ObjectMetadata
    spec: SloSpec


class Sli(OpenSloModel):
    """An OpenSLO ``SLI``."""

    api_version: Literal["openslo/v1"]
    kind: Literal["SLI"]
    metadata: ObjectMetadata
    spec: SliSpec


class DataSource(OpenSloModel):
    """An OpenSLO ``DataSource``."""

    api_version: Literal["openslo/v1"]
    kind: Literal["DataSource"]
    metadata: ObjectMetadata
    spec: DataSourceSpec


class AlertPolicy(OpenSloModel):
    """An OpenSLO ``AlertPolicy``."""

    api_version: Literal["openslo/v1"]
    kind: Literal["AlertPolicy"]
    metadata: ObjectMetadata
    spec: AlertPolicySpec


class AlertCondition(OpenSloModel):
    """An OpenSLO ``AlertCondition``."""

    api_version: Literal["openslo/v1"]
    kind: Literal["AlertCondition"]
    metadata: ObjectMetadata
    spec: AlertConditionSpec


class AlertNotificationTarget(OpenSloModel):
    """An OpenSLO ``AlertNotificationTarget``."""

    api_version: Literal["openslo/v1"]
    kind: Literal["AlertNotificationTarget"]
    metadata: ObjectMetadata
    spec: AlertNotificationTargetSpec


class OpenSloService(OpenSloModel):
    """An OpenSLO ``Service``: a group of SLOs, another thing than planner's ``Service``."""

    api_version: Literal["openslo/v1"]
    kind: Literal["Service"]
    metadata: ObjectMetadata
    spec: ServiceSpec


OPENSLO_KINDS: dict[str, type[OpenSloModel]] = {
    "SLO": Slo,
    "SLI": Sli,
    "DataSource": DataSource,
    "AlertPolicy": AlertPolicy,
    "AlertCondition": AlertCondition,
    "AlertNotificationTarget": AlertNotificationTarget,
    "Service": OpenSloService,
}
