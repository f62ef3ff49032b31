"""Airflow hooks: from an Airflow connection to a client of the iTwin Platform."""
