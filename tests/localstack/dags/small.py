"""DAGs for the tests of the local Airflow itself."""

import os
import subprocess
import time
from pathlib import Path

from airflow.sdk import DAG, task

with DAG("small", schedule=None, params={"number": 1}, doc_md="two tasks"):

    @task
    def first(params: dict[str, int]) -> dict[str, int]:
        """Say something and hand on a number."""
        print("a word in the log")
        return {"number": params["number"]}

    @task
    def second(given: dict[str, int]) -> int:
        """Add one."""
        return given["number"] + 1

    second(first())

with DAG("long", schedule=None):

    @task
    def sleep_long() -> None:
        """Run for minutes, with a program below, and write down both process ids."""
        with subprocess.Popen(["sleep", "600"], start_new_session=True) as program:
            Path(os.environ["PIDS_FILE"]).write_text(f"{os.getpid()} {program.pid}")
            time.sleep(600)

    sleep_long()
