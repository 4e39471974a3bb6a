"""A plan as a manual runbook in Markdown, so that people can carry on when the planner is down."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from planner_provider.graph.command import Command
from planner_provider.graph.commands import (
    HTTP,
    KUBERNETES,
    Connections,
    commands,
    commands_to_undo,
    parameter_variable,
    unfilled,
)
from planner_provider.graph.expectations import budget_expected, expected
from planner_provider.graph.explain import begins_if, describe, not_undone, parameter, told
from planner_provider.graph.model import PlanGraph, Task, TaskKind
from planner_provider.spec.values import format_duration
from planner_provider.spec.workloads import Patch


def render_runbook(graph: PlanGraph) -> str:
    """Write the runbook, ending in a line break."""
    connections = Connections()
    steps = list(_steps(graph, connections))
    final = list(_final_check(graph, connections))
    back = list(_rollback(graph, connections))
    lines = [
        *_head(graph),
        *_before(graph, connections),
        *_parameters(graph),
        *steps,
        *final,
        *back,
        *_people(graph),
    ]
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    return re.sub(r"([\\`*_<>\[\]#|~&!])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Text on one line as code, whatever backticks are in it."""
    line = " ".join(text.split())
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if "`" in line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def _fenced(command: Command) -> list[str]:
    fence = "`" * max(3, _longest_run(command.text) + 1)
    lead = [escape(command.lead) if "`" not in command.lead else command.lead, ""]
    shown = [*(lead if command.lead else []), f"{fence}{command.language}"]
    shown += [*command.text.splitlines(), fence, ""]
    if unfilled(command):
        shown += ["Put the values in place of everything that stands in `{{ }}`.", ""]
    return shown


def _boxes(items: Iterable[str]) -> list[str]:
    return [f"- [ ] {escape(item)}" for item in items]


def _head(graph: PlanGraph) -> Iterator[str]:
    yield f"# Runbook: {escape(graph.summary)}"
    yield ""
    version = code(graph.short_digest)
    yield f"Plan {code(graph.name)}, version {version}, owner {escape(graph.owner)}."
    if graph.source:
        yield f"Made from {code(f'{graph.source.file}:{graph.source.line}')}."
    yield f"Digest {code(graph.digest)}."
    yield ""
    if graph.description:
        yield from (escape(line) for line in graph.description.strip().splitlines())
        yield ""
    yield "For use when the planner is down. Carry it out by hand, tick what is done, and write"
    yield "down the time of each step. Go on only while every box of a step can be ticked; if one"
    yield "cannot, stop there and go to *Roll back*."
    if graph.runbook:
        yield ""
        yield f"More: <{graph.runbook}>"
    yield ""


def _before(graph: PlanGraph, connections: Connections) -> Iterator[str]:
    yield "## Before you begin"
    yield ""
    yield from _boxes(["Two people: one types, one reads along and watches."])
    yield f"- [ ] The planner cannot start the same: {code(f'airflow dags pause {graph.name}')}, or"
    yield "  the Airflow scheduler is stopped."
    yield "- [ ] No run of this plan is under way; if one was, find out which steps it has done."
    for item in graph.touches:
        alone = "Nobody else works on" if item.mode == "exclusive" else "Nobody changes"
        yield f"- [ ] {alone} {code(item.resource)}."
    approval = graph.approval
    if approval and approval.required != "never":
        yield from _boxes(
            [f"{approval.count} of {', '.join(approval.approvers)} agreed, in writing."]
        )
    if graph.schedule and graph.schedule.calendar:
        yield from _boxes([f"A window of calendar {graph.schedule.calendar} is open."])
    yield from _boxes(f"SLO {name} is healthy." for name in graph.guards.slos)
    if graph.guards.budget:
        yield from _boxes(f"{part}." for part in budget_expected(graph.guards.budget))
    yield ""
    if not connections.variables:
        return
    yield "Access, by Airflow Connection (an administrator reads them with"
    yield "`airflow connections get ID`; type secrets at the prompt, never into this page):"
    yield ""
    exports: list[str] = []
    for (kind, connection), variable in connections.variables.items():
        what = {
            HTTP: "base address; add `-u USER` or a token header where it asks for one",
            KUBERNETES: "context of kubectl",
        }.get(kind, "a database client that is logged in")
        yield f"- [ ] {code(connection)}: {what}"
        if kind in {HTTP, KUBERNETES}:
            exports.append(f"export {variable}=")
    yield ""
    if exports:
        yield from _fenced(Command("bash", "\n".join(exports)))


def _parameters(graph: PlanGraph) -> Iterator[str]:
    if not graph.parameters:
        return
    yield "## Parameters"
    yield ""
    yield from _boxes(parameter(name, item) for name, item in graph.parameters.items())
    yield ""
    exports = [f"export {parameter_variable(name)}=" for name in graph.parameters]
    yield from _fenced(Command("bash", "\n".join(exports)))


def _steps(graph: PlanGraph, connections: Connections) -> Iterator[str]:
    yield "## Steps"
    yield ""
    for number, task in enumerate(graph.steps, start=1):
        yield f"### {number}. {escape(task.label)}: {escape(task.summary)}"
        yield ""
        after = [graph.by_id[up] for up in graph.upstream(task.id)]
        names = [code(up.label) for up in after if up.kind is TaskKind.STEP]
        if names:
            yield f"After {', '.join(names)}."
            yield ""
        if task.guards:
            yield "Before it begins:"
            yield ""
            yield from _boxes(begins_if(task))
            yield ""
        if task.parts:
            yield from _boxes(f"{part.id}: {part.summary}" for part in task.parts)
            yield ""
        yield from _task(graph, task, connections)


def _task(graph: PlanGraph, task: Task, connections: Connections) -> Iterator[str]:
    if task.action is None:
        rollout = _rollout_of(graph, task)
        if rollout is not None:
            yield f"{escape(task.summary)}."
            yield ""
            for command in commands_to_undo(rollout, connections, f"{graph.name}-{task.label}"):
                yield from _fenced(command)
            return
        yield f"{escape(task.summary)}: the planner knows how; by hand, put it back as it was."
        yield ""
        return
    if task.summary != describe(task):
        yield f"{escape(describe(task))}."
        yield ""
    for command in commands(task.action, connections, f"{graph.name}-{task.label}"):
        yield from _fenced(command)
    verify = task.action.verify
    if verify and verify.within:
        every, within = format_duration(verify.every), format_duration(verify.within)
        yield f"Repeat every {every} until all of this holds, for {within} at most:"
        yield ""
    yield from _boxes(expected(task.action) or ("done",))
    yield ""
    if task.timeout:
        yield f"Give up after {format_duration(task.timeout)}."
        yield ""


def _rollout_of(graph: PlanGraph, undo: Task) -> Patch | None:
    """The rollout that a task undoes, if it is one."""
    done = next((step for step in graph.steps if step.step == undo.step), None)
    return done.action.patch if done is not None and done.action is not None else None


def _final_check(graph: PlanGraph, connections: Connections) -> Iterator[str]:
    verify = graph.by_id.get("verify")
    if verify is None:
        return
    yield "## Verify"
    yield ""
    yield from _task(graph, verify, connections)
    yield "If a box cannot be ticked, go to *Roll back*."
    yield ""


def _rollback(graph: PlanGraph, connections: Connections) -> Iterator[str]:
    yield "## Roll back"
    yield ""
    if graph.compensations:
        yield "Only what was done, also in part, in this order:"
        yield ""
    for number, item in enumerate(reversed(graph.compensations), start=1):
        task = graph.by_id[item.task]
        yield f"### {number}. Undo {escape(item.step)}: {escape(describe(task))}"
        yield ""
        yield from _task(graph, task, connections)
    kept = not_undone(graph)
    if kept:
        yield "These have no rollback. If one was done, decide with the owner what to do:"
        yield ""
        yield from _boxes(f"{item.step}: {item.how}" for item in kept)
        yield ""
    if graph.by_id.get("verify") and graph.compensations:
        yield "Then go through *Verify* once more: all must be as it was before."
        yield ""


def _people(graph: PlanGraph) -> Iterator[str]:
    yield "## Tell"
    yield ""
    yield from _boxes(told(graph))
    yield from _boxes(
        [
            "Write what was done, when and by whom, into the team's log, with the digest above.",
            "When the planner is back: do not resume an old run; unpause the plan.",
        ]
    )
