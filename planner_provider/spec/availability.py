"""What of a plan this release cannot run yet.

Such plans compile, so that they can be written and reviewed, and are refused before a run touches
anything. One list for ``planner lint`` and for the task that refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from planner_provider.spec.catalog import Catalog
from planner_provider.spec.measurable import unusable
from planner_provider.spec.plan import AVAILABLE_ACTIONS, ActionHolder, Plan
from planner_provider.spec.slo_names import slo_places

SpecPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A part of a plan that cannot be run yet."""

    path: SpecPath
    what: str
    """The part in words, such as "action `canary` of step `shift`"."""


def unavailable(plan: Plan, catalog: Catalog | None = None) -> tuple[Unavailable, ...]:
    """List what keeps this plan from running, in the order of the spec.

    With a catalog, the SLOs that it asks for are looked at as well.
    """
    found = [*_unavailable(plan)]
    if catalog is not None:
        found += _unmeasurable(plan, catalog)
    return tuple(found)


def _unavailable(plan: Plan) -> Iterator[Unavailable]:
    spec = plan.spec
    for index, step in enumerate(spec.steps):
        path: SpecPath = ("spec", "steps", index)
        yield from _holder(step, path, f"step `{step.id}`")
        if isinstance(step.rollback, ActionHolder):
            yield from _holder(
                step.rollback,
                (*path, "rollback"),
                f"the rollback of step `{step.id}`",
                is_rollback=True,
            )


def _holder(
    holder: ActionHolder, path: SpecPath, where: str, *, is_rollback: bool = False
) -> Iterator[Unavailable]:
    name = holder.action_name
    if name not in AVAILABLE_ACTIONS:
        yield Unavailable((*path, name), f"action `{name}` in {where}")
    elif holder.backfill and (chunks := holder.backfill.chunks):
        over = f"action `backfill` over `chunks`{' with `pod`' if chunks.pod else ''} in {where}"
        if is_rollback or chunks.pod:
            yield Unavailable((*path, name, "chunks"), over)


def _unmeasurable(plan: Plan, catalog: Catalog) -> Iterator[Unavailable]:
    seen: set[str] = set()
    for path, name in slo_places(plan):
        document = catalog.slos.get(name)
        why = unusable(document, catalog) if document is not None else "it is not there"
        if why is not None and name not in seen:
            seen.add(name)
            yield Unavailable(path, f"SLO `{name}`, which cannot be measured ({why})")
