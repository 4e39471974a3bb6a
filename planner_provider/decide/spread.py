"""Which target goes in which wave: the most urgent first, and never all of a zone at once. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from planner_provider.decide.severity import NOTHING_FOUND, Severity

Amount = int | float
"""A count, or a share from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target before it has its wave."""

    name: str
    domain: str | None = None
    """What it fails together with, such as its zone; ``None``: it stands alone."""
    severity: Severity = NOTHING_FOUND


@dataclass(frozen=True, slots=True)
class Spread:
    """The waves of a rollout."""

    waves: tuple[tuple[str, ...], ...]
    """Names, in the order in which they are begun."""
    left: tuple[str, ...] = ()
    """What no wave has: the last wave is smaller than the fleet."""
    whole: tuple[tuple[int, str], ...] = ()
    """Number of a wave, and a domain that it takes all of because that could not be avoided."""


def exact(amount: Amount) -> Fraction:
    """A share as people wrote it, so that 7% of 100 is 7 and not a little more."""
    return Fraction(str(round(float(amount), 9)))


def cumulative(waves: Iterable[Amount], total: int) -> tuple[int, ...]:
    """How many targets are done after each wave. Shares are rounded up; it never falls."""
    sizes: list[int] = []
    for wave in waves:
        size = wave if isinstance(wave, int) else math.ceil(exact(wave) * total)
        sizes.append(min(total, max(size, sizes[-1] if sizes else 0)))
    return tuple(sizes)


def most_unavailable(amount: Amount, total: int) -> int:
    """How many targets may be unavailable. A share is rounded down, but not below 1."""
    return amount if isinstance(amount, int) else max(1, math.floor(exact(amount) * total))


def errors_borne(amount: Amount, total: int) -> int:
    """How many targets may fail before no other is begun. A share is rounded down."""
    return amount if isinstance(amount, int) else math.floor(exact(amount) * total)


def spread(candidates: Sequence[Candidate], sizes: Sequence[int]) -> Spread:
    """Give each target its wave.

    ``sizes`` are cumulative. Within what the domains allow, the most urgent come first; among
    equals, the domains take turns. No wave takes all of a domain of two and more targets wherever
    some assignment avoids that for every domain: a wave with ``s`` of ``n`` targets can, if and
    only if ``s <= n - d``, with ``d`` the domains that no wave before it touched. So each wave
    touches as many new domains as the later waves need it to.
    """
    queue = _in_order(candidates)
    increments = [size - before for size, before in zip(sizes, (0, *sizes), strict=False)]
    of_domain = Counter(item.domain for item in queue if item.domain is not None)
    untouched = {domain for domain, count in of_domain.items() if count > 1}
    waves: list[tuple[str, ...]] = []
    whole: list[tuple[int, str]] = []
    for number, size in enumerate(increments):
        later = max(increments[number + 1 :], default=0)
        must_touch = len(untouched) + later - (len(queue) - size) if later else 0
        chosen = _choose(queue, size, untouched, of_domain, must_touch)
        taken = Counter(item.domain for item in chosen if item.domain is not None)
        whole += [
            (number + 1, domain)
            for domain in sorted(untouched & taken.keys())
            if taken[domain] == of_domain[domain]
        ]
        untouched -= taken.keys()
        names = {item.name for item in chosen}
        queue = [item for item in queue if item.name not in names]
        waves.append(tuple(item.name for item in chosen))
    return Spread(tuple(waves), tuple(item.name for item in queue), tuple(whole))


def _choose(
    queue: Sequence[Candidate],
    size: int,
    untouched: set[str],
    of_domain: Counter[str],
    must_touch: int,
) -> list[Candidate]:
    """Choose the targets of a wave, in the order of the queue."""
    room: dict[str, int] = {domain: of_domain[domain] - 1 for domain in untouched}
    chosen: dict[str, Candidate] = {}

    def take(item: Candidate) -> None:
        chosen[item.name] = item
        if item.domain in room:
            room[item.domain] -= 1

    touched: set[str] = set()
    for item in queue:  # the most urgent of as many new domains as must be touched
        if len(touched) >= min(must_touch, size):
            break
        if item.domain in untouched and item.domain not in touched:
            touched.add(item.domain)
            take(item)
    for item in queue:
        if len(chosen) >= size:
            break
        if item.name not in chosen and room.get(item.domain or "", 1) > 0:
            take(item)
    for item in queue:  # it cannot be avoided: the wave is too large for the domains
        if len(chosen) >= size:
            break
        if item.name not in chosen:
            take(item)
    return [item for item in queue if item.name in chosen]


def _in_order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The most urgent first; among equals, each domain in proportion to its size."""
    groups: dict[tuple[int, float], list[Candidate]] = {}
    for item in sorted(candidates, key=lambda item: (item.severity.rank, item.name)):
        groups.setdefault(item.severity.rank, []).append(item)
    ordered: list[Candidate] = []
    for group in groups.values():
        of_domain = Counter(item.domain for item in group)
        seen: Counter[str | None] = Counter()
        keyed = []
        for item in group:
            place = Fraction(2 * seen[item.domain] + 1, 2 * of_domain[item.domain])
            if item.domain is None:
                place = Fraction(1, 2)
            seen[item.domain] += 1
            keyed.append((place, item.domain or "", item.name, item))
        ordered += [item for *_, item in sorted(keyed, key=lambda entry: entry[:3])]
    return ordered
