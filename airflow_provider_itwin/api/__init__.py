"""The iTwin Platform in Python: requests, runs, waiting. Nothing here imports Airflow."""
