"""``/audit``: what was done, by whom."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from planner_provider.ledger import runs
from planner_provider.ledger.run_detail import audit_lines
from planner_provider.web import detail_rows
from planner_provider.web.answers import rendered, reply
from planner_provider.web.deps import LOGGED_IN, AccessDep, PlannerDep
from planner_provider.web.problems import not_found

router = APIRouter(prefix="/audit", dependencies=[LOGGED_IN])


@router.get("")
def audit(
    request: Request,
    parts: PlannerDep,
    access: AccessDep,
    plan_id: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Response:
    """Lines of the audit trail, newest first: of runs whose trail the user may read.

    Lines that are about no run, such as overrides of calendars, are shown to whoever may read the
    trail of any plan.
    """
    if not access.audits:
        return reply(request, rendered(()))
    with parts.overviews.reading() as connection:
        if plan_id is not None:
            run = runs.get(connection, plan_id)
            if run is None or run.key.dag_id not in access.audits:
                raise not_found()
        found = audit_lines(
            connection, plan_id=plan_id, dag_ids=access.audits, before=before, limit=limit
        )
    return reply(request, rendered(detail_rows.audit(found)))
