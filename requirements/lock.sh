#!/bin/sh
# Updates the pinned environments: lists of exact versions for Python 3.11 and newer.
# Needs `uv` on the path; "make lock" uses the one in .venv/bin.
set -eu
cd "$(dirname "$0")/.."

compile() {
    # Arguments: the list to write, then options for uv. Further requirements are read from standard input.
    list=$1
    shift
    uv pip compile --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate --upgrade --quiet \
        "$@" pyproject.toml - -o "requirements/$list.txt"
}

as_of() {
    # Packages as of the release of an Airflow version, like its own constraints. Later releases were never tested with it, and
    # some do not work. Only packages that this project needs in a newer version are excepted.
    version=$1 airflow=$2 day=$3
    shift 3
    for package in "$@"; do
        set -- "$@" --exclude-newer-package "$package=2026-04-01T00:00:00Z"
        shift
    done
    echo "apache-airflow==$airflow" | compile "airflow-$version" --extra dev --exclude-newer "${day}T00:00:00Z" "$@"
}

# The newest Airflow, the next one and the oldest use the newest versions of all packages, like an installation today. Those in
# between use the packages as of their release. The tools that build the package and the pages are in the newest only.
printf '%s\n' apache-airflow==3.3.2 apache-airflow-providers-celery | compile airflow-3.3 --extra dev --extra docs
echo 'apache-airflow==3.4.0b2' | compile airflow-3.4 --extra dev
as_of 3.2 3.2.2 2026-06-20
as_of 3.1 3.1.8 2026-03-20
as_of 3.0 3.0.6 2025-09-05 schemathesis
echo 'apache-airflow==2.11.2' | compile airflow-2.11 --extra dev

# The oldest supported version of every direct dependency, and of those of the extra for OpenLineage.
python3 requirements/lowest.py | compile lowest --extra dev

# The tool that writes the bills of materials of a release. It is no dependency of the project.
echo 'cyclonedx-bom' | uv pip compile --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate --upgrade \
    --quiet - -o requirements/sbom.txt

# The benchmark: the newest Airflow, the providers to compare with, and the tools for plots.
printf '%s\n' apache-airflow==3.3.2 'apache-airflow-providers-databricks>=7.23' 'apache-airflow-providers-dbt-cloud>=4.11' \
    azure-storage-blob cryptography greenback matplotlib | compile bench
