"""``planner new``: a commented spec to begin with."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner_provider.cli.inputs import load_options, specs_folder
from planner_provider.cli.terminal import UserError, write

if TYPE_CHECKING:
    from planner_provider.spec.folder import SourceFile

SCHEMA_FILE = "planner.schema.json"
PLACEHOLDER_OWNER = "your-team"
STEP = 10
"""Distance between the numbers of files, so that others fit in between."""


class Starter(StrEnum):
    """What kind of plan to begin with."""

    RELEASE = "release"
    MAINTENANCE = "maintenance"
    BACKFILL = "backfill"
    BLANK = "blank"


def new(
    name: Annotated[str, typer.Argument(help="Name of the plan, such as checkout-release.")],
    template: Annotated[
        Starter, typer.Option("--template", "-t", help="What to begin with.")
    ] = Starter.BLANK,
    owner: Annotated[
        str | None,
        typer.Option(metavar="TEAM", help="Owning team. Left out: the only team there is."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to. Left out: the specs folder.")
    ] = None,
) -> None:
    """Write a commented spec, numbered after those in the folder, that lints clean.

    Never overwrites anything. Ends with 2 if the plan, or the file, is there already.
    """
    _check_name(name)
    target = folder or specs_folder()
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is not a folder")
    others = _others(target)
    path = target / f"{_next_number(target):03d}-{name}.yaml"
    text = _text(template, name, owner or _owner(others), path)
    _check(text, path, name, others)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path} exists already, it is not overwritten") from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    write(f"{path}\n")


def _check_name(name: str) -> None:
    from planner_provider.spec.values import MAX_PLAN_NAME, NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name) or len(name) > MAX_PLAN_NAME:
        raise UserError(
            f"{name!r} is no name for a plan",
            f"lower-case letters, digits and dashes, {MAX_PLAN_NAME} characters at most",
        )


def _others(folder: Path) -> tuple[SourceFile, ...]:
    from planner_provider.spec.folder import read_files

    return read_files([folder])[0] if folder.is_dir() else ()


def _next_number(folder: Path) -> int:
    names = [item.name for item in folder.iterdir()] if folder.is_dir() else []
    numbers = [int(match[1]) for name in names if (match := re.match(r"(\d{1,6})-", name))]
    return (max(numbers, default=0) // STEP + 1) * STEP


def _owner(others: tuple[SourceFile, ...]) -> str:
    from planner_provider.spec.folder import load

    teams = sorted(load(others, load_options(None)).catalog.teams)
    if len(teams) > 1:
        raise UserError("which team owns the plan?", f"say --owner with one of {', '.join(teams)}")
    return teams[0] if teams else PLACEHOLDER_OWNER


def _text(template: Starter, name: str, owner: str, path: Path) -> str:
    starter = Path(__file__).with_name("starters") / f"{template.value}.yaml"
    schema = next((item.name for item in sorted(path.parent.glob("*.schema.json"))), SCHEMA_FILE)
    text = starter.read_text(encoding="utf-8")
    values = {"NAME": name, "OWNER": owner, "FILE": str(path), "SCHEMA": schema}
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], text)


def _check(text: str, path: Path, name: str, others: tuple[SourceFile, ...]) -> None:
    """Refuse to write what would not lint clean: a bad name, a plan that is there already."""
    from planner_provider.spec.folder import SourceFile, load

    clash = next((item for item in path.parent.glob(f"[0-9]*-{name}.yaml")), None)
    if clash is not None:
        raise UserError(f"{clash} exists already, it is not overwritten")
    file = SourceFile(name=path.name, content=text.encode(), path=None)
    found = load((*others, file), load_options(None)).diagnostics
    for item in found:
        if item.file == file.name:
            raise UserError(f"this would not lint clean: {item.message}", item.hint)
