"""What the operators share that change what a service runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from planner_provider.operators.http import task_identity, traced_headers
from planner_provider.operators.tracing import idempotency_key, pod_labels, trace_of
from planner_provider.spec.base import Model
from planner_provider.spec.delivery import Change, Target, Traffic

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.hooks.traffic import Caller, Done, Memo, Patience, Release, RenderWeight
    from planner_provider.operators.clock import Clock
    from planner_provider.operators.plan_ref import PlanRef

BEFORE = "before"
"""Name under which a step remembers what was before its first change, and of that XCom."""
PROGRESS_DEADLINE = timedelta(minutes=10)
"""Longest wait for one roll-out, where a spec does not say."""

Json = dict[str, Any]
Given = Model | Mapping[str, Any]


class Stepping(Protocol):
    """What this module needs of an operator."""

    plan_ref: PlanRef | None

    @property
    def clock(self) -> Clock:
        """Time."""
        ...

    def pause(self, seconds: float) -> None:
        """Sleep, but break off when told to stop."""
        ...

    def remember_once(self, context: Context, name: str, make: Callable[[], Any]) -> Any:
        """Settle a value once for all tries."""
        ...

    def render_template(self, content: Any, context: Any) -> Any:
        """Render with Jinja."""
        ...


def as_json(given: Given | None) -> Json:
    """A spec model, or a mapping of the same form, as JSON whose texts Airflow can render."""
    if given is None:
        return {}
    if isinstance(given, Model):
        return given.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return dict(given)


def release_of(
    operator: Stepping,
    context: Context,
    *,
    target: Json,
    change: Json,
    traffic: Json | None = None,
    progress_deadline: timedelta = PROGRESS_DEADLINE,
) -> Release:
    """The release of a step, from fields that are rendered (``traffic`` is rendered when used).

    Raises ``RefusedError`` where the rendered values do not fit.
    """
    from planner_provider.hooks.traffic import release_for, rendered

    return release_for(
        rendered(Target, target),
        rendered(Traffic, traffic) if traffic else None,
        rendered(Change, change),
        caller=caller_of(operator.plan_ref, context),
        patience=patience_of(operator, progress_deadline),
        render_weight=weight_renderer(operator, context),
    )


def caller_of(plan_ref: PlanRef | None, context: Context) -> Caller:
    """On whose behalf a task acts: its plan's run, or its DAG run if there is no plan."""
    from planner_provider.hooks.traffic import Caller

    trace = trace_of(plan_ref, context)
    ti = context["ti"]
    return Caller(
        owner=trace.plan_id if trace else f"{ti.dag_id}/{ti.run_id}",
        labels=pod_labels(trace),
        headers=traced_headers({}, trace),
        key=idempotency_key(*task_identity(trace, context)),
    )


def patience_of(operator: Stepping, deadline: timedelta) -> Patience:
    """Waits that end at once when the operator is told to stop."""
    from planner_provider.hooks.traffic import Patience

    return Patience(deadline=deadline, pause=operator.pause, monotonic=operator.clock.monotonic)


def weight_renderer(operator: Stepping, context: Context) -> RenderWeight:
    """Renders what ``traffic.http`` says, with ``weight`` beside what templates know anyway."""

    def render(value: Any, weight: int) -> Any:
        return operator.render_template(value, {**context, "weight": weight})

    return render


def remember_before(operator: Stepping, context: Context, make: Callable[[], Memo]) -> Memo:
    """What was before the step's first change, settled durably before that.

    In a plan it is in the ledger. Without one it is in the state that Airflow keeps of the task,
    and in the XCom ``before``, at once, so that a rollback finds it also if this task fails.
    """
    before: Memo = operator.remember_once(context, BEFORE, make)
    if operator.plan_ref is None:
        context["ti"].xcom_push(key=BEFORE, value=before)
    return before


def told(done: Done) -> Json:
    """The XCom of a step."""
    return {"outcome": done.outcome.value, "text": done.text}
