"""The ``planner`` command. It never imports Airflow, so it starts at once and runs anywhere."""
