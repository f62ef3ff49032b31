#!/bin/sh
# Renews the pinned environments: requirements/airflow-<version>.txt, plain lists of exact versions for Python 3.11 and newer.
# Needs `uv` on the path (the one in .venv/bin will do).
set -eu
cd "$(dirname "$0")/.."
for pair in "3.3 3.3.2" "2.11 2.11.2"; do
    set -- $pair
    printf 'apache-airflow==%s\n' "$2" |
        uv pip compile --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate --upgrade \
            --extra dev pyproject.toml - -o "requirements/airflow-$1.txt" --quiet
done

# The bench: that Airflow, the providers that are measured beside ours, and what draws the plots.
printf '%s\n' apache-airflow==3.3.2 'apache-airflow-providers-databricks>=7.23' 'apache-airflow-providers-dbt-cloud>=4.11' \
    cryptography greenback matplotlib |
    uv pip compile --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate --upgrade \
        pyproject.toml - -o requirements/bench.txt --quiet
