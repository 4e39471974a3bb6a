"""``planner report``: what a week or a month was like, for people who answer for plans."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from planner_provider.cli.ledger_access import (
    AsJson,
    LedgerUrl,
    json_text,
    now,
    open_reports,
    url_of,
)
from planner_provider.cli.terminal import UserError, width, write

if TYPE_CHECKING:
    from planner_provider.metrics.report import Report

WEEK, MONTH = timedelta(days=7), timedelta(days=30)


def report(
    week: Annotated[
        bool, typer.Option("--week", help="The last seven days; so if neither is given.")
    ] = False,
    month: Annotated[bool, typer.Option("--month", help="The last thirty days.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="For a document or a message.")
    ] = False,
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """Tell how plans did: figures with their change, what waits, what failed, what is stale."""
    if week and month:
        raise UserError("--week and --month are two periods", "give one of them")
    if markdown and json_:
        raise UserError("--markdown and --json are two forms", "give one of them")
    found = _read(ledger, MONTH if month else WEEK)
    from planner_provider.cli import report_text

    if json_:
        write(json_text(report_text.as_json(found)))
    elif markdown:
        write(report_text.as_markdown(found))
    else:
        write(report_text.as_text(found, width()))


def _read(ledger: str | None, length: timedelta) -> Report:
    from planner_provider.metrics.reader import MetricsReader
    from planner_provider.metrics.report import report as work_out

    open_reports(ledger)  # says best what is wrong with it
    return work_out(MetricsReader.open(url_of(ledger)).read(now()), length)
