"""Airflow needs a home before it is imported."""

import tests.operators.airflow_context  # noqa: F401
