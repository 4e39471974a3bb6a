"""Where two pieces of JSON data differ, leaf by leaf. What ``diff`` puts into words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from planner_provider.graph.digest import canonical_text


class _Missing:
    """Stands for a value that one side does not have."""

    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Leaf:
    """One place where the data differ."""

    path: tuple[str | int, ...]
    old: Any
    """The value, its default if it was not given, or ``MISSING``."""
    new: Any

    @property
    def where(self) -> str:
        """The path as in a spec: ``http.expect.status``, ``canary.steps[1].bake``."""
        return dotted(self.path)

    @property
    def key(self) -> str:
        """The last name in the path."""
        return next((part for part in reversed(self.path) if isinstance(part, str)), "")


@dataclass(frozen=True, slots=True)
class _Side:
    given: Any
    """The data without what has its default value; this decides whether there is a difference."""
    full: Any
    """The same data with defaults; this is what is shown."""

    def at(self, key: str | int) -> _Side:
        return _Side(_get(self.given, key), _get(self.full, key))

    @property
    def shown(self) -> Any:
        return self.full if self.given is MISSING else self.given


def dotted(path: tuple[str | int, ...]) -> str:
    """A path in words: names joined by dots, indexes in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier() or part.replace("-", "_").isidentifier():
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def differing(
    old: Any, new: Any, *, old_full: Any = MISSING, new_full: Any = MISSING
) -> tuple[Leaf, ...]:
    """List where two pieces of JSON data differ.

    ``old_full`` and ``new_full`` are the same data with default values filled in. They change
    nothing in what differs, only what is shown for a value that one side leaves out.
    """
    before = _Side(old, old if old_full is MISSING else old_full)
    after = _Side(new, new if new_full is MISSING else new_full)
    return tuple(_walk((), before, after))


def _walk(path: tuple[str | int, ...], old: _Side, new: _Side) -> Iterator[Leaf]:
    if old.given is not MISSING and new.given is not MISSING and _same(old.given, new.given):
        return
    if (old.given is MISSING) != (new.given is MISSING) and isinstance(old.full, dict | list):
        old, new = _Side(old.full, old.full), _Side(new.full, new.full)
    keys = _common_keys(old, new)
    if keys is None:
        yield Leaf(path, old.shown, new.shown)
        return
    for key in keys:
        yield from _walk((*path, key), old.at(key), new.at(key))


def _same(old: Any, new: Any) -> bool:
    return canonical_text(old) == canonical_text(new)


def _common_keys(old: _Side, new: _Side) -> list[str | int] | None:
    """Keys to go on with, or ``None`` if the two must be shown as a whole."""
    shown = (old.shown, new.shown)
    if all(isinstance(value, dict) for value in shown):
        given = [side.given for side in (old, new) if side.given is not MISSING]
        return sorted({key for value in given for key in value})
    if all(isinstance(value, list) for value in shown):
        items = [item for value in shown for item in value]
        if items and all(isinstance(item, dict) for item in items):
            return list(range(max(len(value) for value in shown)))
    return None


def _get(data: Any, key: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(key, MISSING)
    if isinstance(data, list) and isinstance(key, int) and key < len(data):
        return data[key]
    return MISSING
