"""Where Airflow's UI shows the Plans page: in its navigation, and on each DAG and each run."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.configuration import conf

NAME = "Plans"


def external_views() -> list[dict[str, str | bool]]:
    """The views, as the UI takes them; it puts the ids of what is shown in for the words in braces.

    Those of DAGs and runs are shown on all of them: the UI knows no condition. The page itself says
    so on a DAG that is no plan.
    """
    path = urlsplit(conf.get("api", "base_url", fallback="") or "/").path
    page = f"{path.rstrip('/')}/planner/"
    return [
        {
            "name": NAME,
            "href": page,
            "destination": "nav",
            "url_route": "plans",
            "nav_top_level": True,
        },
        {
            "name": "Plan",
            "href": f"{page}?dag_id={{DAG_ID}}",
            "destination": "dag",
            "url_route": "plan",
        },
        {
            "name": "Plan",
            "href": f"{page}?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "plan_run",
        },
    ]
