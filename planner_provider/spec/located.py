"""A document whose every part knows its place, and what is wrong with it.

Places are worked out only when somebody asks, which is only when there is something to report.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.yaml_parser import compose_stream


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a part of a document, not yet turned into a diagnostic."""

    code: str
    path: SpecPath
    message: str
    hint: str | None = None
    at_key: bool = False
    """Whether the key is meant, and not the value under it."""
    place: Place | None = None
    """Where it is, when the path cannot tell."""


@dataclass(eq=False, slots=True)
class Document:
    """One YAML document: its data, and the nodes that know the places."""

    file: str
    data: Any
    place: Place
    """Where the document begins."""
    content: bytes = field(repr=False)
    """The text that the document was read from."""
    number: int = 0
    """Which document of this text it is."""
    first_line: int = 0
    """Lines of the file that stand before the text."""
    has_null: bool = False
    """Whether any value in it is null."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with it as YAML. The data then lacks the parts concerned."""
    tainted: frozenset[SpecPath] = frozenset()
    """Parts that lack something because of these problems."""
    _node: Node | None = field(default=None, repr=False)

    def release(self) -> None:
        """Forget the nodes; they are many times as large as the text."""
        self._node = None

    def locate(self, path: SpecPath, at_key: bool = False) -> Place:
        """Find the place of a part, or of the nearest part around it that exists.

        Nodes are not kept, as a folder may hold 10,000 documents: the text is parsed again the
        first time that somebody asks.
        """
        if not path:
            return self.place
        if self._node is None:
            self._node = next(islice(compose_stream(self.content), self.number, None))
        node = self._node
        key_mark = None
        for part in path:
            found = _child(node, part)
            if found is None:
                key_mark = None if at_key else key_mark
                break
            key_node, node = found
            key_mark = key_node.start_mark if key_node is not None else None
        if at_key and key_mark is not None:
            mark = key_mark
        elif key_mark is not None and (_is_empty(node) or _is_block(node)):
            mark = key_mark  # nothing after the key, or a block that begins somewhere below it
        else:
            mark = node.start_mark
        return Place(self.first_line + mark.line + 1, mark.column + 1)


def _is_empty(node: Node) -> bool:
    return (
        isinstance(node, ScalarNode)
        and not node.value
        and node.start_mark.index == node.end_mark.index
    )


def _is_block(node: Node) -> bool:
    return isinstance(node, MappingNode | SequenceNode) and not node.flow_style


def _child(node: Node, part: str | int) -> tuple[Node | None, Node] | None:
    if isinstance(node, SequenceNode):
        if isinstance(part, int) and 0 <= part < len(node.value):
            return None, node.value[part]
        return None
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode) and key_node.value == part:
                return key_node, value_node
    return None
