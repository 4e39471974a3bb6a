"""The plugin: registers the listener that notices when people set a run's state by hand."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from planner_provider.listeners import aborts


class PlannerPlugin(AirflowPlugin):
    """Loaded through the entry point ``airflow.plugins``."""

    name = "planner"
    listeners = [aborts]  # noqa: RUF012 - Airflow's own form
