"""Errors in plan specs, shown as an import error of this file. Holds no Airflow DAG.

Airflow takes all DAGs of a file for broken when it raises, so ``plans.py`` never does.
"""

from planner_provider.compiler.loader import raise_spec_errors

raise_spec_errors(__file__)
