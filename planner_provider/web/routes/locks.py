"""``/locks``: who holds what, and who waits for it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from planner_provider.ledger.run_detail import locks_now
from planner_provider.web import detail_rows
from planner_provider.web.answers import rendered, reply
from planner_provider.web.deps import LOGGED_IN, AccessDep, PlannerDep

router = APIRouter(prefix="/locks", dependencies=[LOGGED_IN])


@router.get("")
def locks(request: Request, parts: PlannerDep, access: AccessDep) -> Response:
    """Locks that are held, then those that runs wait for."""
    with parts.overviews.reading() as connection:
        found = locks_now(connection, parts.now())
    return reply(request, rendered(detail_rows.locks(found, access)))
