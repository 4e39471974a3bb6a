"""Sets of time as sorted tuples of ``(start, end)``, half-open, in whole microseconds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Span = tuple[int, int]
Spans = tuple[Span, ...]


def merge(spans: Iterable[Span]) -> Spans:
    """The union. Touching spans become one, empty ones vanish."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return tuple(merged)


def intersect(left: Sequence[Span], right: Sequence[Span]) -> Spans:
    """What is in both; each is a union as made by ``merge``."""
    common: list[Span] = []
    i = j = 0
    while i < len(left) and j < len(right):
        start = max(left[i][0], right[j][0])
        end = min(left[i][1], right[j][1])
        if start < end:
            common.append((start, end))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(common)


def subtract(left: Sequence[Span], right: Sequence[Span]) -> Spans:
    """What is in the first but not in the second; each is a union as made by ``merge``."""
    if not right:
        return tuple(left)
    rest: list[Span] = []
    j = 0
    for start, end in left:
        while j < len(right) and right[j][1] <= start:
            j += 1
        k = j
        while k < len(right) and right[k][0] < end:
            if right[k][0] > start:
                rest.append((start, right[k][0]))
            start = max(start, right[k][1])
            k += 1
        if start < end:
            rest.append((start, end))
    return tuple(rest)


def clip(spans: Iterable[Span], start: int, end: int) -> Spans:
    """What lies within ``[start, end)``."""
    return tuple(
        (max(begin, start), min(stop, end)) for begin, stop in spans if begin < end and stop > start
    )
