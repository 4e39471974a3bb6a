"""``python -m planner_provider.sandbox``: run the sandbox as a process until SIGTERM or Ctrl-C.

Exit codes: 0 stopped as asked, 2 it could not start.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from planner_provider.errors import MisconfiguredError
from planner_provider.sandbox.config import WorldConfig, default_world
from planner_provider.sandbox.running import Sandbox

LOOPBACK = "127.0.0.1"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m planner_provider.sandbox",
        description="A simulated production of a few services over HTTP. GET / lists the paths.",
    )
    add = parser.add_argument
    add("--port", type=int, default=0, help="port to listen on; 0, the default, takes a free one")
    add(
        "--listen", metavar="ADDRESS", default=LOOPBACK,
        help="address to listen on; only this machine unless given (there is no authentication)",
    )  # fmt: skip
    add("--db", type=Path, metavar="FILE", help="SQLite file for request counts and the shop")
    add("--state", type=Path, metavar="FILE", help="keep the world over restarts in this file")
    add("--config", type=Path, metavar="FILE", help="JSON with other services and flags")
    add("--seed", type=int, default=1, help="the same seed and calls give the same requests")
    add("--speed", type=float, default=1.0, help="60 makes a minute pass each second (0.01 to 600)")
    add("--stepped", action="store_true", help="stop the clock; POST /sim/advance moves it")
    add("--portfile", type=Path, metavar="FILE", help="write the port to this file when ready")
    add("--verbose", action="store_true", help="log each call to standard error")
    return parser


def _config(path: Path | None) -> WorldConfig:
    if path is None:
        return default_world()
    try:
        return WorldConfig.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise MisconfiguredError(f"cannot use the configuration {path}: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; return the exit code."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        sandbox = Sandbox(
            seed=options.seed, stepped=options.stepped, speed=options.speed, db=options.db,
            state=options.state, config=_config(options.config), listen=options.listen,
            port=options.port, verbose=options.verbose,
        )  # fmt: skip
        with sandbox:
            _announce(sandbox, options.portfile)
            stop.wait()
    except (MisconfiguredError, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    finally:
        if options.portfile is not None:
            options.portfile.unlink(missing_ok=True)
    return 0


def _announce(sandbox: Sandbox, portfile: Path | None) -> None:
    if portfile is not None:
        fresh = portfile.with_name(portfile.name + ".new")
        fresh.write_text(f"{sandbox.port}\n", encoding="ascii")
        os.replace(fresh, portfile)  # noqa: PTH105
    print(f"sandbox ready at {sandbox.url}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
