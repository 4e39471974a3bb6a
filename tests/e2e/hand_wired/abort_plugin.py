"""Registers the listener that the package's own plugin registers."""

from airflow.plugins_manager import AirflowPlugin

from planner_provider.listeners import aborts


class AbortPlugin(AirflowPlugin):
    """For the e2e tests."""

    name = "planner_aborts_for_tests"
    listeners = [aborts]  # noqa: RUF012
