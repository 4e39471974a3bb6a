"""``make demo``: a real Airflow, a simulated production, and one plan that runs between them.

Options are read from the environment: ``PLAN`` (DAG id, default ``demo-release``), ``PORT`` (of
the UI, default a free one), ``KEEP_HOME`` (a folder for Airflow's files that is kept), ``ONCE=1``
(stop when the plan has ended, also at a terminal), ``SPEED`` and ``SEED`` of the sandbox,
``TIMEOUT`` (seconds that the plan may take, default 600), ``DIE_WITH_PARENT=1`` (end when the
process that started this one is gone; ``make`` sets it).

Exit codes: 0 the outcome is ``succeeded``; 1 it is not, or something could not be started; 128
plus the signal's number when it was told to end before.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape

from planner_provider.errors import MisconfiguredError, PlannerError
from planner_provider.localstack.api import AirflowApi
from planner_provider.localstack.follow import Look, follow
from planner_provider.localstack.keeper import Keeper
from planner_provider.localstack.keeper_process import PR_SET_PDEATHSIG, set_process_option
from planner_provider.localstack.local_airflow import AirflowStartError, LocalAirflow
from planner_provider.localstack.sandbox_process import RunningSandbox, start_sandbox
from planner_provider.localstack.settings import StackSettings, free_port

DEFAULT_PLAN = "demo-release"
FINISH_TASK = "finish"
OUTCOME_KEY = "outcome"
LOG_TAIL_LINES = 30


@dataclass(frozen=True)
class DemoOptions:
    """What the demo was asked for."""

    root: Path
    plan: str = DEFAULT_PLAN
    port: int = 0
    keep_home: Path | None = None
    once: bool = True
    seed: int = 1
    speed: float = 1.0
    timeout: float = 600.0

    @classmethod
    def read(cls, env: Mapping[str, str], root: Path, *, terminal: bool) -> DemoOptions:
        """Read the options; raises :class:`MisconfiguredError` naming the one that is wrong."""
        keep = env.get("KEEP_HOME")
        return cls(
            root=root,
            plan=env.get("PLAN") or DEFAULT_PLAN,
            port=int(read_number(env, "PORT", 0)),
            keep_home=Path(keep).absolute() if keep else None,
            once=not terminal or env.get("ONCE", "") not in ("", "0"),
            seed=int(read_number(env, "SEED", 1)),
            speed=read_number(env, "SPEED", 1.0),
            timeout=read_number(env, "TIMEOUT", 600.0),
        )


def read_number(env: Mapping[str, str], name: str, default: float) -> float:
    """Return a number from the environment, or the default if it is not set."""
    text = env.get(name, "")
    try:
        number = float(text) if text else default
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:  # also false for NaN
        raise MisconfiguredError(f"{name}={text}: give a number that is not negative")
    return number


class Demo:
    """One run of the demo, from nothing to the plan's outcome."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self.options = options
        self.console = console
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line with the time since the start."""
        self.console.print(f"[dim]{time.monotonic() - self._started:5.1f} s[/]  {text}")

    def run(self) -> int:
        """Run the demo and return the exit code. Nothing is left when it returns or raises."""
        options = self.options
        for folder in ("plan_specs", "dags"):
            if not (options.root / folder).is_dir():
                raise MisconfiguredError(f"there is no {folder}/ in {options.root}")
        with ExitStack() as stack:
            keeper = stack.enter_context(Keeper(grace=3.0))
            sandbox_folder = self._folder("sandbox")
            if options.keep_home is None:
                keeper.remove_at_end(sandbox_folder)
            sandbox = start_sandbox(keeper, sandbox_folder, seed=options.seed, speed=options.speed)
            self.say(f"sandbox: a simulated production at {sandbox.url}")
            airflow = stack.enter_context(self._airflow(sandbox))
            self.say("Airflow: the four processes start")
            airflow.wait_ready()
            self.say(f"Airflow is ready at {airflow.settings.url}")
            return self._run_plan(airflow, keeper)

    def _folder(self, name: str) -> Path:
        if self.options.keep_home is None:
            return Path(tempfile.mkdtemp(prefix=f"planner-demo-{name}-"))
        folder = self.options.keep_home / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _airflow(self, sandbox: RunningSandbox) -> LocalAirflow:
        options = self.options
        settings = StackSettings(
            home=self._folder("airflow"),
            dags=options.root / "dags",
            specs=options.root / "plan_specs",
            port=options.port or free_port(),
            env={
                **sandbox.connections(),
                # A busy laptop is no reason to give up a task.
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "90",
            },
        )
        return LocalAirflow(
            settings,
            template_cache=options.root / ".demo",
            remove_home=options.keep_home is None,
            on_breakdown=lambda breakdown: self.say(f"[red]Airflow: {escape(str(breakdown))}[/]"),
        )

    def _run_plan(self, airflow: LocalAirflow, keeper: Keeper) -> int:
        plan, api = self.options.plan, airflow.api
        wait_for_plan(airflow, plan)
        run = api.trigger(plan)
        page = f"{airflow.settings.url}/dags/{plan}/runs/{run.run_id}"
        self.say(f"plan {plan} is triggered; its page in Airflow: {page}")
        self.say(f"the Plans page: {airflow.settings.url}/planner/")
        user, password = next(iter(airflow.settings.passwords().items()))
        self.say(f"log in as [bold]{user}[/] with the password [bold]{escape(password)}[/]")

        def watch() -> None:
            for ended in keeper.take_exits():
                raise AirflowStartError(f"{ended} while the plan ran")

        last = follow(
            api, plan, run.run_id, self.console, timeout=self.options.timeout, watch=watch
        )
        outcome = read_outcome(api, last)
        good = outcome == "succeeded" and last.run.state == "success"
        if not good:
            self._explain(api, last)
        self.say(f"outcome of {plan}: [bold {'green' if good else 'red'}]{outcome}[/]")
        if not self.options.once:
            self.say(
                f"Plans: {airflow.settings.url}/planner/   user: {user}   "
                f"password: {escape(password)}"
            )
            ledger = airflow.settings.home / "planner.db"
            self.say(f"in another terminal: .venv/bin/planner history --ledger {ledger}")
            self.say("Everything keeps running. Ctrl-C ends it.")
            self._wait_for_interrupt(keeper)
        return 0 if good else 1

    def _explain(self, api: AirflowApi, last: Look) -> None:
        for task in last.tasks:
            if task.state == "failed":
                log = api.task_log(
                    last.run.dag_id, last.run.run_id, task.task_id, task.try_number, task.map_index
                )
                self.say(f"[red]{task.label} failed; the end of its log:[/]")
                self.console.out("\n".join(log.splitlines()[-LOG_TAIL_LINES:]), highlight=False)

    def _wait_for_interrupt(self, keeper: Keeper) -> None:
        try:
            while not keeper.take_exits():
                time.sleep(0.5)
            self.say("[red]the sandbox has ended[/]")
        except KeyboardInterrupt:
            self.say("ending what was started")


def wait_for_plan(airflow: LocalAirflow, plan: str, timeout: float = 60.0) -> None:
    """Wait until Airflow knows the plan; raises with the import errors if there are any."""
    deadline = time.monotonic() + timeout
    while True:
        known = airflow.api.find_dag(plan) is not None
        if errors := airflow.api.import_errors():
            raise MisconfiguredError(
                "Airflow cannot import these files:\n"
                + "\n".join(f"{error.filename}\n{error.stack_trace}" for error in errors)
            )
        if known:
            return
        if time.monotonic() > deadline:
            plans = ", ".join(sorted(dag.dag_id for dag in airflow.api.dags())) or "none"
            raise MisconfiguredError(f"Airflow knows no plan {plan}. It knows: {plans}")
        time.sleep(0.3)


def read_outcome(api: AirflowApi, last: Look) -> str:
    """Return the plan's outcome as its last task recorded it."""
    value = api.xcom(last.run.dag_id, last.run.run_id, FINISH_TASK, OUTCOME_KEY)
    return str(value) if value is not None else f"not recorded (the run is {last.run.state})"


def end_politely(number: int, _frame: FrameType | None) -> None:
    """Turn TERM and HUP into an exit that runs through every ``finally``."""
    raise SystemExit(128 + number)


def main() -> int:
    """Run the demo as the environment says."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_politely)
    if os.environ.get("DIE_WITH_PARENT") == "1":
        set_process_option(PR_SET_PDEATHSIG, signal.SIGTERM)
    console = Console(soft_wrap=True, highlight=False)
    root = Path(__file__).resolve().parents[2]
    try:
        options = DemoOptions.read(os.environ, root, terminal=sys.stdout.isatty())
        return Demo(options, console).run()
    except (PlannerError, TimeoutError) as error:
        console.print(f"[bold red]demo:[/] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; everything has been ended")
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
