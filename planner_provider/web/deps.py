"""What routes ask for: the user, what the user may do, and what there is to see."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from airflow.api_fastapi.core_api.security import get_user
from airflow.configuration import conf
from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from planner_provider.web.access import Access, GetUserDep
from planner_provider.web.problems import ProblemError
from planner_provider.web.sight import Planner, Sight, planner

OWN_HEADER = "x-planner-request"
LONGEST_BODY = 64 * 1024
LOGGED_IN = Depends(get_user)
"""On every router: without a login nothing is answered, and nothing is read."""


async def see() -> Sight:
    """The plans and runs, at most a second old."""
    shared = planner().sight
    fresh = shared.fresh()
    return fresh if fresh is not None else await run_in_threadpool(shared.get)


SightDep = Annotated[Sight, Depends(see)]


async def find_access(user: GetUserDep) -> Access:
    """What the user may do, as Airflow said at most ten seconds ago."""
    parts = planner()
    dag_ids = parts.dag_ids.fresh()
    known = None if dag_ids is None else parts.accesses.known(user, dag_ids)
    return known if known is not None else await run_in_threadpool(_ask, parts, user)


def _ask(parts: Planner, user: GetUserDep) -> Access:
    dag_ids = parts.dag_ids.get()
    known = parts.accesses.known(user, dag_ids)
    if known is not None:
        return known
    return parts.accesses.find(user, dag_ids, parts.dags.now(), parts.settings.override_users)


AccessDep = Annotated[Access, Depends(find_access)]
PlannerDep = Annotated[Planner, Depends(planner)]


async def own_page_only(request: Request) -> None:
    """Refuse changes that another site makes a browser ask for.

    A form or an image of another site can send neither a header of its own nor JSON, and a script
    of another site must ask first, which this server never allows. Browsers say in addition from
    where a request comes.
    """
    headers = request.headers
    if headers.get(OWN_HEADER) != "1":
        raise ProblemError(
            403, "This request does not come from the Plans page.", "Send X-Planner-Request: 1."
        )
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProblemError(403, "Changes are taken as application/json only.")
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise ProblemError(403, "This request comes from another site.")
    origin = headers.get("origin")
    if origin is not None and not _is_own(origin, headers.get("host", "")):
        raise ProblemError(403, "This request comes from another site.")
    length = headers.get("content-length", "")
    if not length.isdigit() or int(length) > LONGEST_BODY:
        raise ProblemError(413, "The request is too long, or does not say how long it is.")


def _is_own(origin: str, host: str) -> bool:
    """Whether an origin is this server: by the address asked, or by ``[api] base_url``."""
    given = urlsplit(origin)
    if given.scheme not in {"http", "https"} or not given.netloc:
        return False
    known = urlsplit(conf.get("api", "base_url", fallback="") or "")
    if (given.scheme, given.netloc) == (known.scheme, known.netloc):
        return True
    return given.netloc == host


OWN_PAGE_ONLY = Depends(own_page_only)
