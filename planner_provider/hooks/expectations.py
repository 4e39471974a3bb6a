"""Comparing what was measured with what a plan expects. Missing, NULL, NaN never satisfy."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from planner_provider.hooks.connections import redact, shorten
from planner_provider.hooks.http import HttpAnswer
from planner_provider.spec.actions import Bound

_MISSING = object()


@dataclass(frozen=True, slots=True)
class HttpExpectation:
    """What an answer must be."""

    status: tuple[int, ...] = (200, 201, 202, 204)
    body_matches: str | None = None
    """Regular expression that the body must contain."""
    json_values: Mapping[str, Any] = field(default_factory=dict)
    """Values by dotted path; list items by their index."""
    as_text: frozenset[str] = frozenset()
    """Paths whose expected value came from a template: compared as text."""


def status_words(status: tuple[int, ...]) -> str:
    """``200, 201 or 204``."""
    words = [str(code) for code in status]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def http_mismatches(answer: HttpAnswer, expected: HttpExpectation) -> tuple[str, ...]:
    """What is not as expected, one sentence each; empty if all is."""
    if answer.status not in expected.status:
        got = f"{answer.status} {answer.reason}".rstrip()
        return (f"expected status {status_words(expected.status)}, got {got}",)
    return tuple(_body_mismatches(answer, expected))


def _body_mismatches(answer: HttpAnswer, expected: HttpExpectation) -> Iterator[str]:
    if expected.body_matches is None and not expected.json_values:
        return
    if not answer.complete:
        yield f"the body is longer than {len(answer.body)} bytes, too long to be checked"
        return
    if expected.body_matches is not None and not re.search(expected.body_matches, answer.text):
        yield f"expected a body that contains /{expected.body_matches}/, got '{answer.excerpt}'"
    if not expected.json_values:
        return
    try:
        document = json.loads(answer.body)
    except ValueError:
        yield f"expected JSON, got '{answer.excerpt}'"
        return
    for path, wanted in expected.json_values.items():
        found = _lookup(document, path)
        if found is _MISSING:
            yield f"expected {path} = {_show(wanted)} in the JSON, but it has no {path}"
        elif not _same(found, wanted, as_text=path in expected.as_text):
            got = redact(_show(found), answer.secrets)
            yield f"expected {path} = {_show(wanted)}, got {got}"


def bound_mismatch(what: str, bound: Bound, value: Any) -> str | None:
    """Why ``value`` is not within ``bound``; ``None`` if it is.

    Args:
        what: name of the value, such as "the value" or "the number of rows".
        bound: the expectation.
        value: what was measured; ``None`` if there is nothing.
    """
    wanted = describe_bound(bound)
    if value is None:
        return f"expected {what} to be {wanted}, got NULL"
    if isinstance(value, float | Decimal) and not _finite(value):
        return f"expected {what} to be {wanted}, got {value}"
    got = f"expected {what} to be {wanted}, got {_show(value)}"
    if bound.equals is not None and not _equal(value, bound.equals):
        return got
    for limit, beyond in ((bound.min, -1), (bound.max, 1)):
        if limit is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return f"{got}, which is not a number"
        if (_decimal(value) - _decimal(limit)) * beyond > 0:
            return got
    return None


def describe_bound(bound: Bound) -> str:
    """``5``, ``at least 3``, ``at least 3 and at most 5``."""
    parts = []
    if bound.equals is not None:
        parts.append(_show(bound.equals))
    if bound.min is not None:
        parts.append(f"at least {bound.min}")
    if bound.max is not None:
        parts.append(f"at most {bound.max}")
    return " and ".join(parts)


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, bool):  # databases without booleans say 0 and 1
        return isinstance(value, int) and value == int(wanted)
    if isinstance(wanted, str):
        return isinstance(value, str) and value == wanted
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    return _decimal(value) == _decimal(wanted)


def _finite(value: float | Decimal) -> bool:
    return value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)


def _decimal(value: float | Decimal) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _lookup(document: Any, path: str) -> Any:
    if isinstance(document, dict):
        if path in document:
            return document[path]
        for cut, char in enumerate(path):
            if char == "." and path[:cut] in document:
                found = _lookup(document[path[:cut]], path[cut + 1 :])
                if found is not _MISSING:
                    return found
    elif isinstance(document, list):
        head, _, rest = path.partition(".")
        if head.isdecimal() and int(head) < len(document):
            return _lookup(document[int(head)], rest) if rest else document[int(head)]
    return _MISSING


def _same(found: Any, wanted: Any, *, as_text: bool = False) -> bool:
    if as_text and not isinstance(found, str):
        if found is None or (isinstance(found, float) and not _finite(found)):
            return False
        return wanted in (json.dumps(found), str(found))
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, list) and isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(found, dict) and isinstance(wanted, Mapping):
        same_keys = found.keys() == wanted.keys()
        return same_keys and all(_same(found[key], wanted[key]) for key in found)
    both_numbers = isinstance(found, int | float) and isinstance(wanted, int | float)
    return (both_numbers or type(found) is type(wanted)) and bool(found == wanted)


def _show(value: Any) -> str:
    if isinstance(value, str):
        return f"'{shorten(value)}'"
    try:
        return shorten(json.dumps(value))
    except (TypeError, ValueError):
        return shorten(str(value))
