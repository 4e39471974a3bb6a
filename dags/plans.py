"""All plans, as Airflow DAGs. The specs are in ``plan_specs/`` beside this folder.

This file loads, it does not define: change the specs instead.
"""

from planner_provider.compiler.loader import load_plans

globals().update(load_plans(__file__))
