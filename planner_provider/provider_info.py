"""What Airflow's providers manager reads about this package."""

from __future__ import annotations

from typing import Any

from planner_provider import __version__


def get_provider_info() -> dict[str, Any]:
    """Describe the provider in Airflow's form."""
    return {
        "package-name": "airflow-provider-planner",
        "name": "Planner",
        "description": "Plans for production changes: gates, approvals, locks and rollback.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "Planner",
                "external-doc-url": "https://airflow.apache.org/docs/",
                "tags": ["software"],
            }
        ],
        "operators": [
            {
                "integration-name": "Planner",
                "python-modules": [
                    "planner_provider.operators.http",
                    "planner_provider.operators.sql",
                    "planner_provider.operators.shell",
                    "planner_provider.operators.pod",
                    "planner_provider.operators.notify",
                    "planner_provider.operators.verify",
                    "planner_provider.operators.canary",
                    "planner_provider.operators.blue_green",
                    "planner_provider.operators.deploy",
                    "planner_provider.operators.scale",
                    "planner_provider.operators.flag",
                    "planner_provider.operators.rollback",
                    "planner_provider.operators.approval",
                    "planner_provider.operators.backfill",
                    "planner_provider.operators.frame",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": "Planner",
                "python-modules": [
                    "planner_provider.sensors.wait",
                    "planner_provider.sensors.slo_gate",
                    "planner_provider.sensors.approval",
                    "planner_provider.sensors.window",
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": "Planner",
                "python-modules": [
                    "planner_provider.triggers.canary",
                    "planner_provider.triggers.slo_gate",
                    "planner_provider.triggers.approval",
                    "planner_provider.triggers.hold",
                    "planner_provider.triggers.locks",
                    "planner_provider.triggers.moment",
                    "planner_provider.triggers.patch",
                    "planner_provider.triggers.slots",
                    "planner_provider.triggers.window",
                ],
            }
        ],
        "notifications": ["planner_provider.notifications.notifier.PlannerNotifier"],
        "cli": ["planner_provider.cli.airflow_commands.airflow_commands"],
        "config": {"planner": {"description": _SECTION, "options": _OPTIONS}},
    }


_SECTION = "Settings of the planner provider, which compiles plan specs into DAGs."


def _option(
    description: str, kind: str, default: str, example: str | None = None
) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": kind,
        "example": example,
        "default": default,
    }


_OPTIONS: dict[str, dict[str, Any]] = {
    "specs_folder": _option(
        "Folder with the plan specs. A relative one is looked up beside the folder that holds "
        "plans.py, which is the root of its bundle.",
        "string",
        "plan_specs",
    ),
    "cache_folder": _option(
        "Folder for compiled plans; planner/compiled in AIRFLOW_HOME if empty. It may be emptied "
        "at any time.",
        "string",
        "",
    ),
    "sql_alchemy_conn": _option(
        "Database of the ledger; planner.db in AIRFLOW_HOME if empty. Use PostgreSQL where tasks "
        "run on more than one machine.",
        "string",
        "",
        "postgresql+psycopg://planner@db.example.com/planner",
    ),
    "ledger_auto_upgrade": _option(
        "Whether the ledger's tables are made and upgraded on first use.", "boolean", "True"
    ),
    "allowed_operators": _option(
        "Operators that `operator` steps may use, parted by commas: import paths, or prefixes "
        "that end in .*",
        "string",
        "",
        "airflow.providers.standard.operators.python.PythonOperator",
    ),
    "life_sign_seconds": _option("How often a step that acts says so in the ledger.", "float", "5"),
    "override_users": _option(
        "Users, parted by commas, who may open a closed maintenance window: of the operating "
        "system with `planner calendar override`, of Airflow on the page. Workers and triggerers "
        "read it: an override by anybody else counts for nothing. Nobody may override if it is "
        "empty.",
        "string",
        "",
        "alice,bob",
    ),
    "trace_url": _option(
        "Where the Plans page links to for the trace of a run; {trace_id} stands for its id. No "
        "links if it is empty.",
        "string",
        "",
        "https://traces.example.com/trace/{trace_id}",
    ),
    "metrics_token": _option(
        "Token that Prometheus must send as `Authorization: Bearer TOKEN` to read "
        "/planner/metrics on the API server. Nobody may read it if it is empty.",
        "string",
        "",
    )
    | {"sensitive": True},
}
