"""The iTwin Platform in Python; knows nothing of Airflow."""
