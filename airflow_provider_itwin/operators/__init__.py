"""Airflow operators that start runs."""
