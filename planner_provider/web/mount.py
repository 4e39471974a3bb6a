"""What Airflow mounts: the app, made when the first request for it comes.

Plugins are imported by every process of Airflow, and only the API server answers requests.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING

from planner_provider.web.headers import SecurityHeaders

if TYPE_CHECKING:
    from planner_provider.web.headers import AsgiApp, Receive, Scope, Send

log = logging.getLogger(__name__)


class MountedPlans:
    """An ASGI app that makes the real one when it is needed.

    If that cannot be made, Airflow goes on without it: each request is answered by 503, and the
    log says why.
    """

    def __init__(self) -> None:
        self._app: AsgiApp | None = None
        self._turn = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            app = self._app
            if app is None:
                from starlette.concurrency import run_in_threadpool

                app = await run_in_threadpool(self.make)
            await app(scope, receive, send)

    def make(self) -> AsgiApp:
        """The app; made once."""
        with self._turn:
            if self._app is None:
                try:
                    from planner_provider.web.app import create_app

                    self._app = create_app()
                except Exception:
                    log.exception("The Plans page cannot be made; Airflow works without it")
                    self._app = SecurityHeaders(_not_made)
            return self._app


async def _not_made(_scope: Scope, _receive: Receive, send: Send) -> None:
    problem = {
        "error": "The Plans page cannot be made.",
        "hint": "The log of the API server says why.",
    }
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(problem).encode()})
