"""Equal questions of many waiting triggers are asked once an interval in each process."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Question:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked_at: float = float("-inf")
    answer: Any = None
    error: Exception | None = None


_questions: dict[Hashable, _Question] = {}
_loop: asyncio.AbstractEventLoop | None = None
FORGET_AFTER = 3600.0
"""Seconds after which a question that nobody asks any more is forgotten."""


async def asked_once(
    key: Hashable, every: float, ask: Callable[[], Answer], executor: Executor | None = None
) -> Answer:
    """Run ``ask`` in a thread, at most once every ``every`` seconds for equal keys.

    Questions that may take long bring an ``executor`` of their own, so that quick ones need not
    wait behind them.

    All who ask within the interval get the same answer, or the same error. The interval counts
    from the start of the question, so that an answer is never older than ``every`` plus the time
    that it took.
    """
    global _loop
    loop = asyncio.get_running_loop()
    if _loop is not loop:  # locks belong to a loop; a new one begins anew
        _questions.clear()
        _loop = loop
    question = _questions.setdefault(key, _Question())
    async with question.lock:
        now = time.monotonic()
        if now - question.asked_at >= every:
            _forget(now)
            question.asked_at = now
            try:
                answered = await loop.run_in_executor(executor, contextvars.copy_context().run, ask)
                question.answer, question.error = answered, None
            except asyncio.CancelledError:
                question.asked_at = float("-inf")  # the next one asks
                raise
            except Exception as error:  # noqa: BLE001 - all who ask are told
                question.answer, question.error = None, error
        if question.error is not None:
            raise question.error
        answer: Answer = question.answer
        return answer


def _forget(now: float) -> None:
    old = [
        key
        for key, question in _questions.items()
        if now - question.asked_at > FORGET_AFTER
        and not question.lock.locked()
        and question.asked_at != float("-inf")
    ]
    for key in old:
        del _questions[key]
