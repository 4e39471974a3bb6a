"""As much of PromQL as it takes to find the series that an expression reads."""

from __future__ import annotations

import re

_STRING = r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`]*`'
_MATCHERS = rf"\{{(?:[^{{}}\"'`]|{_STRING})*\}}"
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SELECTOR = rf"(?:{_NAME}\s*(?:{_MATCHERS})?|{_MATCHERS})"
_PLAIN = re.compile(rf"\s*(?:sum\s*\(\s*({_SELECTOR})\s*\)|({_SELECTOR}))\s*")
_TOKENS = re.compile(
    rf"""(?P<comment>\#[^\n]*)
  | (?P<range>\[[^\]]*\])
  | (?P<named>(?!(?i:and|or|unless|atan2|bool)\b){_NAME}\s*{_MATCHERS})
  | (?P<nameless>{_MATCHERS})
  | (?P<string>{_STRING})
  | (?P<number>0x[0-9a-fA-F]+|\d[\w.]*(?:[eE][+-]?\d+)?)
  | (?P<word>{_NAME})
  | (?P<other>\S)""",
    re.VERBOSE,
)
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_KEYWORDS = frozenset(
    {*_GROUPING, "and", "or", "unless", "atan2", "bool", "offset", "inf", "nan", "start", "end"}
)
WINDOW = re.compile(r"\{\{-?\s*\.?window\s*-?\}\}")
"""Where the length of the window goes in an expression, as Sloth writes it."""


def plain_selector(text: str) -> str | None:
    """The series selector that a query consists of, also within ``sum(...)``; else ``None``."""
    found = _PLAIN.fullmatch(text)
    if not found:
        return None
    selector: str = (found[1] or found[2]).strip()
    return None if selector.lower() in _KEYWORDS else selector


def selectors(text: str) -> tuple[str, ...]:
    """The series selectors of an expression, each once, in their order.

    Labels in ``by (...)`` and the like, names of functions and what stands in ranges are none.
    """
    found: list[str] = []
    tokens = [m for m in _TOKENS.finditer(WINDOW.sub("5m", text)) if m.lastgroup != "comment"]
    index = 0
    while index < len(tokens):
        token = tokens[index]
        following = tokens[index + 1][0] if index + 1 < len(tokens) else ""
        if token.lastgroup in ("named", "nameless"):
            found.append(token[0].strip())
        elif token.lastgroup == "word":
            word = token[0].lower()
            if word in _GROUPING and following == "(":
                while index < len(tokens) and tokens[index][0] != ")":
                    index += 1
            elif word not in _KEYWORDS and following.lower() not in ("(", "by", "without"):
                found.append(token[0])
        index += 1
    return tuple(dict.fromkeys(found))


def with_matchers(selector: str, matchers: str) -> str:
    """The selector with more label matchers, which are written without braces."""
    if not matchers.strip():
        return selector
    head, brace, tail = selector.rstrip().rpartition("}")
    if not brace:
        return f"{selector.strip()}{{{matchers}}}"
    comma = "" if head.rstrip().endswith(("{", ",")) else ","
    return f"{head.rstrip()}{comma}{matchers}}}{tail}"


def quoted(text: str) -> str:
    """A text as a string literal of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
