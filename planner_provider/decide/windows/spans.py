"""Sets of time as sorted tuples of ``(start, end)``, half-open, in whole microseconds. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

Span = tuple[int, int]
Spans = tuple[Span, ...]


def merge(spans: Iterable[Span]) -> Spans:
    """The union. Touching spans become one, empty ones vanish."""
    merged: list[Span] = []
    last: int | None = None
    """Where the last one ends."""
    for span in sorted(spans):
        start, end = span
        if end <= start:
            continue
        if last is None or start > last:
            merged.append(span)
            last = end
        elif end > last:
            merged[-1] = (merged[-1][0], end)
            last = end
    return tuple(merged)


def join(unions: Iterable[Sequence[Span]]) -> Spans:
    """The union of some that lie one after the other, each as made by ``merge``."""
    joined: list[Span] = []
    for spans in unions:
        if joined and spans and spans[0][0] <= joined[-1][1]:
            joined[-1] = (joined[-1][0], spans[0][1])
            spans = spans[1:]
        joined += spans
    return tuple(joined)


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
    for span in left:
        start, end = span
        while j < len(right) and right[j][1] <= start:
            j += 1
        if j == len(right) or right[j][0] >= end:
            rest.append(span)
            continue
        k = j
        while k < len(right) and right[k][0] < end:
            if right[k][0] > start:
                rest.append((start, right[k][0]))
            start = max(start, right[k][1])
            k += 1
        if start < end:
            rest.append((start, end))
    return tuple(rest)


def clip(spans: Spans, start: int, end: int) -> Spans:
    """What lies within ``[start, end)`` of a union as made by ``merge``."""
    low = bisect_right(spans, (start,))
    if low and spans[low - 1][1] > start:
        low -= 1
    found = spans[low : bisect_left(spans, (end,))]
    if found and found[0][0] < start:
        found = ((start, found[0][1]), *found[1:])
    if found and found[-1][1] > end:
        found = (*found[:-1], (found[-1][0], end))
    return found
