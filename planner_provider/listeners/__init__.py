"""What Airflow tells us by itself."""
