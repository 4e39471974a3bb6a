"""Checks over many documents at once: circles of plans, of services and of calendars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from planner_provider.spec.plan import Plan
from planner_provider.spec.references import references_of
from planner_provider.spec.rollouts import check_fleets
from planner_provider.spec.steps import find_circles
from planner_provider.spec.subject import OPENSLO_API, PLANNER_API, Key, Subject
from planner_provider.spec.values import format_duration


class _Judged(Protocol):
    @property
    def subject(self) -> Subject: ...
    @property
    def model(self) -> Any: ...


def check_together(index: Mapping[Key, Sequence[_Judged]]) -> None:
    """Report circles of documents, and what two documents make impossible together."""
    for key, entries in index.items():
        for entry in entries:
            if key.kind == "Plan" and isinstance(entry.model, Plan):
                _window(entry.subject, entry.model, index)
                check_fleets(entry.subject, entry.model, index)
            elif key.kind == "SLO" and entry.model is not None:
                _threshold(entry.subject, entry.model, index)
    for kind, code, what in (
        ("Plan", "PLN308", "these plans run each other"),
        ("Service", "PLN321", "these services depend on each other"),
        ("Calendar", "PLN322", "these calendars need each other"),
    ):
        keys = [key for key in index if key.kind == kind and key.api == PLANNER_API]
        numbers = {key: number for number, key in enumerate(sorted(keys))}
        edges: dict[int, list[int]] = {}
        for key, number in sorted(numbers.items(), key=lambda item: item[1]):
            edges[number] = [
                numbers[reference.key]
                for entry in index[key]
                for reference in references_of(entry.subject)
                if reference.key in numbers
            ]
        _report(index, sorted(keys), edges, code, what)


def _report(
    index: Mapping[Key, Sequence[_Judged]],
    keys: list[Key],
    edges: dict[int, list[int]],
    code: str,
    what: str,
) -> None:
    for circle in find_circles(edges):
        shown = " -> ".join(keys[number].name for number in (*circle, circle[0]))
        for position, number in enumerate(circle):
            following = keys[circle[(position + 1) % len(circle)]]
            for entry in index[keys[number]]:
                path = next(
                    (
                        reference.path
                        for reference in references_of(entry.subject)
                        if reference.key == following
                    ),
                    (),
                )
                entry.subject.report(
                    code, path, f"{what}: {shown}", "remove one of these references"
                )


def _window(subject: Subject, plan: Plan, index: Mapping[Key, Sequence[_Judged]]) -> None:
    """Report a plan that needs more time than any window of its calendar has."""
    schedule = plan.spec.schedule
    if schedule is None or schedule.calendar is None or schedule.needs is None:
        return
    found = index.get(Key(PLANNER_API, "Calendar", schedule.calendar), ())
    calendar = found[0].model if len(found) == 1 else None
    if calendar is None:
        return
    from planner_provider.spec.calendars import longest_window

    longest = longest_window(calendar.spec.windows)
    if longest is None or calendar.spec.combine != "any":
        return
    if schedule.needs > longest:
        subject.report(
            "PLN411", ("spec", "schedule", "needs"),
            f"this never fits: the longest window of '{schedule.calendar}' has "
            f"{format_duration(longest)}",
            "lower `needs` or lengthen the window",
        )  # fmt: skip


def _threshold(subject: Subject, slo: Any, index: Mapping[Key, Sequence[_Judged]]) -> None:
    """Report objectives that lack what the threshold metric of a named SLI needs."""
    from planner_provider.spec.openslo import threshold_problem

    for number, objective in enumerate(slo.spec.objectives):
        name = objective.indicator_ref or slo.spec.indicator_ref
        found = index.get(Key(OPENSLO_API, "SLI", name), ()) if name else ()
        sli = found[0].model if len(found) == 1 else None
        if sli is not None and sli.spec.threshold_metric is not None:
            problem = threshold_problem(objective, len(slo.spec.objectives))
            if problem:
                path = ("spec", "objectives", number)
                subject.report("PLN233", path, f"SLI '{name}': {problem}")
