"""Who is in whose way. Pure: what is held and who waits goes in, blockers come out.

A run is blocked by every run that holds something it wants, and by every run that waits for
something it wants and came first, unless both would only share it. So nobody is overtaken by a
later one that is in his way, and whoever is in nobody's way goes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from planner_provider.ledger.rows import Blocker, Hold, Mode, Waiter, Waiting

NAMED = 5
"""How many blockers a text names."""


def strongest(holds: Iterable[Hold]) -> tuple[Hold, ...]:
    """Each resource once, sorted, exclusive if it is named so anywhere."""
    modes: dict[str, Mode] = {}
    for hold in holds:
        if modes.get(hold.resource) is not Mode.EXCLUSIVE:
            modes[hold.resource] = hold.mode
    return tuple(Hold(resource, modes[resource]) for resource in sorted(modes))


def in_the_way(
    wanted: Sequence[Hold], others: Iterable[Blocker], *, plan_id: str
) -> tuple[Blocker, ...]:
    """Those of ``others`` that conflict with what ``plan_id`` wants."""
    modes = {hold.resource: hold.mode for hold in wanted}
    return tuple(
        other
        for other in others
        if other.plan_id != plan_id
        and other.resource in modes
        and Mode.EXCLUSIVE in (other.mode, modes[other.resource])
    )


def line_up(
    held: Iterable[Blocker], queue: Iterable[Waiter], names: Mapping[str, tuple[str, str]]
) -> tuple[Waiting, ...]:
    """All who wait, in order of arrival, each with what is in its way.

    ``names`` gives the DAG and the run of a plan ID.
    """
    by_resource: dict[str, list[Blocker]] = {}
    for blocker in held:
        by_resource.setdefault(blocker.resource, []).append(blocker)
    lined: list[Waiting] = []
    for waiter in sorted(queue, key=lambda waiter: waiter.ticket):
        others = [b for hold in waiter.holds for b in by_resource.get(hold.resource, ())]
        blockers = in_the_way(waiter.holds, others, plan_id=waiter.plan_id)
        lined.append(Waiting(waiter, blockers, ahead(blockers)))
        for claim in claims(waiter, names.get(waiter.plan_id, ("", ""))):
            by_resource.setdefault(claim.resource, []).append(claim)
    return tuple(lined)


def claims(waiter: Waiter, name: tuple[str, str]) -> tuple[Blocker, ...]:
    """What somebody who waits keeps from those who come after."""
    dag_id, run_id = name
    return tuple(
        Blocker(hold.resource, hold.mode, waiter.plan_id, dag_id, run_id, waiter.since, holds=False)
        for hold in waiter.holds
    )


def ahead(blockers: Iterable[Blocker]) -> int:
    """How many runs that wait come first."""
    return len({blocker.plan_id for blocker in blockers if not blocker.holds})


def conflict_text(blockers: Sequence[Blocker], now: datetime) -> str:
    """Who is in the way, since when, in one line; holders first."""
    ordered = sorted(blockers, key=lambda b: (not b.holds, b.resource, b.since))
    lines = [
        f"{b.resource} is {'held' if b.holds else 'wanted'} ({b.mode.value}) by plan {b.plan_id} "
        f"(DAG {b.dag_id}, run {b.run_id}) since {b.since:%Y-%m-%d %H:%M:%S} UTC, for "
        f"{_age(now - b.since)}" + ("" if b.holds else "; it came first")
        for b in ordered[:NAMED]
    ]
    if len(ordered) > NAMED:
        lines.append(f"and {len(ordered) - NAMED} more")
    return "; ".join(lines)


def _age(time: timedelta) -> str:
    return str(timedelta(seconds=max(0, int(time.total_seconds()))))
