"""Hints of the form "did you mean ...?"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import lru_cache

_MANY = 500


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that the author probably meant, or ``None``."""
    if not word or len(word) > 100:
        return None
    return _nearest(word, known if isinstance(known, frozenset) else frozenset(known))


@lru_cache(maxsize=1024)
def _nearest(word: str, known: frozenset[str]) -> str | None:
    plain = word.replace("-", "_").lower()
    likely = sorted(known) if len(known) <= _MANY else _same_beginning(word, known)
    for candidate in likely:
        if candidate.replace("-", "_").lower() == plain and candidate != word:
            return candidate
    near = difflib.get_close_matches(word, likely, n=1, cutoff=0.7)
    return near[0] if near else None


def _same_beginning(word: str, known: Iterable[str]) -> list[str]:
    """Of very many names those that begin alike, since to compare with all would take too long."""
    return sorted(name for name in known if name[:2] == word[:2])[:_MANY]


def did_you_mean(word: str, known: Iterable[str], otherwise: str | None = None) -> str | None:
    """A hint that names the nearest known word, else the other hint."""
    found = nearest(word, known)
    return f"did you mean '{found}'?" if found else otherwise


def some_of(words: Iterable[str], limit: int = 8) -> str:
    """List words, and say how many more there are."""
    listed = sorted(words)
    shown = ", ".join(listed[:limit])
    return f"{shown} and {len(listed) - limit} more" if len(listed) > limit else shown
