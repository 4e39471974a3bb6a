"""One thing that differs between two versions of a plan, and how it is put into words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from planner_provider.graph.digest import canonical_text
from planner_provider.graph.leaves import MISSING, Leaf
from planner_provider.graph.weakening import weakens

SHOWN = 70
"""Longest value that is shown in a sentence, in characters."""


class ChangeKind(StrEnum):
    """What part of a plan changed, the most dangerous first."""

    APPROVAL = "approval"
    GUARDS = "guards"
    ROLLBACK = "rollback"
    VERIFY = "verify"
    TOUCHES = "touches"
    STEP_REMOVED = "step_removed"
    STEP_ADDED = "step_added"
    STEP = "step"
    ORDER = "order"
    SCHEDULE = "schedule"
    PARAMETER = "parameter"
    STEP_RENAMED = "step_renamed"
    CONTACTS = "contacts"
    PLAN = "plan"
    FRAME = "frame"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs."""

    kind: ChangeKind
    where: str
    """Which part of the plan: ``step shift-25``, ``approval``."""
    old: Any
    """The old value as JSON data, or ``None`` if there was none."""
    new: Any
    words: str
    """The change in one sentence without a full stop."""
    weakens_safety: bool = False

    @property
    def danger(self) -> tuple[bool, int]:
        """What changes are sorted by: the most dangerous first."""
        return (not self.weakens_safety, list(ChangeKind).index(self.kind))


def changed(kind: ChangeKind, where: str, leaf: Leaf, *, lead: str, weaker: bool = False) -> Change:
    """A value that is another one now; ``lead`` names it."""
    words = f"{lead} {_shown(leaf, leaf.old)} -> {_shown(leaf, leaf.new)}"
    old, new = _plain(leaf.old), _plain(leaf.new)
    return Change(kind, where, old, new, words, weaker or weakens(leaf))


def added(kind: ChangeKind, where: str, words: str, new: Any, *, weaker: bool = False) -> Change:
    """Something that was not there before."""
    return Change(kind, where, None, new, words, weaker)


def removed(kind: ChangeKind, where: str, words: str, old: Any, *, weaker: bool = False) -> Change:
    """Something that is not there any more."""
    return Change(kind, where, old, None, words, weaker)


def listed(items: Iterable[str] | None) -> str:
    """Names in a sentence: `a`, `b`; "nothing" if there are none."""
    return ", ".join(f"`{item}`" for item in items or ()) or "nothing"


def show(value: Any) -> str:
    """A value in a sentence, on one line and not too long."""
    if value is MISSING or value is None:
        return "nothing"
    text = " ".join((value if isinstance(value, str) else canonical_text(_pruned(value))).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


SHARES = frozenset({"min_remaining", "percentage", "waves", "max_unavailable", "max_errors"})
"""Keys whose fractions are shares, which people read as percentages."""


def _shown(leaf: Leaf, value: Any) -> str:
    return show(_percent(value) if leaf.key in SHARES else value)


def _percent(value: Any) -> Any:
    if isinstance(value, list):
        return [_percent(item) for item in value]
    return f"{value * 100:.10g}%" if isinstance(value, float) else value


def _pruned(value: Any) -> Any:
    """Without what says nothing, so that what matters fits the line."""
    if isinstance(value, dict):
        kept = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [], {})}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    return None if value is MISSING else value
