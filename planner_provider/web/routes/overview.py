"""``/me`` and ``/overview``: who asks, and everything at a glance."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from planner_provider import __version__
from planner_provider.web import rows
from planner_provider.web.access import GetUserDep, user_name
from planner_provider.web.answers import RenderedOnce, rendered, reply
from planner_provider.web.deps import LOGGED_IN, AccessDep, SightDep
from planner_provider.web.models import Me

router = APIRouter(dependencies=[LOGGED_IN])
_rendered = RenderedOnce()


@router.get("/me")
async def me(user: GetUserDep) -> Me:
    """Who asks."""
    return Me(user=user_name(user), version=__version__)


@router.get("/overview")
async def overview(request: Request, sight: SightDep, access: AccessDep) -> Response:
    """All of the first page. Whoever polls it sends the tag of the last answer."""
    found = _rendered.known(sight, access.key)
    if found is None:
        found = await run_in_threadpool(
            _rendered.get,
            sight,
            access.key,
            lambda: rendered(rows.overview(sight.board, sight.dags, access), besides={"at"}),
        )
    return reply(request, found)
