"""Which changes make a plan less safe: a bound loosened, a check lost, a net taken away.

One table from the name of a key to the question that is asked of its old and new value. A key
that is not in the table weakens nothing. Doubt counts as weaker: a reviewer looks once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from planner_provider.graph.leaves import MISSING, Leaf
from planner_provider.spec.values import parse_duration

Question = Callable[[Any, Any], bool]

ORDER_OF_WORDS = {
    "required": ("never", "auto", "always"),
    "not": ("nobody", "requester"),
    "mode": ("shared", "exclusive"),
    "at_end": ("finish", "stop_after_step", "abort"),
}
"""Words from weak to strong. Gate modes are not here: none is stronger than the others."""


def weakens(leaf: Leaf) -> bool:
    """Whether this change makes the plan less safe."""
    if any(part in _FREE for part in leaf.path[1:-1]):
        return False
    if any(part in _WITHIN for part in leaf.path[1:-1]):
        return _lost(leaf.old, leaf.new)
    if isinstance(leaf.path[-1], int):
        return leaf.key in _LISTS_OF_CHECKS and _gone(leaf.new)
    question = _QUESTIONS.get(leaf.key)
    return question is not None and question(leaf.old, leaf.new)


def fewer(old: Any, new: Any) -> bool:
    """Whether entries of a list were lost."""
    if not isinstance(old, list):
        return False
    kept = [repr(item) for item in new] if isinstance(new, list) else []
    return any(repr(item) not in kept for item in old)


def _more(old: Any, new: Any) -> bool:
    return fewer(new, old)


def _gone(value: Any) -> bool:
    return value is MISSING or value is None


def _lost(old: Any, new: Any) -> bool:
    return not _gone(old) and _gone(new)


def _other(old: Any, new: Any) -> bool:
    """For expressions, of which nobody can tell which one is stricter."""
    return not _gone(old) and bool(old != new)


def _size(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return parse_duration(value).total_seconds()
        except ValueError:
            return None
    return None


def _lower(old: Any, new: Any) -> bool:
    before, after = _size(old), _size(new)
    return before is not None and (_gone(new) or (after is not None and after < before))


def _higher(old: Any, new: Any) -> bool:
    before, after = _size(old), _size(new)
    return before is not None and (_gone(new) or (after is not None and after > before))


def _word(key: str) -> Question:
    words = ORDER_OF_WORDS[key]

    def lower(old: Any, new: Any) -> bool:
        if old not in words:
            return False
        return new not in words or words.index(str(new)) < words.index(str(old))

    return lower


def _risk(old: Any, new: Any) -> bool:
    words = ("low", "medium", "high")
    if new not in words:
        return False
    return old not in words or words.index(new) > words.index(old)


def _looser_or_less(old: Any, new: Any) -> bool:
    """For ``max_errors`` and the like, a count or a share; a change of unit counts as looser."""
    if type(old) is not type(new) and not _gone(old):
        return True
    return _higher(old, new)


def _mode(old: Any, new: Any) -> bool:
    return bool(old == "exclusive" and new == "shared")


_FREE = frozenset({"body", "headers", "env", "arguments", "parameters", "labels", "patch"})
"""Keys below which names are the author's own, and mean nothing to this table."""
_WITHIN = frozenset({"json"})
"""Keys below which any value that is lost is a check that is lost."""
_LISTS_OF_CHECKS = frozenset(
    {"http", "sql", "slos", "metrics", "compare", "steps", "per_target", "escalate"}
)

_QUESTIONS: dict[str, Question] = {
    # what is checked
    "slos": fewer,
    "compare": fewer,
    "metrics": fewer,
    "analysis": _lost,
    "expect": _lost,
    "json": _lost,
    "value": _lost,
    "rows": _lost,
    "equals": _lost,
    "body_matches": _other,
    "min": _lower,
    "max": _higher,
    "status": _more,
    "budget": _lost,
    "min_remaining": _lower,
    "max_burn_rate": _higher,
    "ttl": _higher,
    "max_age": _higher,
    # how long it is watched and waited for
    "bake": _lower,
    "for": _lower,
    "timeout": _lost,
    "needs": _lower,
    "at_end": _word("at_end"),
    # how much may go wrong or be used at once
    "max_errors": _looser_or_less,
    "max_unavailable": _looser_or_less,
    "max_replicas": _higher,
    "cost_cap_per_hour": _higher,
    "max_increase": _higher,
    "force": lambda old, new: new is True,
    "never": fewer,
    # who must agree
    "required": _word("required"),
    "count": _lower,
    "not": _word("not"),
    "approvers": _more,
    "approval": _lower,
    "auto_approve": lambda old, new: _gone(old) and not _gone(new),
    "max_risk": _risk,
    "escalate": fewer,
    "to": fewer,
    "mode": _mode,
    # what may be given
    "pattern": _other,
    "enum": lambda old, new: _lost(old, new) or _more(old, new),
    "minimum": _lower,
    "maximum": _higher,
    "min_length": _lower,
    "max_length": _higher,
}
