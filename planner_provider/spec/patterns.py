"""Trying an author's regular expression without risking that it never ends."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_LONG = 1000
_SHORT = 20
"""Text of which even a pattern that doubles its work with each character is soon done."""


def matches(pattern: str, text: str) -> bool | None:
    """Whether the text matches; ``None`` if the pattern is bad or might take forever on it."""
    if len(text) > (_SHORT if _may_explode(pattern) else _LONG):
        return None
    try:
        return re.search(pattern, text) is not None
    except (re.error, OverflowError, RecursionError):
        return None


@lru_cache(maxsize=512)
def _may_explode(pattern: str) -> bool:
    """Whether a repeat stands within a repeat, or a choice within one: ``(a+)+``, ``(a|a)*``."""
    try:
        parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
    except (re.error, OverflowError, RecursionError):
        return True
    pending: list[tuple[Any, bool]] = [(parsed, False)]
    while pending:
        part, repeated = pending.pop()
        for operator, argument in part:
            name = str(operator)
            is_repeat = "REPEAT" in name
            if repeated and (name == "BRANCH" or (is_repeat and argument[1] > 1)):
                return True
            inner = repeated or (is_repeat and argument[1] > 1)
            pending.extend((piece, inner) for piece in _pieces(argument))
    return False


def _pieces(argument: Any) -> list[Any]:
    """The patterns within the argument of a parsed operator."""
    if isinstance(argument, re._parser.SubPattern):  # type: ignore[attr-defined]
        return [argument]
    if isinstance(argument, list | tuple):
        return [piece for item in argument for piece in _pieces(item)]
    return []
