"""The plain actions: http, sql, shell, pod, notify, verify, wait.

Connections: ``sandbox`` (type http), ``sandbox_db`` (any database) and ``kubernetes_default``.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from planner_provider.operators.http import HttpActionOperator
from planner_provider.operators.notify import NotifyOperator
from planner_provider.operators.pod import PodActionOperator
from planner_provider.operators.shell import ShellActionOperator
from planner_provider.operators.sql import SqlActionOperator
from planner_provider.operators.verify import VerifyOperator
from planner_provider.sensors.wait import WaitSensor
from planner_provider.spec.actions import Bound, HttpCheck, HttpExpect, SqlCheck, SqlExpect

with DAG(
    dag_id="example_plain_actions",
    schedule=None,
    tags=["example"],
    params={"before": Param("2026-01-01", type="string", format="date")},
) as dag:
    # The statements are one transaction; it is rolled back if the result is not as expected.
    prune = SqlActionOperator(
        task_id="prune",
        connection="sandbox_db",
        statement="DELETE FROM orders WHERE status = 'refunded' AND created_at < :before",
        parameters={"before": "{{ params.before }}"},
        expect_rows=Bound(max=50),
    )
    # Text is run by bash, a list as it is. Values go into `env`, not into the text of a command.
    clean = ShellActionOperator(
        task_id="clean",
        command='find /tmp/order-reports -type f ! -newermt "$BEFORE" -delete',
        env={"BEFORE": "{{ params.before }}"},
    )
    snapshot = PodActionOperator(
        task_id="snapshot",
        image="registry.example.com/tools/orders-snapshot:1.3.0",
        namespace="shop",
        command=["/bin/snapshot"],
        arguments=["--database", "orders"],
    )
    # Carries an Idempotency-Key that is the same for all tries.
    switch = HttpActionOperator(
        task_id="switch",
        connection="sandbox",
        method="PUT",
        path="/flags/dark_mode",
        body={"percentage": 50},
        expect_status=[200],
    )
    settle = WaitSensor(task_id="settle", wait_for=timedelta(minutes=5))
    # Asks until all hold, for two minutes at most. No row and NULL never satisfy `expect`.
    check = VerifyOperator(
        task_id="check",
        http=[
            HttpCheck(
                connection="sandbox", path="/services/orders", expect=HttpExpect(status=(200,))
            )
        ],
        sql=[
            SqlCheck(
                connection="sandbox_db",
                statement="SELECT count(*) FROM orders",
                expect=SqlExpect(value=Bound(min=100)),
            )
        ],
        within=timedelta(minutes=2),
    )
    tell = NotifyOperator(task_id="tell", message="Orders are pruned.", to=["log"])
    snapshot >> prune >> clean >> switch >> settle >> check >> tell
