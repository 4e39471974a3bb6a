"""What every answer of the page says to browsers, whatever the answer is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
"""Nothing but what this server sends, nothing inline, framed by Airflow's own UI only."""
FIXED: Final[dict[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "SAMEORIGIN",
    "cross-origin-resource-policy": "same-origin",
}
NOT_KEPT: Final = "no-store"
"""Of answers that say nothing else about caches."""


class SecurityHeaders:
    """Adds the headers to each answer of an app, also to those that its error handling makes."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(n, v) for n, v in message.get("headers", ()) if n.decode() not in FIXED]
                if not any(name == b"cache-control" for name, _ in own):
                    own.append((b"cache-control", NOT_KEPT.encode()))
                own += [(name.encode(), value.encode()) for name, value in FIXED.items()]
                message["headers"] = own
            await send(message)

        await self._app(scope, receive, with_headers)
