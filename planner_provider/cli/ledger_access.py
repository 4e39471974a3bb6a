"""How the commands find the ledger, and the run that is meant."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.terminal import UserError

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger
    from planner_provider.ledger.reports import Reports, Story

WHERE = "name it with --ledger URL, or set AIRFLOW__PLANNER__SQL_ALCHEMY_CONN or AIRFLOW_HOME"

LedgerUrl = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="URL",
        help="SQLAlchemy URL of the ledger. Left out: AIRFLOW__PLANNER__SQL_ALCHEMY_CONN, else "
        "airflow.cfg, else planner.db in AIRFLOW_HOME.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="WHEN",
        help="Not older than: 90m, 12h, 7d, or a date or time (UTC).",
    ),
]


def url_of(ledger: str | None) -> str:
    """The URL that was given, or the one that is configured."""
    from planner_provider.ledger.location import ledger_url

    if ledger and "://" not in ledger and Path(ledger).is_file():
        return f"sqlite:///{Path(ledger).absolute()}"
    return ledger or ledger_url(os.environ)


def open_reports(ledger: str | None) -> Reports:
    """Open the ledger for reading. Raises ``UserError`` if there is none that can be read."""
    from planner_provider.errors import PlannerError
    from planner_provider.ledger.reports import Reports

    try:
        return Reports.open(url_of(ledger))
    except PlannerError as error:
        raise UserError(str(error), WHERE) from error


def open_for_writing(ledger: str | None) -> Ledger:
    """Open a ledger that is there already; it is never made or upgraded by this."""
    from planner_provider.ledger import Ledger

    open_reports(ledger)
    return Ledger(url_of(ledger), auto_upgrade=False)


def find_plan_id(reports: Reports, given: str) -> str:
    """The plan ID that is meant by it, or by the beginning of it.

    Raises ``UserError`` if there is none, or more than one.
    """
    found = reports.plan_ids(given, limit=6) if given else ()
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"no run has a plan ID that is or begins with {given!r} in the ledger at "
            f"{reports.place}",
            "`planner history` lists the runs",
        )
    shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
    raise UserError(f"{given!r} is the beginning of several plan IDs: {shown}", "write more of it")


def find_story(reports: Reports, given: str) -> Story:
    """All about the run that is meant."""
    story = reports.story(find_plan_id(reports, given))
    if story is None:
        raise UserError(f"the run {given} has just gone from the ledger")
    return story


def moment_since(text: str | None, now: datetime) -> datetime | None:
    """The moment that ``--since`` means. Raises ``UserError``."""
    if text is None:
        return None
    from planner_provider.spec.values import parse_duration

    try:
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"--since {text!r} is neither a duration nor a moment",
            "such as 90m, 12h, 7d, 2026-03-29, 2026-03-29T01:30 (UTC)",
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def given_reason(text: str) -> str:
    """What ``--reason`` says. Raises ``UserError`` if it says nothing."""
    if not text.strip():
        raise UserError("--reason is empty", "say why, for those who read this tomorrow")
    return text.strip()


def os_user() -> str:
    """Who types, as an actor in the ledger: ``cli:<user>``."""
    import getpass

    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError, ImportError):
        return f"cli:uid {os.getuid()}"


def json_text(value: Any) -> str:
    """JSON for programs: times in ISO 8601, UTC."""
    import json

    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
