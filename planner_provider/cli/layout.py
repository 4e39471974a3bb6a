"""Text for an 80-column terminal: moments, spans, labelled fields, lists. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

LABEL = 12
"""Columns of the label of a field."""
SHORTEST = 60
"""Narrower terminals get longer lines."""


def moment(value: datetime | None) -> str:
    """A moment in UTC to the second, such as ``2026-03-29 01:02:03``; ``-`` for none."""
    return "-" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def clock(value: datetime | None, day: datetime | None = None) -> str:
    """The time in UTC, with the day if that is another one than ``day``."""
    if value is None:
        return "-"
    same = day is not None and value.astimezone(UTC).date() == day.astimezone(UTC).date()
    return f"{value.astimezone(UTC):%H:%M:%S}" if same else moment(value)


def span(value: timedelta | None) -> str:
    """A time span by its two largest units, such as ``3m 20s`` or ``2d 4h``; ``-`` for none."""
    if value is None:
        return "-"
    seconds = max(0, round(value.total_seconds()))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def plain(text: object) -> str:
    """Text on one line, with nothing in it that moves a terminal's cursor or colours it."""
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
        for char in str(text)
    )


def short(text: object, columns: int) -> str:
    """Text on one line, cut to so many columns."""
    line = " ".join(plain(text).split())
    return line if len(line) <= columns else f"{line[: max(1, columns - 3)]}..."


def paragraph(text: object, columns: int, indent: int = 0) -> str:
    """Text filled up to the columns. A word that is longer, such as an id, stays whole."""
    space = " " * indent
    return textwrap.fill(
        plain(text),
        max(columns, SHORTEST),
        initial_indent=space,
        subsequent_indent=space,
        break_long_words=False,
        break_on_hyphens=False,
    )


def field(label: str, text: object, columns: int) -> str:
    """A label and its text, which goes on beneath itself."""
    return f"{label:<{LABEL}}{paragraph(text, columns, LABEL).lstrip()}"


def section(title: str, lines: Iterable[str]) -> list[str]:
    """A title with lines beneath; nothing at all without lines."""
    found = list(lines)
    return ["", title, *found] if found else []


def aligned(rows: Sequence[Sequence[str]], columns: int, indent: int = 2) -> list[str]:
    """Rows as columns. The last one is text, and is filled up beneath itself."""
    if not rows:
        return []
    before = [
        max(len(row[index]) for row in rows) for index in range(max(len(row) for row in rows) - 1)
    ]
    lines = []
    for row in rows:
        cells = [f"{cell:<{size}}" for cell, size in zip(row, before, strict=False)]
        head = " " * indent + "  ".join(cells[: len(row) - 1])
        room = len(head) + 2
        if columns - room < 24:  # too little is left beside it
            lines += [head.rstrip(), paragraph(row[-1], columns, indent + 4)]
        else:
            lines.append(f"{head}  {paragraph(row[-1], columns, room).lstrip()}".rstrip())
    return lines
