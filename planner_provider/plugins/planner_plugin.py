"""The plugin: listeners that watch how runs of plans end, timetables of windows, the Plans page."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from planner_provider.listeners import aborts, endings
from planner_provider.plugins.preload import preload
from planner_provider.plugins.views import external_views
from planner_provider.timetables.window import WindowTimetable
from planner_provider.web.mount import MountedPlans


class PlannerPlugin(AirflowPlugin):
    """Loaded through the entry point ``airflow.plugins``."""

    name = "planner"
    listeners = [aborts, endings]  # noqa: RUF012 - Airflow's own form
    timetables = [WindowTimetable]  # noqa: RUF012 - Airflow's own form
    fastapi_apps = [  # noqa: RUF012 - Airflow's own form
        {"app": MountedPlans(), "url_prefix": "/planner", "name": "Plans"}
    ]
    external_views = external_views()

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Airflow calls this when it has loaded the plugin."""
        preload()
