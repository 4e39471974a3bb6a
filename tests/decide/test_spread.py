from __future__ import annotations

from collections import Counter
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from planner_provider.decide.severity import Severity
from planner_provider.decide.spread import (
    Candidate,
    Spread,
    cumulative,
    errors_borne,
    most_unavailable,
    spread,
)


def zones(**sizes: int) -> list[Candidate]:
    return [Candidate(f"{z}{n}", z) for z, size in sizes.items() for n in range(size)]


def test_shares_are_meant_as_people_wrote_them() -> None:
    assert cumulative([1, 0.07, 0.5, 1.0], 100) == (1, 7, 50, 100)
    assert cumulative([0.1, 0.34, 1.0], 5) == (1, 2, 5), "rounded up"
    assert cumulative([10, 0.1, 30], 20) == (10, 10, 20), "never falls, never above the fleet"
    assert (most_unavailable(0.29, 100), most_unavailable(0.05, 10), most_unavailable(0, 9)) == (
        29, 1, 0,
    )  # fmt: skip
    assert (errors_borne(0.1, 50), errors_borne(0.1, 19), errors_borne(2, 5)) == (5, 1, 2)


def test_zones_take_turns() -> None:
    waves = spread(zones(a=4, b=4, c=4), [3, 6, 12]).waves
    assert [sorted(name[0] for name in wave) for wave in waves[:2]] == [["a", "b", "c"]] * 2
    assert Counter(name[0] for name in waves[2]) == {"a": 2, "b": 2, "c": 2}


def test_the_most_urgent_come_first_within_what_zones_allow() -> None:
    exploited = Severity(kev=True, cvss=5.0)
    fleet = [
        Candidate("mild", "a", Severity(cvss=4.0)),
        Candidate("bad", "a", Severity(cvss=9.8)),
        Candidate("exploited", "b", exploited),
        Candidate("clean", "b"),
        Candidate("alone", None, Severity(cvss=7.0)),
    ]
    assert spread(fleet, [1, 2, 5]).waves[:2] == (("exploited",), ("bad",))
    urgent = [Candidate(f"u{n}", "a", exploited) for n in range(2)] + zones(b=3)
    found = spread(urgent, [2, 5])
    assert found.waves[0][0] == "u0"
    assert "u1" not in found.waves[0], "the wave would have all of zone a"
    assert found.whole == ()


def test_what_cannot_be_avoided_is_said() -> None:
    assert spread(zones(a=2, b=2), [4]).whole == ((1, "a"), (1, "b"))
    assert spread(zones(a=1, b=1), [2]).whole == (), "one target is no zone"
    found = spread(zones(a=3, b=3), [1, 3])
    assert (len(found.left), found.whole) == (3, ())


Fleet = tuple[tuple[int, ...], int, tuple[int, ...]]


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Candidate], list[int]]:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    alone = draw(st.integers(0, 2))
    fleet = [
        Candidate(f"z{zone}-{n}", f"z{zone}", Severity(cvss=draw(st.sampled_from([0.0, 5.0, 9.0]))))
        for zone, size in enumerate(sizes)
        for n in range(size)
    ]
    fleet += [Candidate(f"alone-{n}", None) for n in range(alone)]
    cuts = draw(st.lists(st.integers(0, len(fleet)), min_size=1, max_size=4))
    return draw(st.permutations(fleet)), sorted(cuts)


@settings(max_examples=400, deadline=None)
@given(fleets())
def test_no_wave_takes_a_whole_zone_where_any_assignment_avoids_it(
    drawn: tuple[list[Candidate], list[int]],
) -> None:
    fleet, sizes = drawn
    found = spread(fleet, sizes)
    check(fleet, sizes, found)
    taken = whole(fleet, found)
    assert bool(taken) == bool(found.whole)
    if taken:
        counts = Counter(item.domain for item in fleet if item.domain)
        alone = sum(item.domain is None for item in fleet) + sum(n == 1 for n in counts.values())
        many = tuple(sorted(n for n in counts.values() if n > 1))
        steps = tuple(b - a for a, b in zip([0, *sizes], sizes, strict=False))
        assert not avoidable(many, alone, steps), "another assignment avoids it"


def check(fleet: list[Candidate], sizes: list[int], found: Spread) -> None:
    names = [name for wave in found.waves for name in wave] + list(found.left)
    assert sorted(names) == sorted(item.name for item in fleet)
    done = 0
    for wave, size in zip(found.waves, sizes, strict=True):
        done += len(wave)
        assert done == size


def whole(fleet: list[Candidate], found: Spread) -> set[tuple[int, str]]:
    zone_of = {item.name: item.domain for item in fleet}
    total = Counter(item.domain for item in fleet)
    return {
        (number, zone)
        for number, wave in enumerate(found.waves, 1)
        for zone, count in Counter(zone_of[name] for name in wave).items()
        if zone is not None and total[zone] > 1 and count == total[zone]
    }


@cache
def avoidable(zone_sizes: tuple[int, ...], alone: int, steps: tuple[int, ...]) -> bool:
    """By trying: give each zone to the waves (and to what is left) in every way that splits it."""
    room = (*steps, sum(zone_sizes) + alone - sum(steps))
    if not zone_sizes:
        return True  # what stands alone fits wherever there is room
    size, rest = zone_sizes[0], zone_sizes[1:]
    return any(
        max(split[: len(steps)], default=0) < size
        and avoidable(rest, alone, tuple(r - s for r, s in zip(room[:-1], split[:-1], strict=True)))
        for split in splits(size, room)
    )


def splits(size: int, room: tuple[int, ...]) -> list[tuple[int, ...]]:
    if len(room) == 1:
        return [(size,)] if size <= room[0] else []
    return [
        (first, *others)
        for first in range(min(size, room[0]) + 1)
        for others in splits(size - first, room[1:])
    ]
