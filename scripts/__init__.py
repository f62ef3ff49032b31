"""Scripts of the Makefile: the demo, a local Airflow, the release check, and code shared with the system tests."""
