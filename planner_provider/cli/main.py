"""``planner``: the commands, and how they end."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence

import typer

from planner_provider.cli import (
    abort,
    audit,
    backfill,
    calendar,
    calendar_changes,
    conflicts,
    diff,
    explain,
    history,
    hold,
    lint,
    locks,
    new,
    render,
    replay,
    report,
    schema,
    show,
    throttle,
    upgrade,
)
from planner_provider.cli.terminal import USAGE, UserError, complain
from planner_provider.errors import PlannerError

EXIT_CODES = """\
Exit codes. 0: done, nothing wrong. 1: the answer is no (lint, explain, render: the specs have
errors; diff with --exit-code or --fail-on-weaker: there is such a difference; audit verify: the
trail is broken; replay: the verdict differs; calendar check: a case fails; calendar next: it never
opens; conflicts: something is in the way; abort, hold, resume, throttle set, locks --release: the
run does not allow it). 2: there is no answer (wrong option, file not found, file exists already; no
ledger that can be read; diff: the specs have errors). 130: interrupted. 141: the reader of the
output has gone.
"""

app = typer.Typer(
    name="planner",
    help="Check, explain, draw and compare plans for production changes; see and stop what runs.",
    epilog=EXIT_CODES.replace("\n", " "),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from planner_provider import __version__

        sys.stdout.write(f"planner {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and end."
    ),
) -> None:
    """Check, explain, draw and compare plans for production changes; see and stop what runs."""


COMMANDS: dict[str, Callable[..., None]] = {
    "lint": lint.lint,
    "explain": explain.explain,
    "render": render.render,
    "diff": diff.diff,
    "schema": schema.schema,
    "new": new.new,
    "history": history.history,
    "report": report.report,
    "show": show.show,
    "locks": locks.locks,
    "conflicts": conflicts.conflicts,
    "abort": abort.abort,
    "hold": hold.hold,
    "resume": hold.resume,
    "replay": replay.replay,
    "backfill": backfill.backfill,
    "audit verify": audit.verify,
    "audit show": audit.show,
    "audit head": audit.head,
    "throttle show": throttle.show,
    "throttle set": throttle.change,
    "calendar next": calendar.next_,
    "calendar expand": calendar.expand,
    "calendar why": calendar.why,
    "calendar check": calendar.check,
    "calendar export": calendar.export,
    "calendar freeze": calendar_changes.freeze,
    "calendar override": calendar_changes.override,
    "calendar changes": calendar_changes.changes,
    "calendar withdraw": calendar_changes.withdraw,
    "ledger upgrade": upgrade.upgrade,
}
"""Name -> command. Two words: a group and a command in it."""
GROUPS: dict[str, str] = {
    "audit": "Check and print the audit trail.",
    "throttle": "See how much a long step does at once, and change it while it works.",
    "calendar": "See when calendars are open, check them, freeze and override them.",
    "ledger": "Look after the ledger itself.",
}


def _register() -> None:
    groups = {
        name: typer.Typer(name=name, help=text, no_args_is_help=True)
        for name, text in GROUPS.items()
    }
    for name, command in COMMANDS.items():
        group, _, own = name.rpartition(" ")
        (groups[group] if group else app).command(own)(command)
    for group, commands in groups.items():
        app.add_typer(commands, name=group)


_register()


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        app(args=list(argv) if argv is not None else None, prog_name="planner")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except UserError as error:
        complain(error.message, error.hint)
        return error.code
    except PlannerError as error:
        complain(str(error))
        return USAGE
    except KeyboardInterrupt:
        return 130
    return 0


def main() -> None:
    """Entry point of the ``planner`` script."""
    # Start-up time: looking for pydantic plugins of other packages takes 40 ms, and the garbage
    # collector finds nothing to collect while models are built and specs are read.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(100_000, 20, 20)
    sys.exit(run())


if __name__ == "__main__":
    main()
