"""From bytes to YAML documents.

YAML 1.2 core schema: ``true``/``false``, ``null``, integers (also ``0x`` and ``0o``) and floats are
what they look like; ``yes``, ``no``, ``on``, ``off`` and dates are text. Merge keys (``<<``) are
refused, because YAML 1.2 has none and they hide where a value comes from; aliases are read.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from planner_provider.spec.building import (
    MAX_DEPTH,
    MAX_NODES,
    build_document,
    too_deep,
    too_many,
)
from planner_provider.spec.encoding import decode, line_starts, split_lines
from planner_provider.spec.located import Document, Place, Problem
from planner_provider.spec.yaml_errors import describe_yaml_error
from planner_provider.spec.yaml_parser import SAFE_DEPTH, compose_stream, parse_events

MAX_DOCUMENTS = 1000
MAX_SYNTAX_ERRORS = 20
"""After so many a file is given up."""
_SURVEY_FROM = 192 * 1024
"""Files beyond this size are counted before they are read."""

_DEPTH_CHANGES = {
    MappingStartEvent: 1,
    SequenceStartEvent: 1,
    MappingEndEvent: -1,
    SequenceEndEvent: -1,
}
_NODE_EVENTS = frozenset({ScalarEvent, AliasEvent, MappingStartEvent, SequenceStartEvent})
_INDENT = re.compile(rb"^[ \t\-?:]+", re.MULTILINE)
_MARKER = re.compile(r"^---(?=[ \t\r\n]|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ReadFile:
    """The documents of one file, and what kept others from being read."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...] = ()
    """Problems of the file as a whole; each has a place."""
    unread: tuple[str, ...] = ()
    """Text of the documents that could not be read."""


def read_documents(file: str, content: bytes) -> ReadFile:
    """Read the documents of one file. Never raises on account of its content."""
    decoded = decode(content)
    if isinstance(decoded, Problem):
        return ReadFile((), (decoded,))
    text, content = decoded
    documents: list[Document] = []
    problems: list[Problem] = []
    unread: list[str] = []
    first_line, budget = 0, [MAX_NODES]
    while True:
        if problem := _survey(content):
            place = problem.place or Place(1, 1)
            shifted = Place(place.line + first_line, place.column)
            problems.append(Problem(problem.code, (), problem.message, problem.hint, place=shifted))
            unread.append(text)
            break
        try:
            for number, node in enumerate(compose_stream(content)):
                if len(documents) == MAX_DOCUMENTS:
                    mark = node.start_mark
                    place = Place(first_line + mark.line + 1, mark.column + 1)
                    problems.append(_too_many_documents(place))
                    break
                documents.append(build_document(file, content, number, node, first_line, budget))
        except (YAMLError, UnicodeError, ValueError, RecursionError) as error:
            problem, line = _syntax_problem(error, text, first_line)
            problems.append(problem)
            text, skipped, broken = _after_marker(text, line)
            unread.append(broken)
            if len(problems) == MAX_SYNTAX_ERRORS:
                unread += _MARKER.split(text, maxsplit=MAX_DOCUMENTS)
            elif text:
                content = text.encode()
                first_line += skipped
                continue
        break
    documents = [document for document in documents if document.data is not None]
    if not documents and not problems:
        problems.append(
            Problem(
                "PLN111", (), "this file holds no document",
                "delete it, or give it a document that begins with `apiVersion: planner/v1`",
                place=Place(1, 1),
            )
        )  # fmt: skip
    return ReadFile(tuple(documents), tuple(problems), tuple(unread))


# ---- limits ----------------------------------------------------------------------------------


def _survey(content: bytes) -> Problem | None:
    """Refuse what is too deep or too large before libyaml, which is recursive, sees it."""
    columns = max((len(found) for found in _INDENT.findall(content)), default=0)
    bound = content.count(b"[") + content.count(b"{") + 2 * columns
    if bound <= SAFE_DEPTH and len(content) <= _SURVEY_FROM:
        return None
    depth = nodes = documents = 0
    try:
        for event in parse_events(content):
            kind = type(event)
            nodes += kind in _NODE_EVENTS
            depth += _DEPTH_CHANGES.get(kind, 0)
            documents += kind is DocumentStartEvent
            if depth <= MAX_DEPTH and nodes <= MAX_NODES and documents <= MAX_DOCUMENTS:
                continue
            mark = event.start_mark
            place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
            if depth > MAX_DEPTH:
                return too_deep(place)
            if nodes > MAX_NODES:
                return too_many(place)
            if documents > MAX_DOCUMENTS:
                return Problem(
                    "PLN114", (), f"this file holds more than {MAX_DOCUMENTS:,} documents",
                    "split it into several files", place=place,
                )  # fmt: skip
    except (YAMLError, UnicodeError, ValueError):
        return None  # found again, and reported, when it is read
    return None


def _too_many_documents(place: Place) -> Problem:
    message = f"this file holds more than {MAX_DOCUMENTS:,} documents"
    return Problem("PLN114", (), message, "split it into several files", place=place)


# ---- syntax ----------------------------------------------------------------------------------


def _syntax_problem(error: Exception, text: str, first_line: int) -> tuple[Problem, int]:
    """Describe a syntax error, and give the line (from 0) in this text where reading stopped."""
    mark = None
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
    line = mark.line if mark is not None else 0
    told = describe_yaml_error(error, split_lines(text))
    place = Place(first_line + told.line + 1, told.column + 1)
    return Problem(told.code, (), told.message, told.hint, place=place), line


def _after_marker(text: str, line: int) -> tuple[str, int, str]:
    """What follows the next ``---`` after a line: text, lines skipped, and the text given up."""
    starts = line_starts(text)
    begin = starts[min(line, len(starts) - 1)]
    for found in _MARKER.finditer(text, begin):
        if found.start() > begin or (line > 0 and found.start() == begin):
            before = text[: found.start()]
            last = max((m.start() for m in _MARKER.finditer(before)), default=0)
            return text[found.start() :], bisect_right(starts, found.start()) - 1, before[last:]
    last = max((m.start() for m in _MARKER.finditer(text)), default=0)
    return "", 0, text[last:]
