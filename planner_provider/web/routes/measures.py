"""``/metrics`` for Prometheus: its own token, no login."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from planner_provider.web.deps import PlannerDep

router = APIRouter()


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request, parts: PlannerDep) -> Response:
    """The measures of the planner. 401 without the token, 403 if none is configured."""
    token = parts.settings.metrics_token
    if not token:
        return PlainTextResponse(
            "Metrics are off: [planner] metrics_token is not set.\n", status_code=403
        )
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    right = hmac.compare_digest(given.strip().encode(), token.encode())
    if kind.lower() != "bearer" or not right:
        return PlainTextResponse(
            "Send the token: Authorization: Bearer ...\n",
            status_code=401,
            headers={"www-authenticate": "Bearer"},
        )
    from planner_provider.metrics import exposition

    body, content_type = exposition(parts.settings.sql_alchemy_conn, parts.now())
    return Response(body, media_type=content_type)
