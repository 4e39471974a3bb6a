"""A program that owns a local Airflow with a task under way, until it is killed.

Arguments: home folder, cache folder. Prints the ids of all processes, then waits.
"""

import sys
import time
from pathlib import Path

from tests.localstack.stacks import pids_of_long_task, small_airflow


def main() -> None:
    """Start, print, wait."""
    home, cache = map(Path, sys.argv[1:3])
    with small_airflow(home, cache, remove_home=True) as airflow:
        airflow.wait_ready()
        pids = pids_of_long_task(airflow)
        found = [process.pid for process in airflow.processes()]
        assert set(pids) <= set(found)
        print(*found, flush=True)
        time.sleep(600)


if __name__ == "__main__":
    main()
