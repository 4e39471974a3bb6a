"""No pattern and no reason is left without words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planner_provider.spec import validate
from planner_provider.spec.codes import CODES
from planner_provider.spec.plan import ACTION_NAMES
from planner_provider.spec.references import ACTION_KEYS
from planner_provider.spec.schema import build_schema
from planner_provider.spec.wording import has_words_for

SOURCES = sorted(Path(validate.__file__).parent.glob("*.py"))


def patterns(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        for item in value.values():
            yield from patterns(item)
    elif isinstance(value, list):
        for item in value:
            yield from patterns(item)


def test_every_pattern_is_put_into_words() -> None:
    own = {"^(P.+|(\\d+(\\.\\d+)?(ms|s|m|h|d|w))+)$", "^\\d+(\\.\\d+)?%$"}  # only for editors
    missing = {pattern for pattern in patterns(build_schema()) if not has_words_for(pattern)} - own
    assert not missing


def raised_types() -> set[str]:
    """First arguments of every ``PydanticCustomError`` in the spec layer."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "PydanticCustomError"
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(node.args[0].value)
    return found


def test_every_reason_of_our_own_has_a_code() -> None:
    assert raised_types() <= validate.CUSTOM_CODES.keys()
    assert set(validate.CUSTOM_CODES.values()) <= CODES.keys()


def test_every_code_that_is_reported_is_known() -> None:
    used = {
        node.value
        for path in SOURCES
        if path.name != "codes.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("PLN")
        and len(node.value) == 6
    }
    assert used == CODES.keys()


def test_the_two_lists_of_actions_are_one() -> None:
    assert frozenset(ACTION_NAMES) == ACTION_KEYS
