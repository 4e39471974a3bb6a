"""A real Airflow on this machine, for the demo and for end-to-end tests.

Nothing here imports Airflow: its processes are started as programs, and talked to over REST.

* :class:`LocalAirflow` starts, watches and ends the four Airflow processes.
* :class:`AirflowApi` is a typed client for the part of Airflow's REST API that is used here.
* :class:`Keeper` is the process under which everything runs; it outlives nobody: when its owner
  is gone, even by ``SIGKILL``, it ends what it started.
"""

from planner_provider.localstack.api import AirflowApi
from planner_provider.localstack.keeper import Keeper
from planner_provider.localstack.local_airflow import LocalAirflow

__all__ = ["AirflowApi", "Keeper", "LocalAirflow"]
