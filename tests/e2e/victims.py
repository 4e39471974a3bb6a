"""The processes of a local Airflow that a test kills, found by who started them."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Literal

import psutil

from planner_provider.localstack.keeper import is_alive
from planner_provider.localstack.local_airflow import COMMANDS, LocalAirflow

Victim = Literal["child", "supervisor", "triggerer", "scheduler", "api-server"]
VICTIMS: tuple[Victim, ...] = ("child", "supervisor", "triggerer", "scheduler", "api-server")
DOWN_SECONDS = 1.0
"""How long a part of Airflow stays down before it is started again."""


def kill(airflow: LocalAirflow, victim: Victim, within: float) -> bool:
    """Kill, and start again what does not come back by itself.

    A task's process, and the one that supervises it, is waited for ``within`` so many seconds;
    ``False`` if there was none.
    """
    if victim == "child" or victim == "supervisor":
        return _kill_task(airflow, victim, within)
    airflow.kill(victim, signal.SIGKILL)
    time.sleep(DOWN_SECONDS)
    airflow.start_again(victim)
    return True


def _kill_task(
    airflow: LocalAirflow, victim: Literal["child", "supervisor"], within: float
) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        for supervisor, child in running_tasks(airflow):
            with contextlib.suppress(psutil.NoSuchProcess):
                (child if victim == "child" else supervisor).kill()
                return True
        time.sleep(0.02)
    return False


def running_tasks(airflow: LocalAirflow) -> list[tuple[psutil.Process, psutil.Process]]:
    """Each worker of the scheduler that has a task, and the process of that task."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for worker in airflow.process("scheduler").children():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [(worker, child) for child in worker.children() if is_alive(child)]
    return found


def sweep(airflow: LocalAirflow) -> int:
    """End what killed parts left behind, as a service manager would; give how many there were."""
    ours = {airflow.process(name).pid for name in COMMANDS}
    known = set(ours)
    for pid in ours:
        known |= {process.pid for process in psutil.Process(pid).children(recursive=True)}
    left = [process for process in airflow.processes() if process.pid not in known]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return len(left)
