"""The tasks around the steps of every plan, in the order in which they run."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator

from planner_provider.operators.acquire import AcquireOperator
from planner_provider.operators.assess import AssessOperator
from planner_provider.operators.decide import DecideOperator
from planner_provider.operators.finish import FinishOperator
from planner_provider.operators.release import ReleaseOperator

__all__ = [
    "AcquireOperator",
    "AssessOperator",
    "BeginOperator",
    "DecideOperator",
    "FinishOperator",
    "ReleaseOperator",
]


class BeginOperator(EmptyOperator):
    """The setup that ``finish`` is the teardown of. It costs no worker start."""
