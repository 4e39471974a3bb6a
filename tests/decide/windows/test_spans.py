"""Sets of time beside plain sets of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from planner_provider.decide.windows.spans import (
    Span,
    Spans,
    clip,
    intersect,
    join,
    merge,
    subtract,
)

POINTS = st.integers(0, 40)
ANY = st.lists(st.tuples(POINTS, POINTS), max_size=8)
"""Also empty ones, touching ones and ones that end before they start."""


def inside(spans: Iterable[Span]) -> set[int]:
    return {point for start, end in spans for point in range(start, end)}


def as_union(points: set[int]) -> Spans:
    starts = sorted(point for point in points if point - 1 not in points)
    ends = sorted(point + 1 for point in points if point + 1 not in points)
    return tuple(zip(starts, ends, strict=True))


@given(ANY)
def test_merge_gives_the_union(spans: list[Span]) -> None:
    assert merge(spans) == as_union(inside(spans))


@given(ANY, ANY)
def test_two_unions_are_met_and_taken_away(one: list[Span], other: list[Span]) -> None:
    left, right = merge(one), merge(other)
    assert intersect(left, right) == as_union(inside(left) & inside(right))
    assert subtract(left, right) == as_union(inside(left) - inside(right))


@given(ANY, POINTS, st.integers(1, 20))
def test_clip_keeps_what_lies_within(spans: list[Span], start: int, length: int) -> None:
    kept = clip(merge(spans), start, start + length)
    assert kept == as_union(inside(spans) & set(range(start, start + length)))


@given(ANY, st.sets(st.integers(1, 40)))
def test_what_was_cut_is_joined_again(spans: list[Span], cuts: set[int]) -> None:
    whole = merge(spans)
    edges = [0, *sorted(cuts), 41]
    pieces = [clip(whole, low, high) for low, high in pairwise(edges)]
    assert join(pieces) == whole
