"""``airflow planner ...``: the same commands within Airflow's own command line.

``provider_info`` names ``airflow_commands`` under its ``cli`` key. This is the only module of the
command line that imports Airflow, and only when Airflow asks for its commands.
"""

from __future__ import annotations

import inspect
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

from planner_provider.cli.parameters import CommandParameter, parameters


def airflow_commands() -> list[Any]:
    """The group ``planner`` with one command, or group, for each of ``planner``'s own."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    from planner_provider.cli.main import COMMANDS, EXIT_CODES, GROUPS

    commands: list[Any] = []
    grouped: dict[str, list[Any]] = {name: [] for name in GROUPS}
    for name, command in COMMANDS.items():
        group, _, own = name.rpartition(" ")
        text = inspect.getdoc(command) or name
        taken = parameters(command)
        (grouped[group] if group else commands).append(
            ActionCommand(
                name=own,
                help=text.splitlines()[0].rstrip("."),
                description=text,
                func=_runner(name, taken),
                args=[Arg(**_argument(parameter)) for parameter in taken],
            )
        )
    commands += [
        GroupCommand(name=name, help=GROUPS[name].rstrip("."), subcommands=found)
        for name, found in grouped.items()
    ]
    return [
        GroupCommand(
            name="planner",
            help="Check, explain, draw and compare plans; see and stop what runs",
            description="The commands of `planner`, which also runs by itself.",
            epilog=EXIT_CODES,
            subcommands=commands,
        )
    ]


def _runner(command: str, taken: tuple[CommandParameter, ...]) -> Callable[[Namespace], None]:
    def run_command(args: Namespace) -> None:
        from planner_provider.cli.main import run

        _name_ledger()
        code = run([*command.split(), *_argv(taken, args)])
        if code:
            sys.exit(code)

    return run_command


def _name_ledger() -> None:
    """Let the command find the ledger where Airflow's configuration says, in all its ways."""
    from airflow.configuration import conf

    from planner_provider.ledger.location import ENV_VAR

    configured = conf.get("planner", "sql_alchemy_conn", fallback="")
    if configured:
        os.environ.setdefault(ENV_VAR, configured)


def _argument(parameter: CommandParameter) -> dict[str, Any]:
    """What argparse needs to know of a parameter; Airflow sorts options by their last flag."""
    said: dict[str, Any] = {"help": parameter.help.replace("%", "%%")}
    if not parameter.flags:
        nargs = "*" if parameter.many else None if parameter.required else "?"
        return {"flags": (parameter.name,), **said, **({"nargs": nargs} if nargs else {})}
    said |= {"flags": parameter.flags, "dest": parameter.name}
    if parameter.is_switch:
        said["action"] = "store_true"
    elif parameter.many:
        said["action"] = "append"
    elif parameter.choices:
        said["choices"] = list(parameter.choices)
    return said


def _argv(taken: tuple[CommandParameter, ...], args: Namespace) -> Iterator[str]:
    """What was parsed, written out again for ``planner``."""
    positional: list[str] = []
    for parameter in taken:
        value = getattr(args, parameter.name, None)
        if value is None or value is False:
            continue
        values = value if isinstance(value, list) else [value]
        if not parameter.flags:
            positional += map(str, values)
        elif parameter.is_switch:
            yield parameter.flags[-1]
        else:
            for item in values:
                yield f"{parameter.flags[-1]}={item}"
    if positional:
        yield from ("--", *positional)
