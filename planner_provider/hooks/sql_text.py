"""SQL as text: cut into statements, with named parameters turned into what a driver takes.

Parameters are named in the statement as ``:name`` or ``%(name)s``; both work on every database.
Strings, quoted names, comments, ``::`` casts and dollar-quoted bodies are left alone. A semicolon
inside the body of CREATE TRIGGER, FUNCTION or PROCEDURE parts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from planner_provider.errors import RefusedError

_STRING = r"'(?:[^']|'')*'"
_ESCAPED_STRING = r"'(?:[^'\\]|\\.|'')*'"
_TOKENS = r"""
    (?P<comment>--[^\n]*|/\*(?:[^*/]|\*(?!/)|/(?!\*)|/\*(?:[^*]|\*(?!/))*\*/)*\*/{hash_comment})
  | (?P<quoted>(?i:\be){escaped}|{string}|"(?:[^"]|"")*"|`(?:[^`]|``)*`
      |(?<!\w)\$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?(tag)(?P=tag))\$)
  | (?P<operator>::|:=)
  | (?<![\w:\]]):(?P<colon>[A-Za-z_]\w*)
  | %\((?P<percent>[A-Za-z_]\w*)\)s
  | (?P<end>;)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<other>.)
"""
_STANDARD = re.compile(
    _TOKENS.format(escaped=_ESCAPED_STRING, string=_STRING, hash_comment=""),
    re.VERBOSE | re.DOTALL,
)
_MYSQL = re.compile(
    _TOKENS.format(
        escaped=_ESCAPED_STRING,
        string=_ESCAPED_STRING + r'|"(?:[^"\\]|\\.|"")*"',
        hash_comment=r"|\#[^\n]*",
    ),
    re.VERBOSE | re.DOTALL,
)
_BODIES = frozenset({"TRIGGER", "FUNCTION", "PROCEDURE", "PACKAGE"})
_CONTROL = frozenset(
    {"BEGIN", "START", "COMMIT", "ROLLBACK", "END", "ABORT", "SAVEPOINT", "RELEASE"}
)
_QUERIES = frozenset(
    {"SELECT", "WITH", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "PRAGMA"}
)
_ALONE = re.compile(
    r"VACUUM\b|CREATE DATABASE\b|DROP DATABASE\b|ALTER SYSTEM\b|(CREATE|DROP) TABLESPACE\b"
    r"|((CREATE (UNIQUE )?|DROP )INDEX|REINDEX( \w+)?) CONCURRENTLY\b"
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A place in a statement that takes a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement, without the semicolon at its end."""

    parts: tuple[str | Parameter, ...]
    words: tuple[str, ...]
    """Its first words, in capitals, comments left out."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its parameters, in order, repeated as they are."""
        return tuple(part.name for part in self.parts if isinstance(part, Parameter))

    @property
    def is_query(self) -> bool:
        """Whether it begins as statements do that only read."""
        return self.words[:1] != () and self.words[0] in _QUERIES

    @property
    def is_transaction_control(self) -> bool:
        """Whether it begins or ends a transaction."""
        return self.words[:1] != () and self.words[0] in _CONTROL

    @property
    def stands_alone(self) -> bool:
        """Whether PostgreSQL and others refuse it inside a transaction, such as VACUUM."""
        return _ALONE.match(" ".join(self.words)) is not None

    @property
    def text(self) -> str:
        """The statement as it was written, parameters as ``:name``."""
        return "".join(
            f":{part.name}" if isinstance(part, Parameter) else part for part in self.parts
        )


def split(
    sql: str, *, named_parameters: bool = True, backslash_escapes: bool = False
) -> tuple[Statement, ...]:
    """Cut a text into its statements. Statements of nothing but comments are left out.

    Args:
        sql: one or more statements, parted by semicolons.
        named_parameters: whether ``:name`` and ``%(name)s`` stand for values; else they are text.
        backslash_escapes: whether a backslash escapes in plain strings and ``#`` begins a comment,
            as in MySQL and MariaDB.
    """
    return tuple(_statements(sql, named_parameters, _MYSQL if backslash_escapes else _STANDARD))


def _statements(sql: str, named: bool, tokens: re.Pattern[str]) -> Iterator[Statement]:
    builder = _Builder()
    for match in tokens.finditer(sql):
        name = match["colon"] or match["percent"]
        if match["end"] and builder.depth <= 0:
            yield from builder.finish()
            builder = _Builder()
        elif name and named:
            builder.parts.append(Parameter(name))
            builder.has_content = True
        else:
            builder.add(match)
    yield from builder.finish()


class _Builder:
    def __init__(self) -> None:
        self.parts: list[str | Parameter] = []
        self.words: list[str] = []
        self.depth = 0
        self.has_content = False
        self._has_body = False
        self._after_end = False

    def add(self, match: re.Match[str]) -> None:
        text = match[0]
        if self.parts and isinstance(self.parts[-1], str):
            self.parts[-1] += text
        else:
            self.parts.append(text)
        if match["comment"] or text.isspace():
            return
        self.has_content = True
        if match["word"]:
            self._word(text.upper())
        else:
            self._after_end = False

    def _word(self, word: str) -> None:
        if len(self.words) < 8:
            self.words.append(word)
            if self.words[0] == "CREATE" and word in _BODIES:
                self._has_body = True
        if not self._has_body:
            return
        if self._after_end and word in ("IF", "LOOP", "WHILE", "REPEAT", "FOR"):
            self.depth += 1  # END IF and the like close what was never counted
        elif word == "BEGIN" or (word == "CASE" and not self._after_end):
            self.depth += 1
        elif word == "END":
            self.depth -= 1
        self._after_end = word == "END"

    def finish(self) -> Iterator[Statement]:
        if self.has_content:
            parts = list(self.parts)
            if isinstance(parts[0], str):
                parts[0] = parts[0].lstrip()
            if isinstance(parts[-1], str):
                parts[-1] = parts[-1].rstrip()
            yield Statement(tuple(part for part in parts if part != ""), tuple(self.words))


Style = str
"""A DB-API ``paramstyle``: qmark, numeric, named, format or pyformat."""


def check_parameters(statements: tuple[Statement, ...], parameters: Mapping[str, Any]) -> None:
    """Refuse placeholders without a value, and values without a placeholder."""
    used = {name for statement in statements for name in statement.names}
    missing = sorted(used - parameters.keys())
    if missing:
        raise RefusedError(
            f"the SQL names :{', :'.join(missing)}, but `parameters` gives only "
            f"{', '.join(sorted(parameters)) or 'nothing'}; add what is missing"
        )
    unused = sorted(parameters.keys() - used)
    if unused:
        raise RefusedError(
            f"`parameters` gives {', '.join(unused)}, which the SQL does not use; write "
            f":{unused[0]} where its value belongs (without quotes), or take it out"
        )


def bind(
    statement: Statement, parameters: Mapping[str, Any], style: Style, comment: str = ""
) -> tuple[str, tuple[Any, ...] | dict[str, Any] | None]:
    """The statement for a driver: its text with the driver's placeholders, and the values.

    ``comment`` goes to the end, on a line of its own if the statement ends in a line comment.
    Values are ``None`` if the statement has no parameters; drivers then take ``%`` as it is.
    """
    names = statement.names
    doubled = bool(names) and style in ("format", "pyformat")
    out: list[str] = []
    position = 0
    for part in statement.parts:
        if isinstance(part, Parameter):
            position += 1
            out.append(_placeholder(style, part.name, position))
        else:
            out.append(part.replace("%", "%%") if doubled else part)
    text = "".join(out)
    if comment:
        gap = "\n" if "--" in text.rpartition("\n")[2] or "#" in text.rpartition("\n")[2] else " "
        text += gap + (comment.replace("%", "%%") if doubled else comment)
    if not names:
        return text, None
    if style in ("pyformat", "named"):
        return text, {name: parameters[name] for name in names}
    return text, tuple(parameters[name] for name in names)


def _placeholder(style: Style, name: str, position: int) -> str:
    if style == "qmark":
        return "?"
    if style == "numeric":
        return f":{position}"
    if style == "named":
        return f":{name}"
    if style == "pyformat":
        return f"%({name})s"
    return "%s"
