#!/bin/sh
# Creates a virtual environment with the pinned packages of a list, and installs both packages of this repository in editable mode.
#
#   scripts/venv.sh DIRECTORY REQUIREMENTS NEWEST_MINOR
#
# Needs Python 3.11 or newer (up to 3.NEWEST_MINOR) and a package index. An existing environment is updated.
set -eu
directory=$1 requirements=$2 newest_minor=$3

fits() {
    # Some distributions ship Python without venv and ensurepip, and version managers add commands to PATH that do not work. So
    # each candidate is tested.
    "$1" -c "
import ensurepip, sys, venv
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $newest_minor))
" >/dev/null 2>&1
}

if ! "$directory/bin/python" -c '' 2>/dev/null; then
    python=
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3; do
        if fits "$candidate"; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "No suitable Python found: Python 3.11 to 3.$newest_minor with the modules venv and ensurepip is required" >&2
        echo "(on Debian and Ubuntu: apt-get install python3 python3-venv), or PYTHON=/path/to/python make ..." >&2
        exit 1
    fi
    echo "Creating $directory with $("$python" --version)"
    "$python" -m venv --clear "$directory"
fi

python=$directory/bin/python
if ! [ -x "$directory/bin/uv" ]; then
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip --upgrade
    "$python" -m pip install --quiet --disable-pip-version-check --retries 10 --timeout 60 uv
fi

# Tolerate slow networks, trust the certificates of the system, and do not download another Python.
: "${UV_HTTP_TIMEOUT:=300}" "${UV_HTTP_RETRIES:=10}" "${UV_SYSTEM_CERTS:=true}"
export UV_HTTP_TIMEOUT UV_HTTP_RETRIES UV_SYSTEM_CERTS
export UV_PYTHON_DOWNLOADS=never
"$directory/bin/uv" pip install --python "$python" --requirement "$requirements"
"$directory/bin/uv" pip install --python "$python" --no-deps --editable . --editable ./emulator
