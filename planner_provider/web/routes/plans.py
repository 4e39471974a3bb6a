"""``/plans``: what is compiled."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from planner_provider.web import rows
from planner_provider.web.access import Access
from planner_provider.web.answers import rendered, reply
from planner_provider.web.deps import LOGGED_IN, AccessDep, PlannerDep
from planner_provider.web.models import PlanRow
from planner_provider.web.problems import not_found
from planner_provider.web.sight import Planner

router = APIRouter(prefix="/plans", dependencies=[LOGGED_IN])


@router.get("")
def plans(request: Request, parts: PlannerDep, access: AccessDep) -> Response:
    """The plans that Airflow has as DAGs, by name."""
    return reply(request, rendered(_rows(parts, access)))


@router.get("/{plan}")
def plan(plan: str, parts: PlannerDep, access: AccessDep) -> PlanRow:
    """One plan."""
    for row in _rows(parts, access, only=plan):
        return row
    raise not_found()


def _rows(parts: Planner, access: Access, only: str | None = None) -> list[PlanRow]:
    dags = parts.dags.now()
    return [
        rows.plan(facts, dags[facts.plan], access)
        for facts in parts.overviews.plans.newest()
        if only in (None, facts.plan)
        and facts.plan in dags
        and not dags[facts.plan].is_stale
        and access.reads(facts.plan)
    ]
