"""What differs in the steps of two versions of a plan, in their undoing and in their order."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from planner_provider.graph.change import Change, ChangeKind, added, changed, listed, removed
from planner_provider.graph.describe import describe_action
from planner_provider.graph.digest import canonical, canonical_text
from planner_provider.graph.leaves import Leaf, differing
from planner_provider.graph.model import PlanGraph, Task, TaskKind
from planner_provider.spec.plan import READ_ONLY_ACTIONS

UNCHECKED_ACTIONS = frozenset({"shell", "operator"})
"""Actions that can do anything at all, so that a reviewer must read them."""
CHECKING_ACTIONS = frozenset({"gate", "approval", "verify", "wait"})
"""Actions that make a plan safer by being there."""
HOW_IT_IS_RUN = frozenset({"retries", "timeout", "pool"})
"""Keys that the undoing of a step takes from the step."""


@dataclass(frozen=True)
class Pair:
    """Two graphs with what is derived from them once."""

    old: PlanGraph
    new: PlanGraph

    @cached_property
    def old_data(self) -> dict[str, Any]:
        """Canonical JSON data of the old graph."""
        return canonical(self.old)

    @cached_property
    def new_data(self) -> dict[str, Any]:
        """Canonical JSON data of the new graph."""
        return canonical(self.new)

    @cached_property
    def old_steps(self) -> dict[str, Task]:
        """The old steps by id, in order."""
        return {task.label: task for task in self.old.steps}

    @cached_property
    def new_steps(self) -> dict[str, Task]:
        """The new steps by id, in order."""
        return {task.label: task for task in self.new.steps}

    @cached_property
    def renamed(self) -> dict[str, str]:
        """Old id -> new id of steps that do the same under another name."""
        return _renamed(self)

    @property
    def common(self) -> Iterator[tuple[str, str]]:
        """Old and new id of each step that both have, in the new order."""
        back = {new: old for old, new in self.renamed.items()}
        for step in self.new_steps:
            before = back.get(step, step)
            if before in self.old_steps:
                yield before, step


def steps(pair: Pair) -> Iterator[Change]:
    """Steps that came, went, were renamed or do something else, and their rollbacks."""
    for step, task in pair.old_steps.items():
        if step in pair.new_steps:
            continue
        if step in pair.renamed:
            words = f"step `{step}` is now called `{pair.renamed[step]}`"
            yield Change(ChangeKind.STEP_RENAMED, f"step {step}", step, pair.renamed[step], words)
        else:
            words = f"step `{step}` removed: {task.summary}"
            yield removed(
                ChangeKind.STEP_REMOVED, f"step {step}", words, _body(pair.old, step),
                weaker=_action(task) in CHECKING_ACTIONS,
            )  # fmt: skip
    kept = {new for _, new in pair.common}
    for step, task in pair.new_steps.items():
        if step not in kept:
            yield _new_step(pair.new, step, task)
    for before, after in pair.common:
        yield from _step(pair, before, after)


def _new_step(graph: PlanGraph, step: str, task: Task) -> Change:
    action = _action(task)
    place = f", after {listed(_before(graph, step))}" if _before(graph, step) else ""
    words = f"new step `{step}`{place}: {_does(task)}"
    if action in UNCHECKED_ACTIONS:
        words += f" (`{action}` can do anything; read it)"
    no_way_back = graph.undo_of(step) is None and action not in READ_ONLY_ACTIONS
    if no_way_back:
        words += ", without rollback"
    return added(
        ChangeKind.STEP_ADDED, f"step {step}", words, _body(graph, step),
        weaker=action in UNCHECKED_ACTIONS,
    )  # fmt: skip


def _step(pair: Pair, before: str, after: str) -> Iterator[Change]:
    old, new = pair.old_steps[before], pair.new_steps[after]
    yield from _task(ChangeKind.STEP, f"step {after}", f"step `{after}`", old, new)
    old_undo, new_undo = pair.old.undo_of(before), pair.new.undo_of(after)
    where, lead = f"rollback of {after}", f"rollback of `{after}`"
    if old_undo and new_undo:
        inherited = [leaf for leaf in _leaves(old, new) if leaf.path[0] in HOW_IT_IS_RUN]
        yield from _task(ChangeKind.ROLLBACK, where, lead, old_undo, new_undo, said=inherited)
    elif old_undo:
        words = f"{lead} removed; it was: {_does(old_undo)}"
        yield removed(ChangeKind.ROLLBACK, where, words, _view(old_undo), weaker=True)
    elif new_undo:
        words = f"{lead} added: {_does(new_undo)}"
        yield added(ChangeKind.ROLLBACK, where, words, _view(new_undo))
    if old.leaves_nothing and not new.leaves_nothing:
        words = f"{lead}: it is no longer said that there is nothing to undo"
        yield removed(ChangeKind.ROLLBACK, where, words, "none")
    elif new.leaves_nothing and not old.leaves_nothing:
        words = f"{lead}: `none`, it is now said that there is nothing to undo"
        yield added(ChangeKind.ROLLBACK, where, words, "none", weaker=True)


def _task(
    kind: ChangeKind, where: str, lead: str, old: Task, new: Task, said: Collection[Leaf] = ()
) -> Iterator[Change]:
    """What differs between two tasks that stand for the same thing, but for what is ``said``."""
    before, after = _action(old), _action(new)
    if before != after:
        words = f"{lead}: `{before}` became `{after}`: {_does(new)}"
        check_lost = before in CHECKING_ACTIONS and after not in CHECKING_ACTIONS
        weaker = after in UNCHECKED_ACTIONS or (kind is ChangeKind.STEP and check_lost)
        yield Change(kind, where, _view(old), _view(new), words, weaker)
    only_derived = old.summary == _does(old) and new.summary == _does(new)
    for leaf in _leaves(old, new):
        if leaf in said or (before != after and leaf.path[0] in {before, after}):
            continue
        if leaf.path == ("summary",) and only_derived:
            continue  # it only says what the action does, and that is reported
        command = after in UNCHECKED_ACTIONS and leaf.path[0] == after
        yield changed(kind, where, leaf, lead=f"{lead}: {leaf.where}", weaker=command)


def _leaves(old: Task, new: Task) -> tuple[Leaf, ...]:
    full = {"old_full": _view(old, full=True), "new_full": _view(new, full=True)}
    return differing(_view(old), _view(new), **full)


def _action(task: Task) -> str:
    return task.action.action_name if task.action else "auto"


def order(pair: Pair) -> Iterator[Change]:
    """Steps that come after other steps than before."""
    for before, after in pair.common:
        old = {pair.renamed.get(step, step) for step in _before(pair.old, before)}
        new = set(_before(pair.new, after))
        if old == new:
            continue
        earlier = {pair.renamed.get(step, step) for step in _ancestors(pair.old, before)}
        lost = sorted((earlier - set(_ancestors(pair.new, after))) & set(pair.new_steps))
        now, was = listed(sorted(new)), listed(sorted(old))
        words = f"step `{after}` now runs after {now}; it ran after {was}"
        if lost:
            words += f"; it no longer waits for {listed(lost)}"
        yield Change(ChangeKind.ORDER, f"step {after}", sorted(old), sorted(new), words, bool(lost))
    common = [new for _, new in pair.common]
    old_order = [pair.renamed.get(step, step) for step in pair.old_steps]
    old_order = [step for step in old_order if step in common]
    if old_order != common:
        words = f"order of the steps, and of undoing them, is now {listed(common)}"
        yield Change(ChangeKind.ORDER, "steps", old_order, common, words)


def verify(pair: Pair) -> Iterator[Change]:
    """The check after the last step."""
    old, new = pair.old.by_id.get("verify"), pair.new.by_id.get("verify")
    lead = "final check"
    if old and new:
        yield from _task(ChangeKind.VERIFY, "verify", lead, old, new)
    elif old:
        words = f"{lead} removed; it was: {_does(old)}"
        yield removed(ChangeKind.VERIFY, "verify", words, _view(old), weaker=True)
    elif new:
        yield added(ChangeKind.VERIFY, "verify", f"{lead} added: {_does(new)}", _view(new))


def _renamed(pair: Pair) -> dict[str, str]:
    gone = [step for step in pair.old_steps if step not in pair.new_steps]
    come = [step for step in pair.new_steps if step not in pair.old_steps]
    bodies = {step: canonical_text(_body(pair.new, step)) for step in come}
    found: dict[str, str] = {}
    for step in gone:
        body = canonical_text(_body(pair.old, step))
        match = next((new for new, text in bodies.items() if text == body), None)
        if match is not None:
            found[step] = match
            del bodies[match]
    return found


def _body(graph: PlanGraph, step: str) -> dict[str, Any]:
    """What a step and its undoing do, without names."""
    undo = graph.undo_of(step)
    task = next(task for task in graph.steps if task.label == step)
    rollback = _view(undo) if undo else task.leaves_nothing
    return {"step": _view(task), "rollback": rollback}


def _view(task: Task, *, full: bool = False) -> dict[str, Any]:
    """A task as JSON data: its action under the action's name, and how it is run."""
    data: dict[str, Any] = task.model_dump(
        mode="json", by_alias=True, exclude_defaults=not full,
        include={"summary", "retries", "timeout", "pool", "guards"},
    )  # fmt: skip
    if task.kind is not TaskKind.STEP:
        del data["summary"]
    if task.action:
        action = task.action.action
        data[task.action.action_name] = action.model_dump(
            mode="json", by_alias=True, exclude_defaults=not full
        )
    return data


def _before(graph: PlanGraph, step: str) -> tuple[str, ...]:
    tasks = graph.by_id
    ups = graph.upstream(f"execute.{step}")
    return tuple(tasks[up].label for up in ups if tasks[up].kind is TaskKind.STEP)


def _ancestors(graph: PlanGraph, step: str) -> frozenset[str]:
    found: set[str] = set()
    waiting = [step]
    while waiting:
        for before in _before(graph, waiting.pop()):
            if before not in found:
                found.add(before)
                waiting.append(before)
    return frozenset(found)


def _does(task: Task) -> str:
    return describe_action(task.action) if task.action else task.summary
