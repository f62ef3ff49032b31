"""What the Makefile runs: the demo, an Airflow to click through, and what they share with the system tests."""
