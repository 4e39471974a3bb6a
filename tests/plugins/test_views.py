"""Where Airflow shows the page, and that the plugin costs other processes nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from planner_provider.plugins.views import external_views


def test_in_the_navigation_on_dags_and_on_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.com/airflow")
    views = {view["destination"]: view for view in external_views()}
    assert {where: view["href"] for where, view in views.items()} == {
        "nav": "/airflow/planner/",
        "dag": "/airflow/planner/?dag_id={DAG_ID}",
        "dag_run": "/airflow/planner/?dag_id={DAG_ID}&run_id={RUN_ID}",
    }
    assert len({view["url_route"] for view in views.values()}) == 3


def test_airflow_takes_them() -> None:
    from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse

    for view in external_views():
        assert ExternalViewResponse.model_validate(view).href == view["href"]


def test_the_app_is_not_imported_with_the_plugin() -> None:
    script = (
        "import sys\n"
        "from planner_provider.plugins.planner_plugin import PlannerPlugin\n"
        "(app,) = PlannerPlugin.fastapi_apps\n"
        "print(app['url_prefix'], 'planner_provider.web.app' in sys.modules, 'fastapi' in "
        "sys.modules and 'planner_provider.web.models' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["/planner False False"], done.stderr
