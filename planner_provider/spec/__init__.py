"""From YAML text to typed, located documents. Knows nothing of graphs and nothing of Airflow."""
