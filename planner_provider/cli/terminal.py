"""What goes to the terminal: results to stdout, everything else to stderr, colours if wanted."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

OK = 0
FOUND = 1
"""The answer is no: errors were found, or differences with ``--exit-code``."""
USAGE = 2
"""There is no answer: a wrong option, a file that cannot be read, a command that must not go on."""
PIPE_CLOSED = 141
"""Whoever read the output has gone; the code that a shell gives for SIGPIPE."""

MANY_FILES = 200
"""From this number of files on, reading shows a progress bar."""

Progress = Callable[[int, int], None]
"""Told how many of how many files are done."""


class UserError(Exception):
    """Something the user must change; shown as one message, without a traceback."""

    def __init__(self, message: str, hint: str | None = None, code: int = USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


def wants_color() -> bool:
    """Whether stdout takes colours: a terminal, and neither NO_COLOR nor TERM=dumb."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty()


def width() -> int:
    """Columns of the terminal; 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def complain(message: str, hint: str | None = None) -> None:
    """Say on stderr what went wrong and what to do."""
    sys.stderr.write(f"planner: {message}\n")
    if hint:
        sys.stderr.write(f"  hint: {hint}\n")


def write(text: str, output: Path | None = None) -> None:
    """Write a result to stdout, or to a file, which is replaced as a whole or not at all."""
    if output is None:
        _write_stdout(text)
        return
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(output)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {output}: {error.strerror or error}") from error


def _write_stdout(text: str) -> None:
    try:
        sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
        sys.stdout.flush()
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    except BrokenPipeError:
        # Python flushes stdout once more at exit; give it something that takes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from None


@contextmanager
def progress_bar(what: str) -> Iterator[Progress | None]:
    """Show on stderr, if it is a terminal, how far a long piece of work has got."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = _LazyBar(what)
    try:
        yield bar.update
    finally:
        bar.close()


class _LazyBar:
    """A progress bar that appears, and imports rich, only if there is much to do."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._close: Callable[[], None] | None = None
        self._advance: Callable[[int, int], None] | None = None

    def update(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done."""
        if self._advance is None:
            if total <= MANY_FILES:
                return
            self._open(total)
        assert self._advance is not None
        self._advance(done, total)

    def _open(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress as RichProgress

        bar = RichProgress(console=Console(stderr=True), transient=True)
        task = bar.add_task(self._what, total=total)
        bar.start()
        self._advance = lambda done, total: bar.update(task, completed=done, total=total)
        self._close = bar.stop

    def close(self) -> None:
        """Take the bar away."""
        if self._close:
            self._close()
