"""Local Airflows for the tests in this folder."""

import time
from collections.abc import Callable
from pathlib import Path

from planner_provider.localstack import LocalAirflow
from planner_provider.localstack.settings import StackSettings

DAGS = Path(__file__).parent / "dags"


def small_airflow(home: Path, cache: Path, **options: object) -> LocalAirflow:
    """Return a local Airflow with the DAGs of this folder; it has not been started."""
    settings = StackSettings(
        home=home, dags=DAGS, env={"PIDS_FILE": str(home / "pids")}, parallelism=4
    )
    return LocalAirflow(settings, template_cache=cache, **options)  # type: ignore[arg-type]


def until(condition: Callable[[], object], seconds: float = 30.0) -> bool:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def pids_of_long_task(airflow: LocalAirflow) -> list[int]:
    """Start the DAG ``long`` and return the ids of its task's process and of its program."""
    airflow.wait_dag("long")
    airflow.api.trigger("long")
    file = airflow.settings.home / "pids"
    assert until(lambda: file.exists() and len(file.read_text().split()) == 2, 60)
    return [int(word) for word in file.read_text().split()]
