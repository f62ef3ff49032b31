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

as_of() {
    # The world as it was when an Airflow came out, as its own constraints have it: what has been published since was never
    # tried with it, and some of it does not fit. Only what is newer in our own needs is let in.
    version=$1 airflow=$2 day=$3
    shift 3
    for package in "$@"; do
        set -- "$@" --exclude-newer-package "$package=2026-04-01T00:00:00Z"
        shift
    done
    echo "apache-airflow==$airflow" | renew "airflow-$version" --extra dev --exclude-newer "${day}T00:00:00Z" "$@"
}

OURS='apache-airflow-providers-common-compat apache-airflow-providers-openlineage'

# The newest Airflow with the newest of everything; what builds the package and the pages is here only. The oldest likewise, so
# that both ends are tried with what somebody gets who installs today; those between as they were.
printf '%s\n' apache-airflow==3.3.2 apache-airflow-providers-celery | renew airflow-3.3 --extra dev --extra docs
as_of 3.2 3.2.2 2026-06-20
as_of 3.1 3.1.8 2026-03-20 $OURS
as_of 3.0 3.0.6 2025-09-05 $OURS schemathesis
echo 'apache-airflow==2.11.2' | renew airflow-2.11 --extra dev

# The oldest of everything that the package itself needs.
python3 requirements/lowest.py | renew lowest --extra dev

# The bench: that Airflow, the providers that are measured beside ours, and what draws the plots.
printf '%s\n' apache-airflow==3.3.2 'apache-airflow-providers-databricks>=7.23' 'apache-airflow-providers-dbt-cloud>=4.11' \
    cryptography greenback matplotlib | renew bench
