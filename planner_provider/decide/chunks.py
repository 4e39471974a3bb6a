"""Which chunks a range has, and which of them a mapped task does. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TypeVar

MOST_CHUNKS = 100_000
"""More are refused: each is a row in the ledger."""
MOST_TASKS = 1_000
"""Mapped tasks of a step at most; Airflow's own limit (``[core] max_map_length``) is 1,024."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a range, from ``begin`` on and before ``end``; as text for templates and SQL."""

    begin: str
    end: str

    @property
    def name(self) -> str:
        """Its name, once in its step."""
        return f"{self.begin}/{self.end}"


def chunks_of_time(begin: datetime, end: datetime, size: timedelta) -> tuple[Chunk, ...]:
    """The chunks of a range of time, oldest first; the last one may be shorter.

    Raises ``ValueError`` for more than ``MOST_CHUNKS``.
    """
    count = -((begin - end) // size)
    _check(count)
    moments = [*(begin + number * size for number in range(count)), end]
    return tuple(Chunk(_moment(first), _moment(last)) for first, last in pairwise(moments))


def chunks_of_keys(first: int, last: int, size: int) -> tuple[Chunk, ...]:
    """The chunks of the numbers from ``first`` to ``last``, both of them in.

    Raises ``ValueError`` for more than ``MOST_CHUNKS``.
    """
    count = max(0, -((first - last - 1) // size))
    _check(count)
    begins = [first + number * size for number in range(count)]
    return tuple(Chunk(str(begin), str(min(begin + size, last + 1))) for begin in begins)


def batches(count: int) -> int:
    """How many mapped tasks do so many chunks."""
    return min(count, MOST_TASKS)


def batch(items: Sequence[Item], number: int) -> Sequence[Item]:
    """The consecutive items that the mapped task with this index does."""
    tasks = batches(len(items))
    if not 0 <= number < tasks:
        return ()
    return items[number * len(items) // tasks : (number + 1) * len(items) // tasks]


def _check(count: int) -> None:
    if count > MOST_CHUNKS:
        raise ValueError(f"{count} chunks are more than {MOST_CHUNKS}")


def _moment(value: datetime) -> str:
    """A moment in UTC as databases read it, to the second where it is whole."""
    plain = value.astimezone(UTC).replace(tzinfo=None)
    return plain.isoformat(sep=" ", timespec="auto")
