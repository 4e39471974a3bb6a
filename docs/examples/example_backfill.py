"""Run past partitions of a DAG again, a few at a time.

Connection: ``airflow_api`` (type http, with a user of the Airflow that the DAG is in). Partitions
and throttle are kept in the ledger also without a plan.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from planner_provider.operators.backfill import BackfillOperator
from planner_provider.spec.workloads import Throttle

PARAMS = {
    "begin": Param("2026-11-01T00:00:00+00:00", type="string", format="date-time"),
    "end": Param("2026-11-02T00:00:00+00:00", type="string", format="date-time"),
    "dry_run": Param(True, type="boolean"),
}

with DAG(dag_id="example_backfill", schedule=None, tags=["example"], params=PARAMS) as dag:
    BackfillOperator(
        task_id="replay",
        dag_to_fill="orders_hourly",
        begin="{{ params.begin }}",
        end="{{ params.end }}",
        dry_run="{{ params.dry_run }}",
        reprocess="failed",
        attempts=2,
        max_errors=0.05,
        throttle=Throttle(max=6, every=timedelta(seconds=30)),
        execution_timeout=timedelta(hours=12),
    )
