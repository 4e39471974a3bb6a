"""Secrets that stand in a spec in plain text."""

from __future__ import annotations

from typing import Any

from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.plaintext import (
    announces_secret,
    is_plain_secret,
    secret_in_command,
    secret_shape,
)
from planner_provider.spec.subject import Subject

_HINT = (
    "put it into an Airflow Connection or Variable and name that here; "
    "then change the secret, since this text is kept in the repository's history"
)
_PROSE = frozenset({"description", "summary", "message", "title", "reason"})
_NOT_VALUES = frozenset({"pattern", "description", "title", "summary", "enum"})
_SCHEMA_PARENTS = frozenset({"parameters", "inputs"})
_SCHEMA_PARENTS_AS_PATHS = (("parameters",), ("inputs",))


def check_secrets(subject: Subject, data: Any = None, top: SpecPath = ()) -> None:
    """Report every value that looks like a secret. The value itself is never echoed."""
    stack: list[tuple[SpecPath, Any]] = [(top, subject.data if data is None else data)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            for key, item in value.items():
                inner = (*path, key)
                if type(item) is str:
                    if len(item) > 3:
                        _check(subject, inner, key, item)
                elif item.__class__ is dict or item.__class__ is list:
                    stack.append((inner, item))
        elif isinstance(value, list):
            key = next((part for part in reversed(path) if isinstance(part, str)), "")
            for index, item in enumerate(value):
                inner = (*path, index)
                if type(item) is str:
                    if len(item) > 3:
                        _check(subject, inner, key, item)
                else:
                    stack.append((inner, item))


def _check(subject: Subject, path: SpecPath, key: str, text: str) -> None:
    what = secret_shape(text)
    if key == "default" and path[-3:-2] in _SCHEMA_PARENTS_AS_PATHS:
        key = str(path[-2])  # the default of a parameter called `password`
    if what is None and announces_secret(key) and is_plain_secret(text) and not _is_schema(path):
        what = f"the value of '{key}'"
    if what is None and key not in _PROSE and ("=" in text or " " in text):
        what = secret_in_command(text)
    if what is not None:
        subject.report("PLN501", path, f"{what} stands here in plain text", _HINT)


def _is_schema(path: SpecPath) -> bool:
    """Whether the value describes a parameter and is not one."""
    return (
        len(path) > 2
        and path[-1] in _NOT_VALUES | {"type", "format"}
        and path[-3] in _SCHEMA_PARENTS
    )
