"""What a plan will do, in order and in words, for the person who must decide at night."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from planner_provider.graph.contacts import own_words, reach
from planner_provider.graph.describe import describe_action
from planner_provider.graph.expectations import budget_expected, expected
from planner_provider.graph.model import PlanGraph, Task, TaskKind
from planner_provider.spec.attached import Matcher
from planner_provider.spec.plan import READ_ONLY_ACTIONS, Parameter, Retries
from planner_provider.spec.values import format_duration

NEXT_STARTS = 3
"""How many of the next starts are shown."""


@dataclass(frozen=True, slots=True)
class StepExplained:
    """One step in words."""

    id: str
    does: str
    summary: str | None
    """What the author says that it is for, if anything."""
    after: tuple[str, ...]
    """Ids of the steps that must be done first."""
    begins_if: tuple[str, ...]
    goes_on_if: tuple[str, ...]
    tries: str
    undone_by: str | None


@dataclass(frozen=True, slots=True)
class Undoing:
    """How a step is undone, or that it is not."""

    step: str
    how: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A plan in words. Every tuple is in the order in which things happen."""

    plan: str
    owner: str
    summary: str
    description: str | None
    digest: str
    where: str | None
    """File and line of the spec."""
    runbook: str | None
    cannot_run: tuple[str, ...]
    """What this release cannot do yet; such a plan is refused before it touches anything."""
    starts: str
    next_starts: tuple[str, ...]
    asks_for: tuple[str, ...]
    touches: tuple[str, ...]
    before: tuple[str, ...]
    """What must hold before anything is changed."""
    steps: tuple[StepExplained, ...]
    final_check: tuple[str, ...]
    undone: tuple[Undoing, ...]
    """In the order of undoing."""
    not_undone: tuple[Undoing, ...]
    told: tuple[str, ...]

    def to_json(self) -> str:
        """The explanation as indented JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)


def explain(graph: PlanGraph, now: datetime) -> Explanation:
    """Put a plan into words; ``now`` decides which starts are the next ones."""
    return Explanation(
        plan=graph.name,
        owner=graph.owner,
        summary=graph.summary,
        description=graph.description,
        digest=graph.digest,
        where=f"{graph.source.file}:{graph.source.line}" if graph.source else None,
        runbook=graph.runbook,
        cannot_run=graph.unavailable,
        starts=starts(graph),
        next_starts=next_starts(graph, now),
        asks_for=tuple(parameter(name, item) for name, item in graph.parameters.items()),
        touches=tuple(_touched(item.resource, item.mode) for item in graph.touches),
        before=before(graph),
        steps=tuple(_step(graph, task) for task in graph.steps),
        final_check=final_check(graph),
        undone=tuple(
            Undoing(item.step, describe(graph.by_id[item.task]))
            for item in reversed(graph.compensations)
        ),
        not_undone=not_undone(graph),
        told=told(graph),
    )


def describe(task: Task) -> str:
    """What a task does."""
    return describe_action(task.action) if task.action else task.summary


def starts(graph: PlanGraph) -> str:
    """When the plan starts."""
    schedule = graph.schedule
    if schedule is None:
        return "By hand only."
    if schedule.cron:
        return f"By itself, cron {schedule.cron} in {schedule.timezone or 'UTC'}; also by hand."
    needs = f", if {format_duration(schedule.needs)} are left" if schedule.needs else ""
    at_end = {
        "finish": "work that still runs at the end of a window is finished",
        "stop_after_step": "at the end of a window it stops after the step that runs",
        "abort": "at the end of a window it is aborted",
    }[schedule.at_end]
    missed = {
        "latest": "late in the same window if it was missed",
        "none": "not at all in one that was missed",
    }[schedule.catch_up]
    return (
        f"By itself, at each opening of calendar {schedule.calendar}{needs}, {missed}; {at_end}. "
        "By hand at any time, but its steps wait for a window."
    )


def next_starts(graph: PlanGraph, now: datetime) -> tuple[str, ...]:
    """The next starts by cron after ``now``, in the zone of the schedule."""
    if graph.schedule is None or graph.schedule.cron is None:
        return ()
    from croniter import CroniterError, croniter

    zone = ZoneInfo(graph.schedule.timezone or "UTC")
    try:
        moments = croniter(graph.schedule.cron, now.astimezone(zone), ret_type=datetime)
        found = [moments.get_next() for _ in range(NEXT_STARTS)]
    except CroniterError:  # a date that never comes, such as 30 February
        return ()
    return tuple(f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M %Z}" for moment in found)


def parameter(name: str, item: Parameter) -> str:
    """What is asked for when the plan is started by hand."""
    parts: list[str] = [item.type]
    parts.append("must be given" if item.required else f"{json.dumps(item.default)} if not given")
    if item.enum:
        parts.append("one of " + ", ".join(json.dumps(value) for value in item.enum))
    if item.pattern:
        parts.append(f"must match {item.pattern}")
    if item.minimum is not None:
        parts.append(f"{item.minimum} or more")
    if item.maximum is not None:
        parts.append(f"{item.maximum} or less")
    about = item.description or item.title
    return f"{name} ({', '.join(parts)})" + (f": {about}" if about else "")


def before(graph: PlanGraph) -> tuple[str, ...]:
    """What must hold before anything is changed, in order."""
    said: list[str] = []
    approval = graph.approval
    if approval and approval.required != "never":
        who = f"{approval.count} of {', '.join(approval.approvers)} must approve"
        if approval.not_ == "requester":
            who += ", not the one who started it"
        if approval.auto_approve and approval.required == "auto":
            who = f"If the risk is above {approval.auto_approve.max_risk}, {who}"
        said.append(f"{who}, within {format_duration(approval.timeout)}.")
    if graph.schedule and graph.schedule.calendar:
        said.append(f"A window of calendar {graph.schedule.calendar} must be open.")
    said += [f"SLO {name} must be healthy." for name in graph.guards.slos]
    if graph.guards.budget:
        said += [f"Only if {part}." for part in budget_expected(graph.guards.budget)]
    if graph.cost and graph.cost.max_increase is not None:
        said.append(
            "What it costs must be known; it is undone if that rises by more than "
            f"{graph.cost.limit_words}."
        )
    if graph.touches:
        said.append("No other plan may hold what this one touches.")
    if graph.ttl:
        said.append(f"The decision to run is void after {format_duration(graph.ttl)}.")
    said.append("The plan must not have been changed since the run was started.")
    return tuple(said)


def final_check(graph: PlanGraph) -> tuple[str, ...]:
    """What must hold after the last step; else all is undone."""
    verify = graph.by_id.get("verify")
    return expected(verify.action) if verify and verify.action else ()


def not_undone(graph: PlanGraph) -> tuple[Undoing, ...]:
    """Steps that change something and are not undone, in the order in which they are done."""
    return tuple(
        Undoing(task.label, describe(task))
        for task in graph.steps
        if graph.undo_of(task.label) is None
        and task.action
        and task.action.action_name not in READ_ONLY_ACTIONS
    )


def told(graph: PlanGraph) -> tuple[str, ...]:
    """Who hears of the plan, and who answers for it."""
    said = [f"{graph.owner} owns the plan."]
    said += [
        f"{item.team} is reached by {', '.join(reach(item))}."
        for item in graph.contacts
        if item.connections
    ]
    worded: dict[str, list[str]] = {}
    for team, event in own_words(graph.contacts):
        worded.setdefault(team, []).append(event)
    said += [f"{team} is told of {', '.join(e)} in its own words." for team, e in worded.items()]
    if graph.ticket:
        issue = f"{graph.ticket.via} issue {graph.ticket.issue}"
        said.append(f"The {issue} gets a comment at the start, for approvals, and at the end.")
        for event, state in graph.ticket.states.items():
            said.append(f"Its state becomes '{state}' at the event {event}.")
    if graph.silence:
        alerts = ", ".join(matcher_words(item) for item in graph.silence.matchers)
        most = format_duration(graph.silence.for_)
        said.append(f"Alerts with {alerts} are silenced while it acts, for {most} at most.")
    for task in graph.tasks:
        if task.action and task.action.notify:
            when = "Step" if task.kind is TaskKind.STEP else "The rollback of"
            said.append(f"{when} {task.label} tells {', '.join(task.action.notify.to)}.")
    return tuple(said)


def matcher_words(matcher: Matcher) -> str:
    """A matcher as Alertmanager writes it."""
    sign = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
    return f'{matcher.label}{sign[matcher.equal, matcher.regex]}"{matcher.value}"'


def tries(task: Task) -> str:
    """How often a task is tried, and how long each try may take."""
    limit = f"{format_duration(task.timeout)} at most" if task.timeout else "no time limit"
    retries: Retries = task.retries
    if retries.limit == 0:
        return f"tried once, {limit}"
    never = f", not again if {_or(retries.never)}" if retries.never else ""
    return f"tried {retries.limit + 1} times at most, {limit} each{never}"


_AFTER_ERROR = {
    "refused": "it was refused",
    "check_failed": "a check failed",
    "unavailable": "the other side is down",
    "misconfigured": "its settings are wrong",
    "attention": "its effect is not known",
    "error": "anything else went wrong",
}


def _or(classes: tuple[str, ...]) -> str:
    words = [_AFTER_ERROR[name] for name in classes]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def begins_if(task: Task) -> tuple[str, ...]:
    """What must hold before a step begins, beside what holds for the whole plan."""
    return tuple(f"SLO {name} is healthy" for name in task.guards.slos) if task.guards else ()


def _touched(resource: str, mode: str) -> str:
    return f"{resource} ({'no other plan meanwhile' if mode == 'exclusive' else 'shared'})"


def _step(graph: PlanGraph, task: Task) -> StepExplained:
    does = describe(task)
    undo = graph.undo_of(task.label)
    after = [graph.by_id[up] for up in graph.upstream(task.id)]
    return StepExplained(
        id=task.label,
        does=does,
        summary=None if task.summary == does else task.summary,
        after=tuple(up.label for up in after if up.kind is TaskKind.STEP),
        begins_if=begins_if(task),
        goes_on_if=expected(task.action) if task.action else (),
        tries=tries(task),
        undone_by=describe(undo) if undo else None,
    )


def explanation_text(item: Explanation) -> str:
    """The explanation for a terminal."""
    lines = [f"{item.plan}: {item.summary}"]
    lines.append(f"Owner {item.owner}, version {item.digest[:8]}" + _in(item.where))
    if item.runbook:
        lines.append(f"Runbook {item.runbook}")
    if item.description:
        lines += ["", *item.description.strip().splitlines()]
    lines += _block(
        "CANNOT RUN YET, this release refuses it before anything is touched", item.cannot_run
    )
    lines += _block("STARTS", (item.starts, *(f"next {moment}" for moment in item.next_starts)))
    lines += _block("ASKS FOR", item.asks_for)
    lines += _block("TOUCHES", item.touches)
    lines += _block("BEFORE ANYTHING IS CHANGED", item.before)
    usual = Counter(step.tries for step in item.steps).most_common(1)[0][0]
    lines += ["", "STEPS", f"  each is {usual}" + _unless(item, usual)]
    for number, step in enumerate(item.steps, start=1):
        previous = (item.steps[number - 2].id,) if number > 1 else ()
        lines += _step_lines(number, step, previous, usual)
    if item.final_check:
        lines += _block(
            "THEN CHECKS, and undoes all if one of these does not hold", item.final_check
        )
    lines += ["", "IF IT FAILS"]
    lines += [f"  {line}" for line in _failure_lines(item)]
    lines += _block("WHO", item.told)
    return "\n".join(lines) + "\n"


def _in(where: str | None) -> str:
    return f", in {where}" if where else ""


def _block(title: str, lines: tuple[str, ...]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines)] if lines else []


def _unless(item: Explanation, usual: str) -> str:
    return "" if all(step.tries == usual for step in item.steps) else ", unless it says otherwise"


def _step_lines(
    number: int, step: StepExplained, previous: tuple[str, ...], usual: str
) -> list[str]:
    lines = [f"  {number}. {step.id}: {step.summary or step.does}"]
    details: list[str] = [step.does] if step.summary else []
    if step.after != previous:
        details.append(f"after {', '.join(step.after)}" if step.after else "at once, in parallel")
    if step.begins_if:
        details.append(f"begins if {'; '.join(step.begins_if)}")
    if step.goes_on_if:
        details.append(f"goes on if {'; '.join(step.goes_on_if)}")
    if step.tries != usual:
        details.append(step.tries)
    return lines + [f"       {detail}" for detail in details]


def _failure_lines(item: Explanation) -> list[str]:
    lines: list[str] = []
    if item.undone:
        lines.append("What was done is undone, in this order:")
        lines += [
            f"  {number}. {undo.step}: {undo.how}" for number, undo in enumerate(item.undone, 1)
        ]
    else:
        lines.append("Nothing is undone. It stops where it is.")
    if item.not_undone:
        lines.append("NOT undone:")
        lines += [f"  - {undo.step}: {undo.how}" for undo in item.not_undone]
    if item.final_check and item.undone:
        lines.append("Then the checks above are made again.")
    return lines
