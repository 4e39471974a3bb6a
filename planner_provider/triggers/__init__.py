"""Airflow triggers of the planner."""
