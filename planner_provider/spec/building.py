"""From YAML nodes to plain data, with all that must not be in a spec noted on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.located import Document, Place, Problem
from planner_provider.spec.yaml_parser import (
    CORE_TAGS,
    PLAIN,
    QUOTED,
    STRUCTURE,
    BadScalarError,
    plain_scalar,
    tagged_scalar,
)

MAX_DEPTH = 64
MAX_NODES = 50_000
"""Nodes of one file, each counted as often as aliases repeat it."""


def build_document(
    file: str, content: bytes, number: int, node: Node, first_line: int, budget: list[int]
) -> Document:
    """Turn the root node of a document into data.

    ``budget`` holds one number, the nodes that the file may still have; it is counted down.
    """
    builder = _Builder(budget, first_line)
    try:
        data = builder.build(node, 0)
    except _LimitError as error:
        builder.problems.append(error.problem)
        data = builder.partial
    tainted: set[SpecPath] = set()
    if builder.notes:
        paths = _paths(node, {id(noted) for _, noted in builder.notes})
        for problem, noted in builder.notes:
            path, is_key = paths.get(id(noted), ((), False))
            builder.problems.append(replace(problem, path=path))
            if problem.code != "PLN107":
                tainted.add(path[:-1] if is_key else path)
    return Document(
        file=file,
        data=data,
        place=Place(first_line + node.start_mark.line + 1, node.start_mark.column + 1),
        content=content,
        number=number,
        first_line=first_line,
        has_null=builder.has_null,
        problems=tuple(builder.problems),
        tainted=frozenset(tainted),
    )


def _paths(root: Node, wanted: set[int]) -> dict[int, tuple[SpecPath, bool]]:
    """The paths of nodes, and whether each is a key. Aliases are followed once."""
    found: dict[int, tuple[SpecPath, bool]] = {}
    seen: set[int] = set()
    pending: list[tuple[Node, SpecPath]] = [(root, ())]
    while pending and len(found) < len(wanted):
        node, path = pending.pop()
        if id(node) in wanted:
            found.setdefault(id(node), (path, False))
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            pending.extend((item, (*path, index)) for index, item in enumerate(node.value))
        elif isinstance(node, MappingNode):
            for key_node, value_node in node.value:
                key = key_node.value if isinstance(key_node, ScalarNode) else "?"
                if id(key_node) in wanted:
                    found.setdefault(id(key_node), ((*path, key), True))
                pending.append((value_node, (*path, key)))
    return found


class _LimitError(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class _Builder:
    """Turns nodes into data, and notes what must not be in a spec."""

    __slots__ = ("budget", "first_line", "has_null", "notes", "partial", "problems")

    def __init__(self, budget: list[int], first_line: int) -> None:
        self.first_line = first_line
        self.problems: list[Problem] = []
        self.notes: list[tuple[Problem, Node]] = []
        self.has_null = False
        self.partial: dict[str, Any] = {}
        self.budget = budget

    def build(self, node: Node, depth: int) -> Any:
        kind = type(node)
        if kind is ScalarNode:
            tag = node.tag
            if tag is QUOTED:
                return node.value
            value = plain_scalar(node.value) if tag is PLAIN else self._tagged(node)  # type: ignore[arg-type]
            if value is None:
                self.has_null = True
            return value
        self._count(node, depth)
        if node.tag is not STRUCTURE and node.tag not in CORE_TAGS:
            self._refuse_tag(node)
        if kind is SequenceNode:
            return [self.build(item, depth + 1) for item in node.value]
        out: dict[str, Any] = {} if depth else self.partial
        for key_node, value_node in node.value:
            if type(key_node) is ScalarNode and key_node.tag is PLAIN:
                key = plain_scalar(key_node.value)
            elif type(key_node) is ScalarNode and key_node.tag is QUOTED:
                key = key_node.value
            elif type(key_node) is ScalarNode:
                key = self._tagged(key_node)
            else:
                key = None
            if type(key) is not str or (key == "<<" and key_node.tag is PLAIN):
                self._refuse_key(key_node, key)
            else:
                if key in out:
                    self._duplicate(node, key, key_node)  # type: ignore[arg-type]
                    continue  # the first one counts
                out[key] = self.build(value_node, depth + 1)
        return out

    def _count(self, node: Node, depth: int) -> None:
        self.budget[0] -= len(node.value) + 1
        if self.budget[0] < 0:
            raise _LimitError(too_many(self._place(node)))
        if depth >= MAX_DEPTH:
            raise _LimitError(too_deep(self._place(node)))

    def _place(self, node: Node) -> Place:
        mark = node.start_mark
        return Place(self.first_line + mark.line + 1, mark.column + 1)

    def _note(self, code: str, node: Node, message: str, hint: str | None) -> None:
        self.notes.append((Problem(code, (), message, hint, place=self._place(node)), node))

    def _tagged(self, node: ScalarNode) -> Any:
        try:
            return tagged_scalar(node.tag, node.value)
        except BadScalarError as error:
            self._note("PLN110", node, str(error), error.hint)
            return node.value

    def _refuse_tag(self, node: Node) -> None:
        self._note(
            "PLN110", node, f"the YAML tag '{_short_tag(node.tag)}' is not read",
            "remove the tag; specs hold plain text, numbers, lists and mappings",
        )  # fmt: skip

    def _refuse_key(self, node: Node, key: Any) -> None:
        if key == "<<":
            self._note(
                "PLN109", node, "merge keys (`<<`) are not read",
                "YAML 1.2 has none; write the keys out, use the plan's `defaults`, "
                "or make a PlanTemplate",
            )  # fmt: skip
        elif isinstance(node, ScalarNode):
            kind = "empty" if key is None else f"read as {key!r}"
            self._note(
                "PLN108", node, f"the key {node.value or '(nothing)'} is {kind}, but keys are text",
                f'put it in quotes: "{node.value}"' if node.value else "name the key",
            )  # fmt: skip
        else:
            self._note(
                "PLN108", node, "a list or a mapping cannot be a key",
                "if this is a template, put the whole value in quotes: \"{{ params.version }}\"",
            )  # fmt: skip

    def _duplicate(self, mapping: MappingNode, key: str, again: Node) -> None:
        first = next(
            node for node, _ in mapping.value
            if isinstance(node, ScalarNode) and node.value == again.value
        )  # fmt: skip
        self._note(
            "PLN107", again,
            f"the key '{_shorten(key)}' stands here twice; first in line {self._place(first).line}",
            "keep one of the two",
        )  # fmt: skip


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _short_tag(tag: str) -> str:
    return _shorten(tag.replace("tag:yaml.org,2002:", "!!"))


def too_deep(place: Place | None, path: SpecPath = ()) -> Problem:
    """The problem of a value that is nested too deep."""
    return Problem(
        "PLN105", path, f"this is nested more than {MAX_DEPTH} levels deep", None, place=place
    )


def too_many(place: Place | None, path: SpecPath = ()) -> Problem:
    """The problem of a file with too many values."""
    return Problem(
        "PLN106", path,
        f"this file has more than {MAX_NODES:,} values, counting what aliases repeat",
        "split the file, or use fewer aliases", place=place,
    )  # fmt: skip
