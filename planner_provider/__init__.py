"""Plans for production changes, written in YAML, run by Apache Airflow."""

__version__ = "0.1.0"
