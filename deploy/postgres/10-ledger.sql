-- The planner's ledger is a database of its own: tasks cannot reach Airflow's.
CREATE DATABASE planner;
