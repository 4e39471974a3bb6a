"""Every way to change one value of a plan, so that nothing is forgotten by digest and diff."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]

WORDS = {
    "PUT": "POST", "DELETE": "PUT", "POST": "GET", "shared": "exclusive", "auto": "always",
    "nobody": "requester", "reject": "expire", "low": "high", "string": "integer",
    "integer": "number", "date": "date-time", "warning": "critical", "hold": "once",
    "decrease": "either", "critical": "normal", "rollout": "enable", "failed": "completed",
    "newest_first": "oldest_first", "refused": "error", "attention": "error",
    "finish": "abort", "abort": "finish", "none": "auto", "Europe/Berlin": "Europe/Paris",
    "20%": "21%", "10%": "11%", "5%": "6%",
    "50%": "51%", "100%": "99%", "+50%": "+51%", "2026-11-01T00:00Z": "2026-11-02T00:00Z",
    "2026-11-08T00:00Z": "2026-11-09T00:00Z", "2026-12-01T00:00Z": "2026-12-02T00:00Z",
    "delete": "keep", "stop": "leave", "unpause": "wait", "70%": "71%", "queue": "level",
    "0 2 * * 1": "0 3 * * 1", "team:team-shop": "log", "jira": "github",
    "EUR": "USD",
}  # fmt: skip
"""Words that may only be replaced by certain others."""


def leaves(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each value that is no mapping and no list, with its path."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, (*path, key))
    elif isinstance(data, list) and data:
        for index, value in enumerate(data):
            yield from leaves(value, (*path, index))
    else:
        yield path, data


def other_values(value: Any) -> Iterator[Any]:
    """Values of the same type to try in its place."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
        yield value - 1
        yield value * 2
    elif isinstance(value, str):
        if value in WORDS:
            yield WORDS[value]
        if value == "auto":
            yield "none"
        if value == "none":
            yield "latest"
        if value == "hold":
            yield "back_off"
        if value[:-1].isdigit() and value[-1] in "smhd":
            yield f"{int(value[:-1]) + 1}{value[-1]}"
        yield f"{value}x"
        yield f"{value}1"


def replaced(data: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy of the data with another value at the path."""
    out = copy.deepcopy(data)
    place = out
    for key in path[:-1]:
        place = place[key]  # type: ignore[index]
    place[path[-1]] = value  # type: ignore[index]
    return out


def without(data: dict[str, Any], path: Path) -> dict[str, Any]:
    """A copy of the data without what stands at the path."""
    out = copy.deepcopy(data)
    place = out
    for key in path[:-1]:
        place = place[key]  # type: ignore[index]
    del place[path[-1]]  # type: ignore[arg-type]
    return out


def keys(data: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every key and every list entry."""
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield (*path, key)
            yield from keys(value, (*path, key))
