"""``/runs``: lists of runs, and each run with everything about it."""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from planner_provider.ledger.rows import Outcome
from planner_provider.ledger.run_detail import Detail, detail
from planner_provider.ledger.run_lists import RunFilter
from planner_provider.web import detail_rows, rows
from planner_provider.web.answers import RenderedOnce, rendered, reply
from planner_provider.web.deps import LOGGED_IN, AccessDep, PlannerDep
from planner_provider.web.models import RunPage
from planner_provider.web.problems import ProblemError, not_found
from planner_provider.web.sight import Planner, Shared, planner

router = APIRouter(prefix="/runs", dependencies=[LOGGED_IN])
LIVE_STATES = frozenset({"running", "waiting", "held", "stopping", "rolling_back"})
MOST_WATCHED = 64
"""The pages of so many runs are kept in sight for a second."""


@router.get("")
def runs(
    request: Request,
    parts: PlannerDep,
    access: AccessDep,
    plan: str | None = None,
    outcome: Outcome | None = None,
    state: Annotated[str | None, Query(max_length=30)] = None,
    since: AwareDatetime | None = None,
    dag_id: str | None = None,
    run_id: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Runs, newest first; those that go on come with their steps.

    ``state`` is one of a run that goes on, ``live``, ``ended``, or an outcome.
    """
    readable = set(access.dag_ids)
    if dag_id is not None:
        readable &= {dag_id}
    if not readable:
        return reply(request, rendered(RunPage(runs=(), next_cursor=None)))
    wanted, live = _of_state(state, outcome)
    asked = RunFilter(
        dag_ids=readable,
        plan=plan,
        run_id=run_id,
        outcome=wanted,
        live=live,
        since=since,
        after=_after(cursor),
    )
    found = parts.overviews.page(asked, limit + 1, parts.now())
    more = len(found) > limit
    last = found[limit - 1] if more else None
    shown = [item for item, _ in found[:limit] if state not in LIVE_STATES or item.state == state]
    cursor = _cursor(last[1], last[0].run.plan_id) if last is not None else None
    return reply(request, rendered(RunPage(runs=rows.runs(shown, access), next_cursor=cursor)))


def _of_state(state: str | None, outcome: Outcome | None) -> tuple[Outcome | None, bool | None]:
    """What a state asks of the ledger: an outcome, and whether runs go on."""
    if state is None:
        return outcome, None
    if state in LIVE_STATES or state == "live":
        return outcome, True
    if state == "ended":
        return outcome, False
    try:
        wanted = Outcome(state)
    except ValueError:
        known = ", ".join(sorted({*LIVE_STATES, "live", "ended", *Outcome}))
        raise ProblemError(422, f"There is no state {state!r}.", f"There are: {known}.") from None
    if outcome is not None and outcome is not wanted:
        raise ProblemError(422, "`state` and `outcome` exclude each other.")
    return wanted, None


def _cursor(moment: datetime | None, plan_id: str) -> str | None:
    if moment is None:
        return None
    return base64.urlsafe_b64encode(json.dumps([moment.isoformat(), plan_id]).encode()).decode()


def _after(cursor: str | None) -> tuple[datetime, str] | None:
    if not cursor:
        return None
    try:
        at, plan_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(at)
    except (ValueError, TypeError, binascii.Error):
        raise ProblemError(422, "This cursor is not one of ours.") from None
    if moment.tzinfo is None or not isinstance(plan_id, str):
        raise ProblemError(422, "This cursor is not one of ours.")
    return moment, plan_id


# ---- one run


@dataclass(frozen=True, slots=True)
class Watched:
    """The page of one run, shared by all who look at it."""

    detail: Shared[Detail | None]
    answers: RenderedOnce = field(default_factory=RenderedOnce)


class WatchedRuns:
    """The runs whose pages are open."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Watched] = OrderedDict()
        self._turn = Lock()

    def of(self, parts: Planner, plan_id: str) -> Watched:
        """The one of a run."""
        with self._turn:
            if plan_id not in self._known:
                self._known[plan_id] = Watched(
                    Shared(lambda: detail(parts.overviews, plan_id, parts.now()))
                )
                while len(self._known) > MOST_WATCHED:
                    self._known.popitem(last=False)
            self._known.move_to_end(plan_id)
            return self._known[plan_id]

    def forget(self, plan_id: str) -> None:
        """Something about a run was just changed."""
        with self._turn:
            self._known.pop(plan_id, None)


watched_runs = WatchedRuns()


@router.get("/{plan_id}")
def run(plan_id: str, request: Request, parts: PlannerDep, access: AccessDep) -> Response:
    """A run with everything about it."""
    watched = watched_runs.of(parts, plan_id)
    found = watched.detail.get()
    if found is None:
        watched_runs.forget(plan_id)
        raise not_found()
    if not access.reads(found.now.run.key.dag_id):
        raise not_found()
    answer = watched.answers.get(
        found, access.key, lambda: rendered(detail_rows.run_detail(found, access))
    )
    return reply(request, answer)


def forget(plan_id: str) -> None:
    """Have everybody see what was just changed about a run."""
    watched_runs.forget(plan_id)
    planner().sight.forget()
