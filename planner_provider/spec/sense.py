"""What a valid document says, and whether it can work: times, approvals, what is available."""

from __future__ import annotations

from datetime import timedelta

from planner_provider.spec.actions import Approval, Verify, Wait
from planner_provider.spec.base import Model
from planner_provider.spec.diagnostics import SpecPath, format_path
from planner_provider.spec.plan import ActionHolder, Plan, Step
from planner_provider.spec.rollouts import check_rollouts, patch_times
from planner_provider.spec.subject import Subject
from planner_provider.spec.values import format_duration
from planner_provider.spec.workloads import Patch


def check_sense(subject: Subject, model: Model) -> None:
    """Report what is well-formed and still cannot work, or not yet."""
    if isinstance(model, Plan):
        _availability(subject, model)
        _approvals(subject, model)
        _timeouts(subject, model)
        _touches(subject, model)
        _backfills(subject, model)
        check_rollouts(subject, model)
        return
    kind = subject.key.kind if subject.key else ""
    if kind == "Calendar":
        from planner_provider.spec.calendars import check_calendar

        check_calendar(subject, model)
    elif kind == "Fleet":
        from planner_provider.spec.rollouts import check_fleet

        check_fleet(subject, model)


def _availability(subject: Subject, plan: Plan) -> None:
    from planner_provider.spec.availability import unavailable

    reported = {found.path for found in subject.found if found.is_error}
    for part in unavailable(plan):
        if format_path(part.path) in reported:
            continue
        subject.report(
            "PLN406", part.path, f"{part.what} is not available in this release",
            "the plan compiles, but a run is refused before anything is changed", at_key=True,
        )  # fmt: skip


def _approvals(subject: Subject, plan: Plan) -> None:
    spec = plan.spec
    if spec.approval is not None and spec.approval.required != "never":
        _approval(subject, spec.approval, ("spec", "approval"))
        if spec.guards.ttl is not None and spec.guards.ttl <= spec.approval.timeout:
            subject.report(
                "PLN408", ("spec", "guards", "ttl"),
                f"the decision to run lasts {format_duration(spec.guards.ttl)}, but approval may "
                f"take {format_duration(spec.approval.timeout)}",
                "raise `ttl` or lower `approval.timeout`",
            )  # fmt: skip
    for index, step in enumerate(spec.steps):
        if step.approval is not None:
            _approval(subject, step.approval, ("spec", "steps", index, "approval"))


def _approval(subject: Subject, approval: Approval, path: SpecPath) -> None:
    """Count people only where all are named one by one: the size of a group is not known here."""
    people = {name.removeprefix("user:") for name in approval.approvers}
    named = not any(name.startswith(("group:", "team:")) for name in approval.approvers)
    later = {name for escalation in approval.escalate for name in escalation.to}
    if named and not later and len(people) < approval.count:
        subject.report(
            "PLN409", (*path, "count"),
            f"{approval.count} people must agree, but only {len(people)} can: "
            f"{', '.join(sorted(people))}",
            "name more approvers, or a group",
        )  # fmt: skip
    for index, escalation in enumerate(approval.escalate):
        if escalation.after >= approval.timeout:
            subject.report(
                "PLN410", (*path, "escalate", index, "after"),
                f"this comes after {format_duration(escalation.after)}, but the approval ends "
                f"after {format_duration(approval.timeout)}",
            )  # fmt: skip


def _timeouts(subject: Subject, plan: Plan) -> None:
    for index, step in enumerate(plan.spec.steps):
        limit = step.timeout or plan.spec.defaults.timeout
        needs, path = _least_time(step)
        if needs is not None and needs >= limit:
            where = f"after {format_duration(limit)}"
            subject.report(
                "PLN407", ("spec", "steps", index, step.action_name, *path),
                f"this takes {format_duration(needs)}, but the step is ended {where}",
                "raise `timeout` of the step"
                if step.timeout
                else f"give the step a `timeout` of more than {format_duration(needs)}",
            )  # fmt: skip


def _least_time(step: ActionHolder | Step) -> tuple[timedelta | None, SpecPath]:
    """The time that an action may take by its own words, and the key that says so."""
    action = step.action
    if isinstance(action, Patch):
        return max(patch_times(action), key=lambda found: found[0], default=(None, ()))
    if isinstance(action, Wait):
        return action.for_, ("for",)
    if isinstance(action, Verify):
        return action.within, ("within",)
    if step.gate is not None:
        times = {"for": step.gate.for_, "timeout": step.gate.timeout}
        longest = max((value for value in times.values() if value), default=None)
        return longest, next(((key,) for key, value in times.items() if value == longest), ())
    if step.blue_green is not None:
        return step.blue_green.bake, ("bake",)
    if step.approval is not None:
        return step.approval.timeout, ("timeout",)
    return None, ()


def _touches(subject: Subject, plan: Plan) -> None:
    seen: dict[str, int] = {}
    for index, touch in enumerate(plan.spec.touches):
        if touch.uri in seen:
            subject.report(
                "PLN412",
                ("spec", "touches", index),
                f"{touch.uri} is listed twice",
                "keep one of the two",
            )
        seen.setdefault(touch.uri, index)


def _backfills(subject: Subject, plan: Plan) -> None:
    for index, step in enumerate(plan.spec.steps):
        if step.backfill is not None and step.backfill.dag == plan.metadata.name:
            subject.report(
                "PLN414",
                ("spec", "steps", index, "backfill", "dag"),
                f"`{step.backfill.dag}` is the DAG of this plan itself",
                "name the DAG whose partitions are to run again",
            )
