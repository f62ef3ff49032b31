"""An Airflow of our own: private home, private settings, nothing of the user's ``~/airflow`` read or written."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.console import CannotGoOnError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parent.parent
EXAMPLE_DAGS = CHECKOUT / "example_dags"


@contextmanager
def sole_use_of(home: Path) -> Iterator[None]:
    """
    Keep others out of a home while we use it.

    :raises CannotGoOnError: if somebody else does
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotGoOnError(f"{home} is in use: is this running already?") from None
        yield


def airflow_command(*arguments: str) -> list[str]:
    """Airflow's command line, run by the Python that runs this, whatever is on the PATH."""
    return [sys.executable, "-m", "airflow", *arguments]


def free_ports(count: int) -> list[int]:
    """Find loopback ports that nobody listens on, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def plain_environment() -> dict[str, str]:
    """Give the caller's environment without what it says about Airflow and about iTwin connections."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_", "ITWIN_"))
    }
    environment |= {
        "NO_COLOR": "1",
        # Some of Airflow's processes start others by the name "airflow".
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONUNBUFFERED": "1",
    }
    # A proxy has no part in a conversation of this machine with itself.
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, (environment.get(name), "127.0.0.1", "localhost")))
    return environment


def airflow_environment(home: Path, dags_folder: Path, *, database: str | None = None) -> dict[str, str]:
    """
    Give the environment of every process of one private Airflow.

    The secrets that the processes share are in the airflow.cfg that Airflow's first command makes in the home.
    """
    return plain_environment() | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database or f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    }


def server_environment(port: int) -> dict[str, str]:
    """Say where the API server of one Airflow listens, and that the tasks are to find it there."""
    url = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
    }


def itwin_connection(host: str, client_id: str, client_secret: str, issuer_url: str | None = None) -> dict[str, str]:
    """Give the environment variable that makes an iTwin Platform the connection ``itwin_default``."""
    connection = {"conn_type": "itwin", "host": host, "login": client_id, "password": client_secret}
    extra = {"extra": {"issuer_url": issuer_url}} if issuer_url else {}
    return {"AIRFLOW_CONN_ITWIN_DEFAULT": json.dumps(connection | extra)}
