"""Ask people, in Airflow and in a ticket.

Connections: ``sandbox`` (type http) and ``jira`` (type http, with a login that may read issues).

In a DAG written by hand nothing stops a person who sets the state of the approval task to success:
what follows it trusts its colour. In a plan the steps that act look for the record in the ledger.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from planner_provider.graph.approvals import EscalationRule
from planner_provider.hooks.tickets import TicketWatch
from planner_provider.operators.approval import RequestApprovalOperator
from planner_provider.operators.http import HttpActionOperator
from planner_provider.sensors.approval import ApprovalSensor

with DAG(
    dag_id="example_approval",
    schedule=None,
    tags=["example"],
    params={"issue": Param("SHOP-123", type="string")},
) as dag:
    # Two different people, not the one who started the run, who say yes in Airflow.
    ask = RequestApprovalOperator(
        task_id="ask",
        approvers=["checkout-lead", "checkout-oncall"],
        count=2,
        timeout=timedelta(hours=4),
        on_timeout="reject",
        escalations=[
            EscalationRule(
                after=timedelta(hours=1), to=("platform-oncall",), users=("platform-oncall",)
            )
        ],
        subject="Switch the new checkout off?",
    )
    # One person who moves the issue to "Approved". Only accounts that are listed here count.
    ticket = ApprovalSensor(
        task_id="ticket",
        approvers=["change-manager"],
        timeout=timedelta(days=1),
        tickets=[
            TicketWatch(
                via="jira",
                connection="jira",
                issue="{{ params.issue }}",
                approve="state:Approved",
                reject="state:Declined",
                users={"change-manager@example.com": "change-manager"},
            )
        ],
    )
    act = HttpActionOperator(
        task_id="act",
        connection="sandbox",
        method="PUT",
        path="/flags/new_checkout",
        body={"enabled": False},
    )
    [ask, ticket] >> act


with DAG(
    dag_id="example_approval_of_a_plan",
    schedule=None,
    tags=["example"],
    params={"plan_id": Param("", type="string", description="Plan ID of the run")},
) as dag_of_a_plan:
    # Wait until the approval of a plan's run is granted, wherever it is asked.
    ApprovalSensor(
        task_id="approved",
        of="approve",
        of_plan_id="{{ params.plan_id }}",
        timeout=timedelta(hours=8),
    )
