"""What the calendar commands are given: a calendar by name or file, moments, lengths of work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from planner_provider.cli.inputs import read_specs, say_errors, specs_folder
from planner_provider.cli.terminal import FOUND, UserError

if TYPE_CHECKING:
    from planner_provider.graph.calendars import PlanCalendar
    from planner_provider.spec.catalog import Catalog


def specs_of(folder: Path | None, *, needed: bool = True) -> Catalog:
    """The documents of the specs. Not ``needed``: none if there is no folder of specs."""
    from planner_provider.spec.catalog import Catalog

    path = folder or specs_folder()
    if not needed:
        return Catalog()
    specs = read_specs([path])
    say_errors(specs, None)
    return specs.specs.catalog


def find_calendar(name: str, folder: Path | None) -> PlanCalendar:
    """A calendar of the specs by its name, or the one in a file. Raises ``UserError``."""
    from planner_provider.graph.calendars import resolve_calendar

    file, _, inner = name.rpartition(":")
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        file, inner = name, ""
    if file:
        return _of_file(Path(file), inner)
    catalog = specs_of(folder)
    if name not in catalog.calendars:
        raise _unknown(name, catalog, f"in {folder or specs_folder()}")
    return resolve_calendar(name, catalog)


def _of_file(path: Path, name: str) -> PlanCalendar:
    from planner_provider.graph.calendars import resolve_calendar

    specs = read_specs([path], siblings=True)
    say_errors(specs, None)
    if specs.errors:
        raise UserError("the specs have errors, see above", code=FOUND)
    catalog = specs.specs.catalog
    own = [found for found in catalog.calendars if _stands_in(path, found)]
    if name and name in catalog.calendars:
        return resolve_calendar(name, catalog)
    if name or not own:
        raise _unknown(name or "?", catalog, f"in {path}")
    if len(own) > 1:
        raise UserError(
            f"{path} holds {len(own)} calendars",
            f"name one: {path}:{own[0]}; it has {', '.join(own)}",
        )
    return resolve_calendar(own[0], catalog)


def _stands_in(path: Path, name: str) -> bool:
    """Whether a calendar of this name is defined in this very file."""
    from planner_provider.spec.reader import read_documents

    return any(
        isinstance(document.data, dict)
        and document.data.get("kind") == "Calendar"
        and isinstance(document.data.get("metadata"), dict)
        and document.data["metadata"].get("name") == name
        for document in read_documents(str(path), path.read_bytes()).documents
    )


def _unknown(name: str, catalog: Catalog, where: str) -> UserError:
    from planner_provider.spec.suggest import did_you_mean

    known = sorted(catalog.calendars)
    listed = f"calendars: {', '.join(known)}" if known else "there is none"
    return UserError(f"there is no calendar {name} {where}", did_you_mean(name, known) or listed)


def plans_with_calendars(folder: Path | None) -> list[tuple[str, PlanCalendar]]:
    """The plans that start by a calendar, with it."""
    from planner_provider.graph.calendars import resolve_calendar

    specs = read_specs([folder or specs_folder()])
    say_errors(specs, None)
    found = []
    for document in specs.specs.plans:
        schedule = document.plan.spec.schedule
        if schedule is not None and schedule.calendar is not None:
            calendar = resolve_calendar(schedule.calendar, specs.specs.catalog)
            found.append((document.plan.metadata.name, calendar))
    if not found:
        raise UserError("no plan of these specs starts by a calendar", code=FOUND)
    return found


def moment_of(text: str | None, timezone: str) -> datetime:
    """A moment from the command line: now if none is given; local if it names no zone."""
    if text is None:
        return datetime.now(UTC)
    from planner_provider.decide.windows.local_time import moment, read_instant, zone

    try:
        return moment(read_instant(text, zone(timezone)))
    except ValueError:
        raise UserError(
            f"'{text}' is not a moment",
            "such as 2026-11-01T22:00Z, or 2026-11-01T22:00 for local time",
        ) from None


def work_of(text: str | None) -> timedelta | None:
    """A length of work from the command line."""
    if text is None:
        return None
    from planner_provider.spec.values import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UserError(str(error)) from None
