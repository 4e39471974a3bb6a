"""What differs between two versions of a plan, in words, the most dangerous first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from planner_provider.graph.calendars import PlanCalendar
from planner_provider.graph.change import Change, ChangeKind, added, changed, listed, removed, show
from planner_provider.graph.contacts import own_words, reach
from planner_provider.graph.diff_steps import Pair, order, steps, verify
from planner_provider.graph.digest import canonical_text
from planner_provider.graph.leaves import MISSING, Leaf, differing
from planner_provider.graph.model import PlanGraph
from planner_provider.graph.weakening import fewer

MANY_STEPS = 3
"""From this number of steps on, the same change of each is told once."""

__all__ = ["Change", "ChangeKind", "diff"]


def diff(old: PlanGraph, new: PlanGraph) -> tuple[Change, ...]:
    """List what differs between two versions of a plan.

    Empty exactly if the two have the same digest and the same calendar. First what makes the plan
    less safe, then by kind, then in the order of the plan.
    """
    pair = Pair(old, new)
    calendar = tuple(_calendars(pair))
    if canonical_text(pair.old_data) == canonical_text(pair.new_data):
        return calendar
    changes = [
        *_fields(pair),
        *_section(pair, "schedule", ChangeKind.SCHEDULE),
        *calendar,
        *_section(pair, "approval", ChangeKind.APPROVAL),
        *_section(pair, "guards", ChangeKind.GUARDS),
        *_section(pair, "cost", ChangeKind.GUARDS),
        *_parameters(pair),
        *_touches(pair),
        *_gathered(steps(pair)),
        *order(pair),
        *verify(pair),
        *_contacts(pair),
    ]
    if not changes or old.graph_version != new.graph_version:
        changes.append(
            Change(
                ChangeKind.FRAME, "frame", old.graph_version, new.graph_version,
                "what the planner does around the steps changed (graph version "
                f"{old.graph_version} -> {new.graph_version})",
            )
        )  # fmt: skip
    changes.sort(key=lambda change: change.danger)
    return tuple(changes)


def _fields(pair: Pair) -> Iterator[Change]:
    names = ("name", "owner", "summary", "description", "runbook", "ticket", "silence", "labels")
    before = {name: pair.old_data[name] for name in names if name in pair.old_data}
    after = {name: pair.new_data[name] for name in names if name in pair.new_data}
    for leaf in differing(before, after):
        yield changed(ChangeKind.PLAN, "plan", leaf, lead=f"plan's {leaf.where}")


def _section(pair: Pair, name: str, kind: ChangeKind) -> Iterator[Change]:
    before, after = pair.old_data.get(name, MISSING), pair.new_data.get(name, MISSING)
    if _full(pair.old, name) is None and _full(pair.new, name) is None:
        return
    if _full(pair.old, name) is None:
        words = f"{name} added: {show(after)}"
        starts_itself = kind is ChangeKind.SCHEDULE
        if starts_itself:
            words = f"starts by itself now: {show(after)}"
        yield Change(kind, name, None, after, words, starts_itself)
    elif _full(pair.new, name) is None:
        words = f"{name} removed; it was {show(before)}"
        lost = kind is not ChangeKind.SCHEDULE and (name != "cost" or _limits(pair))
        if kind is ChangeKind.SCHEDULE:
            words = f"no longer starts by itself; it did: {show(before)}"
        yield Change(kind, name, before, None, words, lost)
    else:
        for leaf in differing(
            before, after, old_full=_full(pair.old, name), new_full=_full(pair.new, name)
        ):
            lost_calendar = leaf.path == ("calendar",) and leaf.new is None
            other_cost = name == "cost" and leaf.key in _MEASURED and _limits(pair)
            weaker = lost_calendar or other_cost
            yield changed(kind, name, leaf, lead=f"{name}: {leaf.where}", weaker=weaker)


_MEASURED = frozenset({"connection", "query", "currency"})
"""What the cost is measured by: nobody can tell which of two questions is stricter."""


def _limits(pair: Pair) -> bool:
    """Whether the cost of the old plan had a limit."""
    return pair.old.cost is not None and pair.old.cost.max_increase is not None


def _calendars(pair: Pair) -> Iterator[Change]:
    """What became of the calendars that both name; they are not in the digest."""
    after = {calendar.name: calendar for calendar in _named_calendars(pair.new)}
    for old in dict.fromkeys(_named_calendars(pair.old)):
        if old.name in after:
            yield from _calendar(old, after[old.name])


def _named_calendars(graph: PlanGraph) -> tuple[PlanCalendar, ...]:
    return (*((graph.calendar,) if graph.calendar else ()), *graph.calendars)


def _calendar(old: PlanCalendar, new: PlanCalendar) -> Iterator[Change]:
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for name in type(old).model_fields:
        if before[name] == after[name]:
            continue
        if name in ("freezes", "requires"):
            weaker = fewer(before[name], after[name])
        else:  # nobody can tell which windows are stricter
            weaker = name != "cutoff" or new.cutoff < old.cutoff
        yield Change(
            ChangeKind.SCHEDULE, f"calendar {old.name}", before[name], after[name],
            f"calendar {old.name}: its {name} changed", weaker,
        )  # fmt: skip


def _parameters(pair: Pair) -> Iterator[Change]:
    before, after = pair.old_data.get("parameters", {}), pair.new_data.get("parameters", {})
    for name in sorted({*before, *after}):
        where = f"parameter {name}"
        if name not in before:
            yield added(ChangeKind.PARAMETER, where, f"parameter `{name}` added", after[name])
        elif name not in after:
            yield removed(ChangeKind.PARAMETER, where, f"parameter `{name}` removed", before[name])
        else:
            for leaf in differing(before[name], after[name]):
                yield changed(
                    ChangeKind.PARAMETER, where, leaf, lead=f"parameter `{name}`: {leaf.where}"
                )


def _gathered(changes: Iterator[Change]) -> Iterator[Change]:
    """The same change of many steps, such as a new default, in one sentence."""
    alike: dict[tuple[str, ...], list[Change]] = {}
    for change in changes:
        lead, _, rest = change.words.partition(": ")
        values = canonical_text([change.old, change.new])
        key = (change.kind.value, rest, values) if rest else (change.kind.value, lead, values)
        alike.setdefault(key, []).append(change)
    for found in alike.values():
        if len(found) < MANY_STEPS or found[0].kind not in {ChangeKind.STEP, ChangeKind.ROLLBACK}:
            yield from found
            continue
        names = ", ".join(change.where.partition(" ")[2].removeprefix("of ") for change in found)
        what = "steps" if found[0].kind is ChangeKind.STEP else "rollbacks"
        rest = found[0].words.partition(": ")[2]
        yield replace(
            found[0],
            where=f"{what} {names}",
            words=f"{len(found)} {what}: {rest} ({names})",
            weakens_safety=any(change.weakens_safety for change in found),
        )


def _touches(pair: Pair) -> Iterator[Change]:
    before = {item.resource: item.mode for item in pair.old.touches}
    after = {item.resource: item.mode for item in pair.new.touches}
    for resource in sorted({*before, *after}):
        leaf = Leaf(("mode",), before.get(resource, MISSING), after.get(resource, MISSING))
        where = f"touches {resource}"
        if leaf.old is MISSING:
            words = f"now touches {resource} ({leaf.new})"
            yield added(ChangeKind.TOUCHES, where, words, leaf.new)
        elif leaf.new is MISSING:
            words = f"no longer says that it touches {resource} ({leaf.old}), so it is not locked"
            yield removed(ChangeKind.TOUCHES, where, words, leaf.old, weaker=True)
        elif leaf.old != leaf.new:
            yield changed(ChangeKind.TOUCHES, where, leaf, lead=f"touches {resource}: mode")


def _contacts(pair: Pair) -> Iterator[Change]:
    before = {item.team: reach(item) for item in pair.old.contacts}
    after = {item.team: reach(item) for item in pair.new.contacts}
    for team in sorted({*before, *after}):
        old, new = before.get(team), after.get(team)
        if old != new:
            words = f"{team} is told by {listed(new)}; before by {listed(old)}"
            yield Change(ChangeKind.CONTACTS, f"team {team}", old, new, words, fewer(old, new))
    said, says = own_words(pair.old.contacts), own_words(pair.new.contacts)
    for team in sorted({name for name, _ in {*said, *says}}):
        events = sorted(
            event
            for name, event in {*said, *says}
            if name == team and said.get((team, event)) != says.get((team, event))
        )
        if events:
            words = f"{team} is told of {', '.join(events)} in other words"
            yield Change(ChangeKind.CONTACTS, f"team {team}", None, None, words)


def _full(graph: PlanGraph, name: str) -> Any:
    """A part of the graph as JSON data with all defaults filled in."""
    part = getattr(graph, name)
    return None if part is None else part.model_dump(mode="json", by_alias=True)
