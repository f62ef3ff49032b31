"""Airflow sensors that wait for runs."""
