"""The YAML parser under the reader: libyaml where it is there, and scalars by YAML 1.2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast

from yaml.constructor import BaseConstructor
from yaml.events import Event
from yaml.nodes import Node, ScalarNode
from yaml.resolver import BaseResolver

try:
    from yaml._yaml import CParser

    HAS_LIBYAML = True
except ImportError:  # pragma: no cover - PyYAML built without libyaml
    HAS_LIBYAML = False

SAFE_DEPTH = 1000 if HAS_LIBYAML else 100
"""Nesting that the parser, which is recursive, surely survives."""

PLAIN = "plain"
"""Tag of a scalar without quotes, whose type is yet to be found."""
QUOTED = "quoted"
"""Tag of a scalar that is text whatever it looks like."""
STRUCTURE = "structure"
"""Tag of a list or a mapping."""
_CORE = "tag:yaml.org,2002:"
CORE_TAGS = frozenset(
    _CORE + name for name in ("str", "int", "float", "bool", "null", "seq", "map")
)


class _Resolver(BaseResolver):
    """Notes only whether a scalar was quoted; its type is worked out by `plain_scalar`."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return PLAIN if implicit[0] else QUOTED
        return STRUCTURE

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


if HAS_LIBYAML:

    class _Parser(CParser, BaseConstructor, _Resolver):
        def __init__(self, content: bytes) -> None:
            CParser.__init__(self, content)
            BaseConstructor.__init__(self)
            _Resolver.__init__(self)

else:  # pragma: no cover - PyYAML built without libyaml
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Parser(Reader, Scanner, Parser, Composer, BaseConstructor, _Resolver):  # type: ignore[no-redef]
        def __init__(self, content: bytes) -> None:
            Reader.__init__(self, content)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)
            BaseConstructor.__init__(self)
            _Resolver.__init__(self)


def compose_stream(content: bytes) -> Iterator[Node]:
    """Yield the root node of each document. Raises ``YAMLError`` where the text is not YAML."""
    parser = _Parser(content)
    while parser.check_node():
        yield cast("Node", parser.get_node())


def parse_events(content: bytes) -> Iterator[Event]:
    """Yield the events of the parser, which needs no recursion for that."""
    parser = _Parser(content)
    while parser.check_event():
        yield cast("Event", parser.get_event())


_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MAY_BE_NUMBER = frozenset("-+.0123456789")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".inf": float("inf"), ".Inf": float("inf"), ".INF": float("inf"),
    "+.inf": float("inf"), "+.Inf": float("inf"), "+.INF": float("inf"),
    "-.inf": float("-inf"), "-.Inf": float("-inf"), "-.INF": float("-inf"),
    ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"),
}  # fmt: skip
_MAX_DIGITS = 300


@lru_cache(maxsize=8192)
def plain_scalar(text: str) -> Any:
    """What a scalar without quotes stands for, by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAY_BE_NUMBER or len(text) > _MAX_DIGITS:
        return text
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text, 10)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class BadScalarError(ValueError):
    """A tag that is not read, or a value that does not fit its tag."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def tagged_scalar(tag: str, text: str) -> Any:
    """What a scalar with an explicit tag such as ``!!str`` stands for."""
    name = tag.removeprefix(_CORE)
    if name == "str":
        return text
    value = plain_scalar(text)
    fits = {
        "int": type(value) is int,
        "float": type(value) in {int, float},
        "bool": type(value) is bool,
        "null": value is None,
    }
    if tag not in CORE_TAGS or name not in fits:
        shown = tag.replace(_CORE, "!!")[:60]
        raise BadScalarError(
            f"the YAML tag '{shown}' is not read",
            "remove the tag; specs hold plain text, numbers, lists and mappings",
        )
    if not fits[name]:
        raise BadScalarError(f"this is not a value for the YAML tag '!!{name}'", "remove the tag")
    return float(value) if name == "float" else value
