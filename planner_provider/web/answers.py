"""JSON answers that a page asks for again and again: told by a tag whether they are new."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from fastapi import Request, Response

from planner_provider.web.models import Answer

SMALLEST_GZIP = 1_000
"""Shorter answers are sent as they are."""
MOST_RENDERED = 200


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer as it is sent."""

    body: bytes
    packed: bytes | None
    """The same, compressed; ``None`` if it is short."""
    tag: str


def rendered(answer: Answer | Sequence[Answer], *, besides: set[str] | None = None) -> Rendered:
    """Make it ready to be sent. Fields in ``besides`` do not make it another one."""
    if isinstance(answer, Answer):
        body = answer.model_dump_json().encode()
        essence = answer.model_dump_json(exclude=besides).encode() if besides else body
    else:
        body = essence = f"[{','.join(item.model_dump_json() for item in answer)}]".encode()
    packed = gzip.compress(body, 5) if len(body) >= SMALLEST_GZIP else None
    return Rendered(body, packed, f'W/"{hashlib.sha256(essence).hexdigest()[:24]}"')


class RenderedOnce:
    """Answers that were rendered from the same source, by key: equal users share them."""

    def __init__(self) -> None:
        self._source: object = None
        self._known: dict[str, Rendered] = {}
        self._turn = Lock()

    def get(self, source: object, key: str, make: Callable[[], Rendered]) -> Rendered:
        """The answer made from ``source``, which is told by its identity."""
        with self._turn:
            if self._source is not source or len(self._known) >= MOST_RENDERED:
                self._source, self._known = source, {}
            known = self._known.get(key)
            if known is None:
                known = self._known[key] = make()
            return known

    def known(self, source: object, key: str) -> Rendered | None:
        """The answer, if it was made."""
        known = self._known
        return known.get(key) if self._source is source else None


def reply(request: Request, found: Rendered) -> Response:
    """The answer, or just that nothing has changed."""
    headers: dict[str, Any] = {"etag": found.tag, "vary": "Cookie, Authorization, Accept-Encoding"}
    given = request.headers.get("if-none-match", "")
    if given and _opaque(found.tag) in {_opaque(tag) for tag in given.split(",")}:
        return Response(status_code=304, headers=headers)
    body = found.body
    if found.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = found.packed, "gzip"
    return Response(body, media_type="application/json", headers=headers)


def _opaque(tag: str) -> str:
    return tag.strip().removeprefix("W/")
