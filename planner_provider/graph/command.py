"""Something that a person types, or reads, to do by hand what a plan does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """Something to type, or to read."""

    language: str
    """Of the text, for highlighting: ``bash``, ``sql``, ``json``, ``text``."""
    text: str
    lead: str = ""
    """A sentence that stands before it."""
