"""What the commands take, read from their signatures: for Airflow's command line and the docs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo


@dataclass(frozen=True, slots=True)
class CommandParameter:
    """One argument or option of a command."""

    name: str
    """Of the Python parameter."""
    flags: tuple[str, ...]
    """Short one first; empty for an argument."""
    help: str
    required: bool
    many: bool
    is_switch: bool
    choices: tuple[str, ...]


def parameters(command: Callable[..., None]) -> tuple[CommandParameter, ...]:
    """The parameters of a command, in order."""
    hints = get_type_hints(command, include_extras=True)
    return tuple(
        _parameter(name, hints[name], declared.default)
        for name, declared in inspect.signature(command).parameters.items()
    )


def _parameter(name: str, hint: Any, default: Any) -> CommandParameter:
    kind, info = get_args(hint)
    kinds = [part for part in get_args(kind) if part is not type(None)]
    if get_origin(kind) is UnionType or len(kinds) > 1:
        (kind,) = kinds
    many = get_origin(kind) is list
    choices = tuple(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else ()
    flags: tuple[str, ...] = ()
    if not isinstance(info, ArgumentInfo):
        # Within Annotated, typer keeps the first flag where a default would stand elsewhere.
        declared = [info.default, *(info.param_decls or ())]
        given = [flag for flag in declared if isinstance(flag, str) and flag.startswith("-")]
        flags = tuple(sorted(given or [f"--{name.replace('_', '-')}"], key=len))
    return CommandParameter(
        name=name,
        flags=flags,
        help=info.help or "",
        required=default is inspect.Parameter.empty,
        many=many,
        is_switch=kind is bool,
        choices=tuple(choice.value for choice in choices),
    )
