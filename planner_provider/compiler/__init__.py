"""From plans as data to Airflow DAGs: the compiler, and the loader that ``dags/plans.py`` calls."""
