"""A canary without a plan: start, 5%, 50%, promote; back to the old version if any of it fails.

Connections: ``sandbox`` (type http, see docs/http-target.md) and ``prometheus`` (type http).
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from planner_provider.operators.canary import (
    CanaryDeployOperator,
    CanaryPromoteOperator,
    CanaryStepOperator,
)
from planner_provider.operators.notify import NotifyOperator
from planner_provider.operators.rollback import RollbackOperator

TARGET = {"http": {"connection": "sandbox", "service": "checkout"}}
CHANGE = {"version": "{{ params.version }}"}
TRAFFIC = {
    "http": {
        "connection": "sandbox",
        "path": "/services/checkout/weight",
        "body": {"version": "{{ params.version }}", "weight": "{{ weight }}"},
    }
}
# The judge counts both selectors twice: with the matchers of the canary and of the baseline.
ANALYSIS = {
    "metrics": [
        {
            "name": "errors",
            "connection": "prometheus",
            "bad": 'http_requests_total{service="checkout",code=~"5.."}',
            "total": 'http_requests_total{service="checkout"}',
            "importance": "critical",
        }
    ],
    "arms": {"canary": 'track="canary"', "baseline": 'track="stable"'},
    "every": "1m",  # at least four scrape intervals
    "patience": "30m",
}
HOW = {"target": TARGET, "change": CHANGE, "traffic": TRAFFIC}

with DAG(
    dag_id="example_canary",
    schedule=None,
    tags=["example"],
    params={"version": Param("1.5.0", type="string", pattern=r"^\d+\.\d+\.\d+$")},
) as dag:
    deploy = CanaryDeployOperator(task_id="deploy", **HOW)
    # Each weight is compared from its own beginning, and in a DAG like this one each must be shown
    # to be good (`last=False`: nothing may speak against it). In a plan all weights count together.
    few = CanaryStepOperator(
        task_id="w5",
        weight=5,
        bake=timedelta(minutes=15),
        analysis=ANALYSIS,
        last=False,
        **HOW,
    )
    half = CanaryStepOperator(
        task_id="w50", weight=50, bake=timedelta(hours=1), analysis=ANALYSIS, **HOW
    )
    promote = CanaryPromoteOperator(task_id="promote", **HOW)
    # A leaf that is not reached after a failure: it keeps the run red although `back` is green.
    tell = NotifyOperator(task_id="tell", message="checkout {{ params.version }} serves everybody.")

    # What was before is in the XCom `before` of the task that changed something first.
    back = RollbackOperator(
        task_id="back",
        trigger_rule="one_failed",
        memo="{{ ti.xcom_pull('deploy', key='before') }}",
        **HOW,
    )
    deploy >> few >> half >> promote >> tell
    [deploy, few, half, promote] >> back
