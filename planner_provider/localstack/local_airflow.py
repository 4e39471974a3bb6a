"""Airflow's four processes on this machine: started, watched, and ended without fail."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from planner_provider.errors import UnavailableError
from planner_provider.localstack.answers import Dag
from planner_provider.localstack.api import AirflowApi, ApiRefusedError, ApiUnavailableError
from planner_provider.localstack.database import prepare_database
from planner_provider.localstack.keeper import Keeper, KeeperError
from planner_provider.localstack.settings import StackSettings

COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    # The order of the start; the end is in reverse. The log servers are left out: all logs are
    # files of this machine, and their ports are fixed.
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
WATCH_SECONDS = 0.3
TAIL_LINES = 25


class AirflowStartError(UnavailableError):
    """The local Airflow did not become ready."""


@dataclass(frozen=True)
class Breakdown:
    """A process that ended without being asked to: which, how, and the end of its log."""

    name: str
    reason: str
    restarted: bool
    log_tail: str

    def __str__(self) -> str:
        what = "and was started again" if self.restarted else "and was not started again"
        return f"{self.reason} {what}; the end of its log:\n{self.log_tail}"


def tell_stderr(breakdown: Breakdown) -> None:
    """Print a breakdown to standard error."""
    print(f"airflow: {breakdown}", file=sys.stderr)


class LocalAirflow:
    """A real Airflow with SQLite and LocalExecutor, reachable from this machine only.

    Use it as a context manager: it has started when the block begins, and nothing of it is left
    when the block ends, whatever ended it; if this process is killed, its keeper does the same.
    A process that ends by itself is told to ``on_breakdown``, kept in :attr:`breakdowns`, and
    started again at most ``restarts`` times.

    ``template_cache`` is a folder for a migrated database that later starts copy. ``grace`` is
    how many seconds a process has between TERM and KILL. With ``remove_home`` the home folder is
    deleted when all has ended, even if this process is killed.
    """

    def __init__(
        self,
        settings: StackSettings,
        *,
        template_cache: Path | None = None,
        restarts: int = 3,
        grace: float = 3.0,
        remove_home: bool = False,
        on_breakdown: Callable[[Breakdown], None] = tell_stderr,
    ) -> None:
        self.settings = settings
        self.breakdowns: list[Breakdown] = []
        self._template_cache = template_cache
        self._keeper: Keeper | None = None
        self._restarts = restarts
        self._grace = grace
        self._remove_home = remove_home
        self._on_breakdown = on_breakdown
        self._environment: dict[str, str] = {}
        self._expected: set[int] = set()
        self._restarted: Counter[str] = Counter()
        self._watching = threading.Event()
        self._watcher: threading.Thread | None = None
        self._lock = threading.RLock()
        self._api: AirflowApi | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def api(self) -> AirflowApi:
        """A client that acts as the first user."""
        if self._api is None:
            user, password = next(iter(self.settings.passwords().items()))
            self._api = AirflowApi(self.settings.url, user, password)
        return self._api

    def api_as(self, user: str) -> AirflowApi:
        """Return a client that acts as another of the users in the settings."""
        return AirflowApi(self.settings.url, user, self.settings.passwords()[user])

    @property
    def environment(self) -> dict[str, str]:
        """The environment of Airflow's processes, for other programs that must share it."""
        return dict(self._environment)

    def log_file(self, name: str) -> Path:
        """Return where the output of a process goes."""
        return self.settings.home / "logs" / f"{name}.log"

    def start(self) -> None:
        """Make the home folder and database, and start the processes. Does not wait for them."""
        self.settings.prepare_home()
        self._environment = self.settings.environment()
        self._keeper = Keeper(grace=self._grace)
        if self._remove_home:
            self._keeper.remove_at_end(self.settings.home)
        prepare_database(self.settings, self._environment, self._keeper, self._template_cache)
        for name in COMMANDS:
            self._start_process(name)
        self._watching.clear()
        self._watcher = threading.Thread(target=self._watch, name="local-airflow", daemon=True)
        self._watcher.start()

    def wait_ready(self, timeout: float = 90.0) -> None:
        """Wait until all four processes have given signs of life.

        Raises :class:`AirflowStartError` after ``timeout`` seconds, or when one has ended for
        good, with the end of its log.
        """
        deadline = time.monotonic() + timeout
        waiting: Sequence[str] = tuple(COMMANDS)
        while True:
            with contextlib.suppress(ApiUnavailableError):
                waiting = self.api.health().unhealthy()
                if not waiting:
                    return
            for breakdown in self.breakdowns:
                if not breakdown.restarted:
                    raise AirflowStartError(str(breakdown))
            if time.monotonic() > deadline:
                tails = "\n".join(f"--- {n}\n{self.log_tail(n)}" for n in waiting if n in COMMANDS)
                raise AirflowStartError(
                    f"not ready after {timeout:.0f} s: {', '.join(waiting)}\n{tails}"
                )
            time.sleep(0.2)

    def wait_dag(self, dag_id: str, timeout: float = 60.0) -> Dag:
        """Wait until a DAG has been parsed; raises :class:`AirflowStartError` with the reasons."""
        deadline = time.monotonic() + timeout
        while True:
            dag = self.api.find_dag(dag_id)
            if dag is not None and not dag.is_stale:
                return dag
            if time.monotonic() > deadline:
                errors = [f"{e.filename}: {e.stack_trace}" for e in self.api.import_errors()]
                known = ", ".join(d.dag_id for d in self.api.dags()) or "none"
                raise AirflowStartError(
                    f"DAG {dag_id} has not appeared after {timeout:.0f} s; known: {known}"
                    + "".join(f"\n{error}" for error in errors)
                )
            time.sleep(0.2)

    def log_tail(self, name: str, lines: int = TAIL_LINES) -> str:
        """Return the last lines that a process wrote."""
        try:
            text = self.log_file(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no output)"
        return "\n".join(text.splitlines()[-lines:])

    def process(self, name: str) -> psutil.Process:
        """Return a running process; raises :class:`KeeperError` if it is not running."""
        pid = self._running_keeper().process_id(name)
        if pid is None:
            raise KeeperError(f"{name} is not running")
        return psutil.Process(pid)

    def processes(self) -> list[psutil.Process]:
        """Return every living process of this Airflow, with tasks and orphans."""
        return [] if self._keeper is None else self._keeper.below()

    def kill(self, name: str, number: int) -> None:
        """Send a signal to one process and nothing below it; it is not started again for that."""
        with self._lock:
            self._expected.add(self.process(name).pid)
            self._running_keeper().signal(name, number)

    def start_again(self, name: str) -> None:
        """Start a process that has ended; what it left behind stays as it is."""
        with self._lock:
            self._await_end(name)
            self._start_process(name)

    def restart(self, name: str, *, grace: float | None = None) -> None:
        """End one process with everything below it, and start it again."""
        with self._lock:
            keeper = self._running_keeper()
            with contextlib.suppress(KeeperError):
                self._expected.add(self.process(name).pid)
            keeper.stop(name, grace=self._grace if grace is None else grace)
            self._start_process(name)

    def stop(self) -> None:
        """End all processes and what is below them; may be called at any time, and twice."""
        self._watching.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        if self._api is not None:
            self._api.close()
            self._api = None
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close()

    def _running_keeper(self) -> Keeper:
        if self._keeper is None:
            raise KeeperError("this Airflow has not been started")
        return self._keeper

    def _start_process(self, name: str) -> None:
        self._running_keeper().start(
            name,
            [sys.executable, "-m", "airflow", *COMMANDS[name]],
            env=self._environment,
            cwd=self.settings.home,
            log=self.log_file(name),
        )

    def _await_end(self, name: str, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while self._running_keeper().process_id(name) is not None:
            if time.monotonic() > deadline:
                raise KeeperError(f"{name} still runs")
            time.sleep(0.05)

    def _watch(self) -> None:
        while not self._watching.wait(WATCH_SECONDS):
            try:
                with self._lock:
                    self._look_after_exits()
            except (KeeperError, ApiRefusedError) as error:
                print(f"airflow: {error}", file=sys.stderr)
                return

    def _look_after_exits(self) -> None:
        for ended in self._running_keeper().take_exits():
            if ended.pid in self._expected:
                self._expected.discard(ended.pid)
                continue
            again = self._restarted[ended.name] < self._restarts
            breakdown = Breakdown(ended.name, str(ended), again, self.log_tail(ended.name))
            if again:
                self._restarted[ended.name] += 1
                self._start_process(ended.name)
            self.breakdowns.append(breakdown)
            self._on_breakdown(breakdown)
