"""What Airflow loads by itself: the plugin."""
