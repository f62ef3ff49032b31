"""Airflow triggers: waiting without holding a worker."""
