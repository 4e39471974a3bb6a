"""Airflow sensors of the planner."""
