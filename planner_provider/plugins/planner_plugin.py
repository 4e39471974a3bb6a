"""The plugin: the listeners that watch how runs of plans end, and the timetable of windows."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from planner_provider.listeners import aborts, endings
from planner_provider.plugins.preload import preload
from planner_provider.timetables.window import WindowTimetable


class PlannerPlugin(AirflowPlugin):
    """Loaded through the entry point ``airflow.plugins``."""

    name = "planner"
    listeners = [aborts, endings]  # noqa: RUF012 - Airflow's own form
    timetables = [WindowTimetable]  # noqa: RUF012 - Airflow's own form

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Airflow calls this when it has loaded the plugin."""
        preload()
