"""Which SLOs a plan asks for, and where in the spec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.plan import ActionHolder, Plan


def slo_names(plan: Plan) -> tuple[str, ...]:
    """The names of all SLOs that a plan asks for, sorted, each once."""
    return tuple(sorted({name for _, name in slo_places(plan)}))


def slo_places(plan: Plan) -> Iterator[tuple[SpecPath, str]]:
    """Each place in the spec where a plan names an SLO, with the name."""
    spec = plan.spec
    yield from _listed(("spec", "guards", "slos"), spec.guards.slos)
    for index, step in enumerate(spec.steps):
        path: SpecPath = ("spec", "steps", index)
        if step.guards:
            yield from _listed((*path, "guards", "slos"), step.guards.slos)
        yield from _of_action(path, step)
        if isinstance(step.rollback, ActionHolder):
            yield from _of_action((*path, "rollback"), step.rollback)
    if spec.verify:
        yield from _listed(("spec", "verify", "slos"), spec.verify.slos)


def _of_action(path: SpecPath, holder: ActionHolder) -> Iterator[tuple[SpecPath, str]]:
    path = (*path, holder.action_name)
    if holder.gate:
        yield from _listed((*path, "slos"), holder.gate.slos)
    if holder.verify:
        yield from _listed((*path, "slos"), holder.verify.slos)
    analysis = (holder.canary and holder.canary.analysis) or (
        holder.blue_green and holder.blue_green.analysis
    )
    if analysis:
        yield from _listed((*path, "analysis", "slos"), analysis.slos)
        yield from _listed((*path, "analysis", "compare"), analysis.compare)
    if holder.patch:
        yield from _listed((*path, "between_waves", "slos"), holder.patch.between_waves.slos)
        for key in ("per_target", "undo"):
            for index, entry in enumerate(getattr(holder.patch, key)):
                if entry.verify:
                    yield from _listed((*path, key, index, "verify", "slos"), entry.verify.slos)
    throttle = holder.backfill.throttle if holder.backfill else None
    if throttle and throttle.signal and throttle.signal.slo:
        yield (*path, "throttle", "signal", "slo"), throttle.signal.slo


def _listed(path: SpecPath, names: Iterable[str]) -> Iterator[tuple[SpecPath, str]]:
    for index, name in enumerate(names):
        yield (*path, index), name
