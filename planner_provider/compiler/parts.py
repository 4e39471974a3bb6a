"""A step that is more than one task: its parts in order, and mapped groups for what is done often.

::

    targets -> wave-1[each: begin -> http -> end] -> gate-1 -> wave-2[...] -> gate-2 -> report

A part with ``each`` becomes a mapped task group over the list that the last part with ``lists``
gave. The part after it waits for all of the group. Which trigger rules make that so, also for
empty lists, skipped runs and items that fail, stands at ``_AFTER_EACH`` and ``_ALWAYS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airflow.sdk import BaseOperator, TaskGroup, TriggerRule, task_group

from planner_provider.operators.outline import part_name

if TYPE_CHECKING:
    from planner_provider.graph.model import Part, Task

_AFTER_EACH = TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
"""The part after a mapped group: it comes if the part before the group and the last task of every
item ended well. An empty list skips the group, and that is no reason not to come."""
_ALWAYS = TriggerRule.ALL_DONE_MIN_ONE_SUCCESS
"""A part that comes also when others failed: if the first part, which gave the list, ended well."""
_LAST_OF_ITEM = TriggerRule.NONE_SKIPPED
"""Within an item: what comes also when a task before it failed, unless the item was skipped."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the plan the task of a part stands."""

    name: str
    """Its name in the journal."""
    after: tuple[str, ...] = ()
    after_same: tuple[str, ...] = ()
    group: TaskGroup | None = None
    """``None``: the group that is being built."""
    rule: TriggerRule = TriggerRule.ALL_SUCCESS


class MakePart(Protocol):
    """Makes the operator for a part at its place."""

    def __call__(self, part: Part, place: Place) -> BaseOperator:
        """Make it."""
        ...


def build_parts(
    task: Task, group: TaskGroup, after: tuple[str, ...], make: MakePart
) -> list[BaseOperator]:
    """Make and connect the tasks of a step; give the first and the last one.

    ``after`` are the names in the journal of what must be done before the step.
    """
    plain: list[BaseOperator] = []
    lists: BaseOperator | None = None
    each: BaseOperator | None = None
    """The last task of the mapped group that was built just before."""
    before = after
    for part in task.parts:
        if part.each:
            assert lists is not None, "a part before gives the list"
            each = _build_each(task, part, group, plain[-1], lists, before, make)
            continue
        rule = TriggerRule.ALL_SUCCESS
        upstream = plain[-1:]
        if each is not None:
            rule, upstream = _AFTER_EACH, [*upstream, each]
        if part.always:
            rule, upstream = _ALWAYS, [plain[0], *upstream]
            before = (part_name(task, task.parts[0]),)
        name = part_name(task, part)
        operator = make(part, Place(name, before, group=group, rule=rule))
        for other in dict.fromkeys(upstream):
            other.set_downstream(operator)
        plain.append(operator)
        lists = operator if part.lists else lists
        each, before = None, (name,)
    return [plain[0], plain[-1]]


def _build_each(
    task: Task,
    part: Part,
    group: TaskGroup,
    previous: BaseOperator,
    lists: BaseOperator,
    before: tuple[str, ...],
    make: MakePart,
) -> BaseOperator:
    made: list[BaseOperator] = []

    @task_group(group_id=part.id, tooltip=part.summary, parent_group=group)
    def items(item: object) -> None:
        same: tuple[str, ...] = ()
        for inner in part.each:
            name = part_name(task, part, inner)
            start = () if made else before
            if inner.always:
                place, ups = Place(name, start, rule=_LAST_OF_ITEM), made[:]
            else:
                place, ups = Place(name, start, same), made[-1:]
            operator = make(inner, place)
            for other in ups:
                other.set_downstream(operator)
            made.append(operator)
            same = (name,)

    items.expand(item=lists.output)
    if previous is not lists:
        previous.set_downstream(made[0])
    return made[-1]
