"""The page itself and what it is built of."""

from __future__ import annotations

import mimetypes
from functools import lru_cache
from pathlib import Path

from airflow.api_fastapi.core_api.security import get_user
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from fastapi.security import HTTPBearer

from planner_provider.web import links
from planner_provider.web.deps import LOGGED_IN
from planner_provider.web.problems import not_found

STATIC = Path(__file__).parents[1] / "static"
FOREVER = "private, max-age=31536000, immutable"
"""Of files whose names change with what is in them."""
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
NOT_BUILT = (
    "The Plans page is not in this installation: its front end was not built. The package on the "
    "index has it; in a checkout run `make frontend`. The API under api/v1 works without it.\n"
)

router = APIRouter()
_bearer = HTTPBearer(auto_error=False)


@router.get("/", include_in_schema=False)
async def page(request: Request) -> Response:
    """The page; who is not logged in is sent to Airflow's login, and comes back."""
    try:
        await get_user(request, None, await _bearer(request))
    except HTTPException:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(links.login(f"{links.page()}{query}"), status_code=302)
    index = STATIC / "index.html"
    if not index.is_file():
        return PlainTextResponse(NOT_BUILT, status_code=503)
    return HTMLResponse(index.read_bytes())


@router.get("/assets/{name}", include_in_schema=False, dependencies=[LOGGED_IN])
async def asset(name: str) -> Response:
    """A script, a style sheet or a font of the page."""
    kept = _assets().get(name)
    if kept is None:
        raise not_found()
    body, kind = kept
    return Response(body, media_type=kind, headers={"cache-control": FOREVER})


@lru_cache(maxsize=1)
def _assets() -> dict[str, tuple[bytes, str]]:
    """All of them, by name: nothing but these is ever read from the disk."""
    folder = STATIC / "assets"
    found = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.is_file():
            guessed = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            found[file.name] = (file.read_bytes(), TYPES.get(file.suffix, guessed))
    return found
