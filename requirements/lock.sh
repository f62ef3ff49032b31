#!/bin/sh
# Renews the pinned environments: plain lists of exact versions for Python 3.11 and newer.
# Needs `uv` on the path (the one in .venv/bin will do; "make lock" takes that).
set -eu
cd "$(dirname "$0")/.."

renew() {
    # The list to write, then what uv is told besides; further requirements come from the standard input.
    list=$1
    shift
    uv pip compile --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate --upgrade --quiet \
        "$@" pyproject.toml - -o "requirements/$list.txt"
}

# The newest of everything, for each Airflow that is supported. What builds the package and the pages is in the newest only, and
# so is Celery, on which the distributed tests run.
printf '%s\n' apache-airflow==3.3.2 apache-airflow-providers-celery | renew airflow-3.3 --extra dev --extra docs
echo 'apache-airflow==3.2.2' | renew airflow-3.2 --extra dev
echo 'apache-airflow==3.1.8' | renew airflow-3.1 --extra dev
echo 'apache-airflow==3.0.6' | renew airflow-3.0 --extra dev
echo 'apache-airflow==2.11.2' | renew airflow-2.11 --extra dev

# The oldest of everything that the package itself needs.
python3 requirements/lowest.py | renew lowest --extra dev

# The bench: that Airflow, the providers that are measured beside ours, and what draws the plots.
printf '%s\n' apache-airflow==3.3.2 'apache-airflow-providers-databricks>=7.23' 'apache-airflow-providers-dbt-cloud>=4.11' \
    cryptography greenback matplotlib | renew bench
