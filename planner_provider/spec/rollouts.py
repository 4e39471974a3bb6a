"""Whether a patch rollout can work: its fleet, its waves, its limits, its way back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, Protocol

from planner_provider.spec.base import Model
from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.inventories import InventoryError, targets_from_csv
from planner_provider.spec.kinds import Fleet, FleetSpec
from planner_provider.spec.plan import Plan, Step
from planner_provider.spec.subject import PLANNER_API, Key, Subject
from planner_provider.spec.workloads import Drain, Patch, Reboot, TargetVerify

NODES_ONLY = frozenset({"cordon", "drain", "reboot", "uncordon"})
"""What can be done to Kubernetes nodes and to nothing else."""
MAX_WAVE = 1024
"""Airflow maps no more tasks over one list."""


class _Judged(Protocol):
    @property
    def model(self) -> Any: ...


def check_rollouts(subject: Subject, plan: Plan) -> None:
    """Report what cannot work by the words of the plan alone."""
    for index, step in enumerate(plan.spec.steps):
        if step.patch is not None:
            path: SpecPath = ("spec", "steps", index)
            _limits(subject, step.patch, (*path, "patch"))
            _way_back(subject, step, step.patch, path)


def check_fleet(subject: Subject, model: Model) -> None:
    """Report a list of targets that cannot be read."""
    if isinstance(model, Fleet) and model.spec.csv is not None and model.spec.csv.text is not None:
        try:
            targets_from_csv(model.spec.csv.text, model.spec.csv.name)
        except InventoryError as error:
            subject.report("PLN313", ("spec", "csv"), f"this is no list of targets: {error}", None)


def check_fleets(subject: Subject, plan: Plan, index: Mapping[Key, Sequence[_Judged]]) -> None:
    """Report what cannot work with the fleet that is meant."""
    for number, step in enumerate(plan.spec.steps):
        if step.patch is None:
            continue
        found = index.get(Key(PLANNER_API, "Fleet", step.patch.fleet), ())
        fleet = found[0].model if len(found) == 1 else None
        if fleet is not None:
            _fleet(subject, step.patch, fleet.spec, ("spec", "steps", number, "patch"))


def patch_times(patch: Patch) -> Iterator[tuple[timedelta, SpecPath]]:
    """The times that one task of a rollout may take by its own words."""
    for index, entry in enumerate(patch.per_target):
        action, path = entry.action, ("per_target", index, entry.action_name)
        if isinstance(action, Drain | Reboot):
            yield action.timeout, (*path, "timeout")
        elif isinstance(action, TargetVerify):
            yield action.within, (*path, "within")
    for index, undo in enumerate(patch.undo):
        if isinstance(undo.action, TargetVerify):
            yield undo.action.within, ("undo", index, "verify", "within")


def _limits(subject: Subject, patch: Patch, path: SpecPath) -> None:
    if patch.max_unavailable == 0:
        subject.report(
            "PLN415", (*path, "max_unavailable"),
            "no target may be unavailable, so none could ever be begun",
            "give 1 or more",
        )  # fmt: skip
    for kind in (int, float):
        same = [(n, w) for n, w in enumerate(patch.waves) if isinstance(w, kind)]
        for (_, before), (number, wave) in pairwise(same):
            if wave <= before:
                subject.report(
                    "PLN231", (*path, "waves", number),
                    "a wave is no larger than one before it; sizes count from the beginning of "
                    "the fleet",
                    "let them rise, such as [1, 10%, 50%, 100%]",
                )  # fmt: skip
    last = patch.waves[-1]
    if isinstance(last, float) and last < 1:
        subject.report(
            "PLN416", (*path, "waves", len(patch.waves) - 1),
            f"the last wave ends at {round(last * 100, 6):g}% of the fleet; the rest is not "
            "patched",
            "end with 100%",
        )  # fmt: skip


def _way_back(subject: Subject, step: Step, patch: Patch, path: SpecPath) -> None:
    if step.rollback == "auto" and not patch.undo:
        subject.report(
            "PLN403", (*path, "rollback"),
            "`patch` undoes itself only by its `undo`, and that says nothing",
            "say under `patch` what undoes it on a target, or give `rollback: none`",
        )  # fmt: skip
    elif patch.undo and step.rollback != "auto":
        subject.report(
            "PLN232", (*path, "patch", "undo"),
            "nobody carries out `undo` without `rollback: auto`",
            "add `rollback: auto` to the step",
        )  # fmt: skip


def _fleet(subject: Subject, patch: Patch, fleet: FleetSpec, path: SpecPath) -> None:
    if fleet.kubernetes_nodes is None:
        for key, entries in (("per_target", patch.per_target), ("undo", patch.undo)):
            for index, entry in enumerate(entries):
                if entry.action_name in NODES_ONLY:
                    subject.report(
                        "PLN417", (*path, key, index, entry.action_name),
                        f"`{entry.action_name}` is for Kubernetes nodes, and fleet "
                        f"'{patch.fleet}' has none",
                        "use `http`, `shell` or another action", at_key=True,
                    )  # fmt: skip
    total = _known_size(fleet)
    if total is not None:
        _sizes(subject, patch, total, path)


def _sizes(subject: Subject, patch: Patch, total: int, path: SpecPath) -> None:
    before = 0
    for number, wave in enumerate(patch.waves):
        size = wave if isinstance(wave, int) else math.ceil(round(wave * total, 6))
        size = max(before, min(total, size))
        if size - before > MAX_WAVE:
            subject.report(
                "PLN415", (*path, "waves", number),
                f"this wave has {size - before} targets, and Airflow maps {MAX_WAVE} at most",
                "add a wave before it",
            )  # fmt: skip
        before = size
    if isinstance(patch.waves[-1], int) and before < total:
        subject.report(
            "PLN416", (*path, "waves", len(patch.waves) - 1),
            f"the waves end at {before} of {total} targets; the rest is not patched",
            "end with 100%",
        )  # fmt: skip


def _known_size(fleet: FleetSpec) -> int | None:
    if fleet.targets:
        return len(fleet.targets)
    if fleet.csv is not None and fleet.csv.text is not None:
        try:
            return len(targets_from_csv(fleet.csv.text, fleet.csv.name))
        except InventoryError:
            return None
    return None
