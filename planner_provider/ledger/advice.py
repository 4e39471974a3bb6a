"""What a person can do about a run, by what is on record. Pure: a story in, sentences out."""

from __future__ import annotations

from datetime import datetime

from planner_provider.ledger.journal import PART, Journal, StepStatus
from planner_provider.ledger.reports import Story
from planner_provider.ledger.rows import Act, ActRole, ApprovalState, Outcome

FRESH_SECONDS = 10
"""A sign of life is told in steps of so many seconds: what is told stays as it is while all is
well, and whoever polls is not sent it anew each second."""
NOT_IN_THE_WORLD = frozenset({StepStatus.UNTOUCHED, StepStatus.UNDONE})


def step_names(story: Story) -> tuple[str, ...]:
    """The steps of the plan in their order, if its version is kept; then others that acted.

    A step that is done in parts is named by its parts, as far as these began.
    """
    acted = [act.step for act in story.acts if act.role is not ActRole.CHECK]
    planned: list[str] = []
    if story.compiled is not None:
        planned = _planned(story.compiled.graph)
    known = list(dict.fromkeys([*planned, *acted]))
    whole = {name for name in known if any(other.startswith(name + PART) for other in known)}
    return tuple(name for name in known if name not in whole)


def _planned(graph: str) -> list[str]:
    from planner_provider.graph.model import PlanGraph

    try:
        read = PlanGraph.from_json(graph)
    except ValueError:  # kept by another release
        return []
    return [task.step or task.label for task in read.steps]


def advice(story: Story, now: datetime) -> tuple[str, ...]:
    """What to do next, the most urgent first."""
    outcome = story.report.run.outcome
    if outcome is None:
        return _under_way(story, now)
    said = _ended(story, outcome)
    held = [lease for lease in story.leases if lease.released_at is None]
    if held:
        said.append(
            "It still holds its locks although it has ended; its teardown may be at it. If they "
            f"stay: `planner locks --release {story.report.run.plan_id} --reason ...`."
        )
    return tuple(said)


def _under_way(story: Story, now: datetime) -> tuple[str, ...]:
    run = story.report.run
    acting = [act for act in story.acts if act.is_open]
    said = [_acting(act, now) for act in acting]
    waits = [item for item in story.approvals if item.state is ApprovalState.OPEN]
    said += [
        f"It waits for an approval ({item.request.task}): answer it in Airflow, under Required "
        "Actions."
        for item in waits
    ]
    last = story.decisions[-1].decision if story.decisions else None
    if last is not None and last.kind == "window" and not last.outcome.passes and not acting:
        said.append(
            "It waits for its maintenance window. "
            f"{' '.join(reason.text for reason in last.outcome.reasons)} What people changed about "
            "the calendar: `planner calendar changes`."
        )
    if story.waits is not None:
        said.append("It waits for locks: `planner locks` says who holds them.")
    if run.abort_at is not None:
        said.append(
            f"{run.stopped_by.capitalize()} stopped it. What acts is told to stop, what was done "
            "is rolled back, then it ends. Wait, and look again."
        )
        return tuple(said)
    late = run.expires_at is not None and run.expires_at <= now
    if late:
        said.append("Its time to begin steps is over: no further step will begin.")
    if run.held_at is not None:
        said.append(f"{run.held_words}. Nothing new begins; what acts goes on to its end.")
        if not late:
            until = f", by {run.expires_at:%Y-%m-%d %H:%M:%S} UTC" if run.expires_at else ""
            said.append(f"To let it go on{until}: `planner resume {run.plan_id}`.")
    if not said:
        said.append(
            f"Nothing acts at this moment. Look at run {run.key.run_id} of DAG {run.key.dag_id} "
            "in Airflow."
        )
    said.append(f"To stop it: `planner abort {run.plan_id} --reason ...`.")
    return tuple(said)


def _acting(act: Act, now: datetime) -> str:
    what = {
        ActRole.STEP: f"Step {act.step} is under way",
        ActRole.UNDO: f"Step {act.step} is being undone",
        ActRole.CHECK: f"The check {act.step} is under way",
    }[act.role]
    if act.parked_at is not None:
        return f"{what} and waits; no process acts on it."
    silent = int((now - act.alive_at).total_seconds() // FRESH_SECONDS * FRESH_SECONDS)
    age = f"more than {silent} s" if silent > 0 else f"less than {FRESH_SECONDS} s"
    return f"{what}; its last sign of life was {age} ago."


def _ended(story: Story, outcome: Outcome) -> list[str]:
    run = story.report.run
    journal = Journal(story.acts)
    names = [name for name in journal if journal[name].status not in NOT_IN_THE_WORLD]
    left = ", ".join(f"{name} ({journal[name].status.value})" for name in names)
    match outcome:
        case Outcome.SUCCEEDED:
            return ["Nothing to do: the change is in."]
        case Outcome.ROLLBACK_FAILED:
            return [
                f"Look now. {'By the journal there is left: ' + left + '.' if left else ''} Put it "
                f"right by hand, in reverse order; `planner render SPEC --plan {run.key.plan} "
                "--format runbook` has the commands.".replace("  ", " "),
                "Do not start this plan again before that is done.",
            ]
        case Outcome.ROLLED_BACK:
            return [
                "Nothing is left to put right. Find the cause in the reason and the decisions "
                "above, then start a new run."
            ]
        case Outcome.FAILED if left:
            return [
                f"Look whether what is left may stay: {left}. Nothing undoes it by itself.",
                "Then start a new run: it does all steps.",
            ]
        case Outcome.FAILED:
            return ["Nothing was changed. Mend what the reason says, then start a new run."]
        case Outcome.REJECTED:
            return ["Nothing was changed. Talk to whoever said no; then start a new run."]
        case Outcome.EXPIRED:
            return ["Nothing was changed. Start a new run when somebody can approve it in time."]
        case Outcome.BLOCKED:
            return ["Nothing was changed. When what the reason says has passed, start a new run."]
        case _:
            return ["Nothing was changed. Start a new run when the work may go on."]
