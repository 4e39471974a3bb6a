"""Which steps come before which: as listed, as they say, or by the services that they change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from planner_provider.spec.kinds import Service
from planner_provider.spec.plan import PlanSpec, Step

Ordered = tuple[tuple[Step, tuple[str, ...]], ...]


def step_order(spec: PlanSpec, services: Mapping[str, Service]) -> Ordered:
    """Steps in the order in which they can be done, each with the ids that it comes directly after.

    Among steps that could come next, the one that stands first in the spec does. A circle of
    ``after`` cannot occur, the spec layer has refused it; services that depend on each other in a
    circle keep the order in which their steps are listed.
    """
    listed = list(spec.steps)
    after = _by_services(listed, services) if spec.order == "dependencies" else _as_said(listed)
    done: dict[str, Step] = {}
    while len(done) < len(listed):
        ready = next(
            step
            for step in listed
            if step.id not in done and all(before in done for before in after[step.id])
        )
        done[ready.id] = ready
    return tuple((step, after[step.id]) for step in done.values())


def _as_said(listed: Sequence[Step]) -> dict[str, tuple[str, ...]]:
    """``after`` left out means the step before."""
    after: dict[str, tuple[str, ...]] = {}
    for index, step in enumerate(listed):
        default = (listed[index - 1].id,) if index else ()
        after[step.id] = default if step.after is None else tuple(dict.fromkeys(step.after))
    return after


def _by_services(
    listed: Sequence[Step], services: Mapping[str, Service]
) -> dict[str, tuple[str, ...]]:
    all_before: dict[str, set[str]] = {}
    places = {step.id: index for index, step in enumerate(listed)}
    reached = {name: _reached(name, services) for name in {s.service for s in listed if s.service}}
    for index, step in enumerate(listed):
        before = {
            other.id
            for place, other in enumerate(listed)
            if other is not step and _comes_before(other, step, place < index, reached, listed)
        }
        all_before[step.id] = before
    return {
        step.id: tuple(sorted(_direct(all_before[step.id], all_before), key=places.__getitem__))
        for step in listed
    }


def _comes_before(
    other: Step,
    step: Step,
    is_listed_before: bool,
    reached: Mapping[str, frozenset[str]],
    listed: Sequence[Step],
) -> bool:
    """Whether ``other`` must be done before ``step``."""
    if _parted(other, step, listed) or not (other.service and step.service):
        return is_listed_before
    if other.service == step.service:
        return is_listed_before
    needs = other.service in reached[step.service]
    needed = step.service in reached[other.service]
    return is_listed_before if needs and needed else needs


def _parted(one: Step, two: Step, listed: Sequence[Step]) -> bool:
    """Whether a step without a service stands between the two."""
    places = sorted((listed.index(one), listed.index(two)))
    return any(not step.service for step in listed[places[0] + 1 : places[1]])


def _reached(name: str, services: Mapping[str, Service]) -> frozenset[str]:
    """All services that one depends on, also through others."""
    found: set[str] = set()
    open_ = [name]
    while open_:
        service = services.get(open_.pop())
        fresh = set(service.spec.depends_on) - found if service else set()
        found |= fresh
        open_ += fresh
    return frozenset(found)


def _direct(before: Iterable[str], all_before: Mapping[str, set[str]]) -> set[str]:
    """Leave out what is before something else that is before."""
    near = set(before)
    for one in tuple(near):
        near -= all_before[one] & near
    return near
