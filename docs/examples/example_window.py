"""Work that may only be done in a maintenance window, in a DAG that is started by hand at any time.

Connection: ``sandbox`` (type http). The calendar is a document of kind ``Calendar``; freezes and
overrides that people add with ``planner calendar freeze`` and ``override`` count, by its name.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from planner_provider.operators.http import HttpActionOperator
from planner_provider.sensors.window import WindowSensor

NIGHTS = {
    "apiVersion": "planner/v1",
    "kind": "Calendar",
    "metadata": {"name": "weekday-nights"},
    "spec": {
        "timezone": "Europe/Berlin",
        "windows": [{"days": ["mon", "tue", "wed", "thu"], "from": "22:00", "to": "02:00"}],
        "cutoff": "30m",
    },
}

with DAG(dag_id="example_window", schedule=None, tags=["example"]) as dag:
    # Deferred until an opening in which 45 minutes are left; after a day it gives up.
    window = WindowSensor(
        task_id="window", calendar=NIGHTS, needs=timedelta(minutes=45), timeout=timedelta(days=1)
    )
    work = HttpActionOperator(
        task_id="work",
        connection="sandbox",
        method="PUT",
        path="/flags/maintenance",
        body={"enabled": True},
    )
    window >> work
