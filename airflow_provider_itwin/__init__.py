"""Run Bentley iTwin synchronizations from Apache Airflow, and wait for them without holding a worker."""

__version__ = "0.1.0"
