"""How the steps of a plan hang together: ids, `after`, circles, and the way back."""

from __future__ import annotations

from typing import Any

from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.plan import AUTO_ROLLBACK, READ_ONLY_ACTIONS
from planner_provider.spec.references import HOLE, Action, plan_actions, plan_spec, plan_top
from planner_provider.spec.subject import Subject, as_list, as_mapping
from planner_provider.spec.suggest import did_you_mean, some_of

_CANNOT_FAIL = frozenset({"notify", "wait"})


def check_steps(subject: Subject) -> None:
    """Check ids, `after`, circles and rollbacks of a plan's steps."""
    spec, top = plan_spec(subject), plan_top(subject)
    steps = [as_mapping(step) for step in as_list(spec.get("steps"))]
    ids = _ids(subject, steps, top)
    edges = _after(subject, steps, ids, top)
    _circles(subject, edges, ids, top)
    own: dict[int, list[Action]] = {}
    depth = len(top) + 3
    for action in plan_actions(subject):
        if action.step is not None and len(action.path) == depth:
            own.setdefault(action.step, []).append(action)
    for index, step in enumerate(steps):
        actions = own.get(index, [])
        if len(actions) == 1:
            _rollback(subject, index, step, actions[0], steps, edges, top)


def _ids(subject: Subject, steps: list[dict[str, Any]], top: SpecPath) -> dict[str, int]:
    ids: dict[str, int] = {}
    for index, step in enumerate(steps):
        name = step.get("id")
        if not isinstance(name, str) or HOLE in name:
            continue
        if name in ids:
            first = subject.document.locate((*top, "steps", ids[name], "id"))
            where = f"in line {first.line}" if subject.template is None else "further up"
            subject.report(
                "PLN302", (*top, "steps", index, "id"),
                f"the step id '{name}' is already taken {where}",
                "each step needs an id of its own",
            )  # fmt: skip
        else:
            ids[name] = index
    return ids


def _after(
    subject: Subject, steps: list[dict[str, Any]], ids: dict[str, int], top: SpecPath
) -> dict[int, list[int]]:
    """Report bad `after`, and give for each step the steps it waits for."""
    unnamed = any(not isinstance(step.get("id"), str) for step in steps)
    edges: dict[int, list[int]] = {}
    for index, step in enumerate(steps):
        if step.get("after") is None:
            edges[index] = [index - 1] if index else []
            continue
        edges[index] = []
        for position, name in enumerate(as_list(step["after"])):
            path = (*top, "steps", index, "after", position)
            if not isinstance(name, str) or HOLE in name:
                continue
            if name == step.get("id"):
                subject.report(
                    "PLN304", path, f"step '{name}' is to wait for itself", "remove it from `after`"
                )
            elif name in ids:
                edges[index].append(ids[name])
            elif not unnamed:
                others = [known for known in ids if known != step.get("id")]
                steps_known = f"the steps are: {some_of(others)}" if others else None
                subject.report(
                    "PLN303", path, f"there is no step '{name}' to wait for",
                    did_you_mean(name, others, steps_known),
                )  # fmt: skip
    return edges


def _circles(
    subject: Subject, edges: dict[int, list[int]], ids: dict[str, int], top: SpecPath
) -> None:
    names = {index: name for name, index in ids.items()}
    for circle in find_circles(edges):
        first = circle[0]
        shown = " -> ".join(names.get(index, f"steps[{index}]") for index in (*circle, first))
        subject.report(
            "PLN305", (*top, "steps", first), f"these steps wait for each other: {shown}",
            "read `a -> b` as: a waits for b; remove one `after` from the circle",
        )  # fmt: skip


def find_circles(edges: dict[int, list[int]]) -> list[list[int]]:
    """Find circles, each once and beginning with its lowest member. Needs no recursion."""
    state: dict[int, int] = {}
    circles: list[list[int]] = []
    for start in edges:
        if start in state:
            continue
        trail: list[int] = []
        stack = [(start, iter(edges.get(start, ())))]
        state[start] = 1
        trail.append(start)
        while stack:
            node, successors = stack[-1]
            following = next(successors, None)
            if following is None:
                state[node] = 2
                stack.pop()
                trail.pop()
            elif following not in state:
                state[following] = 1
                trail.append(following)
                stack.append((following, iter(edges.get(following, ()))))
            elif state[following] == 1:
                circle = trail[trail.index(following) :]
                lowest = circle.index(min(circle))
                circles.append(circle[lowest:] + circle[:lowest])
    return circles


def _rollback(
    subject: Subject,
    index: int,
    step: dict[str, Any],
    action: Action,
    steps: list[dict[str, Any]],
    edges: dict[int, list[int]],
    top: SpecPath,
) -> None:
    rollback = step.get("rollback")
    path = (*top, "steps", index, "rollback")
    if rollback == "auto" and action.name not in AUTO_ROLLBACK:
        if action.name in READ_ONLY_ACTIONS:
            hint = "remove `rollback`: this action changes nothing"
        else:
            hint = "give the action that undoes it, or `none` if there is nothing to undo"
        subject.report("PLN403", path, f"`{action.name}` does not know how to undo itself", hint)
    elif isinstance(rollback, dict) and changes_nothing(action):
        subject.report(
            "PLN405",
            path,
            "this step changes nothing, so there is nothing to undo",
            None,
            at_key=True,
        )
    elif (
        "rollback" not in step
        and not changes_nothing(action)
        and _can_fail_later(index, steps, edges)
    ):
        subject.report(
            "PLN404", (*top, "steps", index),
            f"step '{step.get('id', index)}' has no `rollback`: "
            "if a later step fails, it stays done",
            "give a rollback, or `rollback: none` if there is nothing to undo",
        )  # fmt: skip


def changes_nothing(action: Action) -> bool:
    """Whether an action surely leaves production as it is."""
    if action.name == "http":
        return str(action.data.get("method", "GET")).upper() in {"GET", "HEAD"}
    return action.name in READ_ONLY_ACTIONS


def _can_fail_later(index: int, steps: list[dict[str, Any]], edges: dict[int, list[int]]) -> bool:
    """Whether a step that is not surely before this one can fail."""
    before: set[int] = set()
    pending = [index]
    while pending:
        for earlier in edges.get(pending.pop(), ()):
            if earlier not in before:
                before.add(earlier)
                pending.append(earlier)
    return any(
        other != index and other not in before and not _CANNOT_FAIL & step.keys()
        for other, step in enumerate(steps)
    )
