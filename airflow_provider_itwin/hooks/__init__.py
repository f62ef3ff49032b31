"""Airflow hooks: clients of the iTwin Platform for Airflow connections."""
