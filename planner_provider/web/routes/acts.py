"""What people do from the page. Each is asked of Airflow first, and audited under their name."""

from __future__ import annotations

from fastapi import APIRouter

from planner_provider.ledger import runs as run_rows
from planner_provider.ledger.rows import CalendarChange, ChangeKind, PlanRun
from planner_provider.ledger.throttle_change import (
    ThrottleOrder,
    ThrottleRangeError,
    UnknownThrottleError,
    change_throttle,
)
from planner_provider.notifications.looking import look
from planner_provider.web.access import GetUserDep, may, may_override, user_name
from planner_provider.web.deps import LOGGED_IN, OWN_PAGE_ONLY, AccessDep, PlannerDep
from planner_provider.web.models import Done, Override, ThrottleChange, Why
from planner_provider.web.problems import ProblemError, not_found
from planner_provider.web.routes.runs import forget
from planner_provider.web.sight import Planner

router = APIRouter(dependencies=[LOGGED_IN, OWN_PAGE_ONLY])
LONGEST_REASON = 2_000


@router.post("/runs/{plan_id}/abort")
def abort(plan_id: str, body: Why, parts: PlannerDep, user: GetUserDep) -> Done:
    """Stop a run; what it did is rolled back."""
    _steerable(parts, plan_id, user)
    reason = _reason(body.reason)
    stopped = parts.ledger.request_abort(
        plan_id, actor=_actor(user), reason=reason, now=parts.now()
    )
    _have_told(parts, plan_id)
    if stopped is None:
        raise not_found()
    ended = stopped.finished_at if stopped.outcome is not None else None
    if stopped.abort_at is None or (ended is not None and stopped.abort_at < ended):
        _refuse_ended(stopped)
    return Done(
        text="The run is being stopped: nothing new begins, and what was done is rolled back."
    )


@router.post("/runs/{plan_id}/hold")
def hold(plan_id: str, body: Why, parts: PlannerDep, user: GetUserDep) -> Done:
    """Let nothing new begin; what goes on, goes on to its end."""
    _steerable(parts, plan_id, user)
    reason = _reason(body.reason)
    held = parts.ledger.hold_run(plan_id, actor=_actor(user), reason=reason, now=parts.now())
    _have_told(parts, plan_id)
    if held is None:
        raise not_found()
    if held.held_at is None:
        _refuse_ended(held)
    if held.held_by != _actor(user):
        return Done(text=f"The run was held already, by {held.held_by}.")
    return Done(text="The run is held: no step begins until somebody resumes it.")


@router.post("/runs/{plan_id}/resume")
def resume(plan_id: str, body: Why, parts: PlannerDep, user: GetUserDep) -> Done:
    """Let a run go on that is held."""
    run = _steerable(parts, plan_id, user)
    reason = _reason(body.reason)
    if run.held_at is None:
        _refuse_ended(run, "Nobody holds this run.")
    resumed = parts.ledger.resume_run(plan_id, actor=_actor(user), reason=reason, now=parts.now())
    _have_told(parts, plan_id)
    if resumed is None:
        raise not_found()
    return Done(text="The run goes on; what waits begins within seconds.")


@router.post("/runs/{plan_id}/throttles/{name:path}")
def throttle(
    plan_id: str, name: str, body: ThrottleChange, parts: PlannerDep, user: GetUserDep
) -> Done:
    """Change how much a long step does at once."""
    run = _steerable(parts, plan_id, user)
    reason = _reason(body.reason or "changed on the Plans page")
    order = ThrottleOrder(body.limit, body.minimum, body.maximum, body.paused, reason)
    if order.is_empty:
        raise ProblemError(422, "Nothing is to be changed.", "Give a limit, a minimum, a maximum.")
    if run.outcome is not None:
        _refuse_ended(run)
    try:
        after = change_throttle(
            parts.ledger, plan_id, name, order, who=_actor(user), now=parts.now()
        )
    except UnknownThrottleError as error:
        known = ", ".join(error.known)
        raise ProblemError(
            404, f"This run has no throttle {name!r}.", f"It has: {known}." if known else None
        ) from error
    except ThrottleRangeError as error:
        raise ProblemError(422, _sentence(str(error)), _sentence(error.hint)) from error
    forget(plan_id)
    between = f"between {after.minimum:g} and {after.maximum:g}"
    paused = {True: " It is paused.", False: " It begins again.", None: ""}[body.paused]
    return Done(text=f"{after.limit:g} may go on at once ({between}).{paused}")


@router.post("/calendars/{name}/override")
def override(
    name: str, body: Override, parts: PlannerDep, user: GetUserDep, access: AccessDep
) -> Done:
    """Open a calendar in an emergency, over closed windows and freezes."""
    now, who = parts.now(), user_name(user)
    affected = [
        facts.plan
        for facts in parts.overviews.plans.newest()
        if name in facts.window_calendars and access.reads(facts.plan)
    ]
    if not affected:
        raise not_found()
    if not may_override(who, parts.settings.override_users):
        raise ProblemError(
            403,
            "You may not override calendars.",
            "`[planner] override_users` names those who may; ask one of them.",
        )
    reason = _reason(body.reason)
    if body.until.tzinfo is None:
        raise ProblemError(422, "`until` names no time zone.", "Such as 2026-03-29T01:30:00Z.")
    if body.until <= now:
        raise ProblemError(422, "`until` has passed already.", "Give a moment that lies ahead.")
    added = parts.ledger.add_calendar_change(
        CalendarChange(
            id=0, calendar=name, kind=ChangeKind.OVERRIDE, begins_at=now, ends_at=body.until,
            reason=reason, who=_actor(user), created_at=now,
        )
    )  # fmt: skip
    parts.sight.forget()
    plans = ", ".join(affected[:5]) + (f" and {len(affected) - 5} more" if affected[5:] else "")
    return Done(
        text=f"Calendar {name} is open until {body.until:%Y-%m-%d %H:%M %Z} (change {added.id}). "
        f"It concerns {plans}; plans that wait see it within a minute."
    )


def _steerable(parts: Planner, plan_id: str, user: GetUserDep) -> PlanRun:
    """The run, if this user may steer it: asked of Airflow now, not remembered.

    A run that the user may not even see is as if it were not there.
    """
    with parts.overviews.reading() as connection:
        run = run_rows.get(connection, plan_id)
    if run is None:
        raise not_found()
    dag_id = run.key.dag_id
    known = parts.dags.now().get(dag_id)
    team = known.team if known else None
    if not (may(user, dag_id, "GET", None, team) and may(user, dag_id, "GET", team=team)):
        raise not_found()
    if not may(user, dag_id, "PUT", team=team):
        raise ProblemError(
            403,
            f"You may not steer runs of {dag_id}.",
            "It takes Airflow's permission to edit runs of this DAG.",
        )
    return run


def _have_told(parts: Planner, plan_id: str) -> None:
    """Have those see it who look at the page, and those hear of it who are to be notified."""
    forget(plan_id)
    look(parts.ledger, parts.now())


def _reason(text: str) -> str:
    reason = text.strip()
    if not reason:
        raise ProblemError(422, "The reason is empty.", "Say why, for those who read it tomorrow.")
    if len(reason) > LONGEST_REASON:
        raise ProblemError(422, f"The reason is longer than {LONGEST_REASON} characters.")
    return reason


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def _actor(user: GetUserDep) -> str:
    return f"ui:{user_name(user)}"


def _refuse_ended(run: PlanRun, otherwise: str | None = None) -> None:
    """Say that there is nothing to be done any more."""
    if run.outcome is not None:
        raise ProblemError(409, f"The run has ended already: {run.outcome.value}.")
    if run.abort_at is not None:
        raise ProblemError(409, "The run is being stopped already.")
    raise ProblemError(409, otherwise or "Nothing was done.")
