from __future__ import annotations

import asyncio
import threading
import time

import pytest

from planner_provider.errors import UnavailableError
from planner_provider.triggers.sharing import asked_once


class Source:
    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def ask(self) -> int:
        self.gate.wait(5)
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.asked


@pytest.fixture
def source() -> Source:
    return Source()


def test_all_who_ask_within_the_interval_share_the_answer(source: Source) -> None:
    async def many() -> list[int]:
        return await asyncio.gather(*(asked_once("x", 60, source.ask) for _ in range(100)))

    assert asyncio.run(many()) == [1] * 100
    assert source.asked == 1


def test_after_the_interval_it_is_asked_again(source: Source) -> None:
    async def twice() -> list[int]:
        first = await asked_once("x", 0.05, source.ask)
        await asyncio.sleep(0.06)
        return [first, await asked_once("x", 0.05, source.ask)]

    assert asyncio.run(twice()) == [1, 2]


def test_an_error_is_shared_too(source: Source) -> None:
    source.error = UnavailableError("down")

    async def many() -> list[int | BaseException]:
        asking = (asked_once("x", 60, source.ask) for _ in range(5))
        return await asyncio.gather(*asking, return_exceptions=True)

    assert all(isinstance(item, UnavailableError) for item in asyncio.run(many()))
    assert source.asked == 1


def test_when_the_one_who_asks_is_cancelled_the_next_one_asks(source: Source) -> None:
    source.gate.clear()

    async def cancelled() -> int:
        asking = asyncio.ensure_future(asked_once("x", 60, source.ask))
        await asyncio.sleep(0.05)
        waiting = asyncio.ensure_future(asked_once("x", 60, source.ask))
        await asyncio.sleep(0.05)
        asking.cancel()
        source.gate.set()
        return await waiting

    begun = time.monotonic()
    assert asyncio.run(cancelled()) in (1, 2)
    assert time.monotonic() - begun < 5
