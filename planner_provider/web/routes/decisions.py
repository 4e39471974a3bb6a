"""``/decisions``: what was decided, why, and from what."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from planner_provider.ledger import decisions as records
from planner_provider.ledger import overview_rows, runs
from planner_provider.ledger.reports import Reports
from planner_provider.ledger.rows import RecordedDecision
from planner_provider.web import rows, series
from planner_provider.web.answers import rendered, reply
from planner_provider.web.deps import LOGGED_IN, AccessDep, PlannerDep
from planner_provider.web.models import DecisionDetail, Series
from planner_provider.web.problems import not_found
from planner_provider.web.sight import Planner

router = APIRouter(prefix="/decisions", dependencies=[LOGGED_IN])
MEASURED = {
    "slo_gate": ("budget left", "burn rate"),
    "throttle": ("limit", "signal", "running"),
    "cost": ("cost an hour",),
    "cost_cap": ("cost an hour",),
}
"""Kind -> words in the names of the measures that are drawn from decision to decision."""
DRAWN = 120
"""From so many decisions."""


@router.get("")
def decisions(
    request: Request,
    parts: PlannerDep,
    access: AccessDep,
    plan_id: str | None = None,
    kind: Annotated[str | None, Query(max_length=50)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """Decisions, newest first."""
    with parts.overviews.reading() as connection:
        found = overview_rows.decisions(
            connection,
            plan_ids=None if plan_id is None else [plan_id],
            dag_ids=access.dag_ids,
            kind=kind,
            limit=limit,
        )
        marks = parts.overviews.marks(connection, found)
    return reply(request, rendered([rows.decision(item) for item in marks]))


@router.get("/{decision_id}")
def decision(decision_id: int, parts: PlannerDep, access: AccessDep) -> DecisionDetail:
    """One decision with what it was made from."""
    with parts.overviews.reading() as connection:
        found = records.find(connection, decision_id) if 0 < decision_id < 2**63 else None
        run = None if found is None else runs.get(connection, found.plan_id)
        if found is None or run is None or not access.reads(run.key.dag_id):
            raise not_found()
        row = overview_rows.verdicts(connection, [decision_id])
        marks = parts.overviews.marks(connection, row)
    return DecisionDetail(
        decision=rows.decision(marks[0]),
        evidence=_object(found.decision.verdict),
        inputs=_object(found.decision.inputs),
        series=_series(parts, found),
        vouched=Reports(parts.engine).vouches_for(found),
    )


def _series(parts: Planner, found: RecordedDecision) -> tuple[Series, ...]:
    kind = found.decision.kind
    if kind == "canary":
        return series.of_canary(_object(found.decision.inputs), found.decision.decided_at)
    if kind not in MEASURED:
        return ()
    with parts.overviews.reading() as connection:
        earlier = overview_rows.decisions(
            connection,
            plan_ids=[found.plan_id],
            kind=kind,
            step=found.step,
            until=found.id,
            limit=DRAWN,
        )
    return series.of_measures(reversed(earlier), MEASURED[kind])


def _object(text: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
