"""The plugin: registers the listeners that watch how runs of plans end."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from planner_provider.listeners import aborts, endings


class PlannerPlugin(AirflowPlugin):
    """Loaded through the entry point ``airflow.plugins``."""

    name = "planner"
    listeners = [aborts, endings]  # noqa: RUF012 - Airflow's own form
