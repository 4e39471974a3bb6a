"""Airflow operators of the planner: the frame of a plan's DAG and the actions of its steps."""
