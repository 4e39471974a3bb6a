"""Syntax errors of YAML in words that help: what is wrong, where, and the usual cause."""

from __future__ import annotations

import re
from dataclasses import dataclass

from yaml.error import MarkedYAMLError


@dataclass(frozen=True, slots=True)
class SyntaxNote:
    """A syntax error. Line and column are counted from 0."""

    code: str
    message: str
    hint: str | None
    line: int
    column: int


_WORDS: tuple[tuple[str, str, str | None], ...] = (
    # part of the parser's words, what we say, the usual cause
    ("found character '\\t'", "a tab stands where spaces are expected", "indent with spaces"),
    ("cannot start any token", "'{char}' cannot begin a value", 'put the value in quotes: "..."'),
    ("found unexpected end of stream", "a quote is opened and never closed",
     "close the quote that begins in line {context}"),
    ("found unexpected document indicator", "a quote is opened and never closed",
     "close the quote that begins in line {context}"),
    ("found unknown escape character", "this backslash sequence means nothing in double quotes",
     "use single quotes, or write the backslash twice"),
    ("did not find expected hexdecimal", "this escape needs hexadecimal digits",
     "use single quotes, or write the backslash twice"),
    ("mapping values are not allowed", "a colon makes this a key in the middle of a value",
     "put the value in quotes, or check the indentation"),
    ("could not find expected ':'", "this looks like a key, but no colon follows",
     "put a colon and a space after the key, or check the indentation"),
    ("did not find expected ',' or ']'", "the list that begins in line {context} is not closed",
     "close it with ']', or put ',' between its entries"),
    ("did not find expected ',' or '}'", "the mapping that begins in line {context} is not closed",
     "close it with '}', or put ',' between its entries; a template goes into quotes"),
    ("did not find expected '-' indicator", "this stands in the list of line {context}, "
     "but does not begin with '- '", "indent it like the entries of the list"),
    ("did not find expected key", "this does not fit the mapping that begins in line {context}",
     "check the indentation and the quotes"),
    ("did not find expected node content", "a value is missing here",
     "put the value in quotes if it begins with a special character"),
    ("block sequence entries are not allowed", "a list entry cannot begin here",
     "begin the list in a line of its own"),
    ("block mapping entries are not allowed", "a mapping cannot begin here",
     "check the indentation"),
    ("found undefined alias", "the alias '{alias}' names no anchor in this document",
     "define it before with '&{alias}'; put text that begins with '*' in quotes"),
    ("found duplicate anchor", "the anchor '{alias}' is defined twice", "rename one of the two"),
    ("found undefined tag handle", "this tag is not defined",
     "remove it; put text that begins with '!' in quotes"),
    ("did not find expected alphabetic", "'{char}' must be followed by a name here",
     "put text that begins with '*' or '&' in quotes"),
    ("did not find expected <document start>", "something stands after the end of the document",
     "begin the next document with '---'"),
    ("found a tab character", "a tab stands where spaces are expected", "indent with spaces"),
    ("while scanning a directive", "this '%' directive cannot be read",
     "put text that begins with '%' in quotes"),
    ("did not find expected comment or line break", "something unexpected follows here",
     "put the value in quotes"),
    ("did not find a comment or line break", "something unexpected follows here",
     "after '|' or '>' the text begins in the next line"),
    ("found extra '", "two of these stand in one line", "check the indentation"),
)  # fmt: skip


def describe_yaml_error(error: Exception, lines: list[str]) -> SyntaxNote:
    """Say what the YAML parser found, at its line and column."""
    if not isinstance(error, MarkedYAMLError):
        return SyntaxNote("PLN101", f"this is not YAML: {_first(str(error))}", None, 0, 0)
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    problem, context = error.problem or "", error.context or ""
    said = f"{context} {problem}"
    context_line = error.context_mark.line + 1 if error.context_mark is not None else line + 1
    text = lines[line] if line < len(lines) else ""
    alias = re.search(r"(?:alias|anchor) '([^']{0,60})", said)
    words = {
        "char": text[column] if column < len(text) else "",
        "context": context_line,
        "alias": alias.group(1) if alias else "",
    }
    if line >= len(lines) or (not text and line):
        line, column = _last_text(lines, line)
    if words["char"] == "\t":
        said = f"found character '\\t' {said}"
    unclosed = "quoted scalar" in context and "unexpected" in problem
    if unclosed and error.context_mark is not None:
        line, column = error.context_mark.line, error.context_mark.column
        words["context"] = line + 1
    for part, message, hint in _WORDS:
        if part in said:
            hint = hint and hint.replace("'}'", "'}}'").format(**words)
            return SyntaxNote("PLN101", message.format(**words), hint, line, column)
    return SyntaxNote("PLN101", f"this is not YAML: {_first(said.strip())}", None, line, column)


def _first(text: str) -> str:
    return text.splitlines()[0][:160] if text else "it cannot be read"


def _last_text(lines: list[str], line: int) -> tuple[int, int]:
    """The end of the last line with text at or before a line: a better place than the void."""
    for index in range(min(line, len(lines) - 1), -1, -1):
        if lines[index].strip():
            return index, len(lines[index].rstrip())
    return 0, 0
