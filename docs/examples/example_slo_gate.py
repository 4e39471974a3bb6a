"""Work between two SLO gates: begin when the service is healthy, end when it stayed so.

Connections: ``sandbox`` (type http) and ``prometheus`` (type http). The SLOs are in ``slos.yaml``
beside this file; any OpenSLO v1 documents will do.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG

from planner_provider.operators.http import HttpActionOperator
from planner_provider.sensors.slo_gate import SLOGateSensor
from planner_provider.spec.actions import Budget

SLOS = ["checkout-availability"]
DOCUMENTS = str(Path(__file__).with_name("slos.yaml"))

with DAG(dag_id="example_slo_gate", schedule=None, tags=["example"]) as dag:
    # `once`: now. With `budget`, a fifth of the error budget must be left.
    room = SLOGateSensor(
        task_id="room",
        slos=SLOS,
        documents=DOCUMENTS,
        budget=Budget(min_remaining=0.2),
    )
    # `wait`: as soon as it holds, for an hour at most, without holding a worker.
    healthy = SLOGateSensor(
        task_id="healthy",
        slos=SLOS,
        documents=DOCUMENTS,
        mode="wait",
        timeout=timedelta(hours=1),
        every=timedelta(minutes=1),
    )
    work = HttpActionOperator(
        task_id="work",
        connection="sandbox",
        method="PUT",
        path="/services/checkout/replicas",
        body={"replicas": 4},
    )
    # `hold`: for all of ten minutes; the first breach ends it.
    stays = SLOGateSensor(
        task_id="stays_healthy",
        slos=SLOS,
        documents=DOCUMENTS,
        mode="hold",
        hold_for=timedelta(minutes=10),
    )
    room >> healthy >> work >> stays
