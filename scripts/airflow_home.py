"""A private Airflow: its own home and settings. The user's ``~/airflow`` is neither read nor written."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.console import AbortError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parent.parent
EXAMPLE_DAGS = CHECKOUT / "example_dags"


def private_home(name: str) -> Path:
    """Return the Airflow home of a script: `DEMO_HOME` if it is set, otherwise a folder in the checkout."""
    return Path(os.environ.get("DEMO_HOME") or CHECKOUT / ".airflow" / name)


def create_home(home: Path) -> None:
    """
    Create an empty Airflow home. Unless `DEMO_HOME` selects it, delete the files of an earlier start.

    :raises AbortError: if the folder of `DEMO_HOME` contains files
    """
    if not os.environ.get("DEMO_HOME"):
        shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    if any(home.iterdir()):
        raise AbortError(f"DEMO_HOME must be an empty folder: {home}")


def short_path(path: Path) -> str:
    """Return a path relative to the checkout if it is below it."""
    return str(path.relative_to(CHECKOUT) if path.is_relative_to(CHECKOUT) else path)


@contextmanager
def exclusive_lock(home: Path) -> Iterator[None]:
    """
    Lock an Airflow home.

    :raises AbortError: if another process holds the lock
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AbortError(f"{home} is in use by another process") from None
        yield


def airflow_command(*arguments: str) -> list[str]:
    """Return an Airflow command for the current Python, regardless of PATH."""
    return [sys.executable, "-m", "airflow", *arguments]


def free_ports(count: int) -> list[int]:
    """Return different free loopback ports."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def plain_environment() -> dict[str, str]:
    """Return the environment of the caller without variables of Airflow and of iTwin."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_", "ITWIN_"))
    }
    environment |= {
        "NO_COLOR": "1",
        # Some Airflow processes start the command "airflow" from PATH.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONUNBUFFERED": "1",
    }
    # Requests to loopback must not use a proxy.
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, (environment.get(name), "127.0.0.1", "localhost")))
    return environment


def airflow_environment(home: Path, dags_folder: Path, *, database: str | None = None) -> dict[str, str]:
    """
    Return the environment of all processes of a private Airflow.

    The processes share the secrets in airflow.cfg, which the first Airflow command creates in the home.
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
    """Return the environment that sets the address of the API server, for the server and for tasks."""
    url = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
    }


def itwin_connection(host: str, client_id: str, client_secret: str, issuer_url: str | None = None) -> dict[str, str]:
    """Return the environment variable that defines the connection ``itwin_default``."""
    connection = {"conn_type": "itwin", "host": host, "login": client_id, "password": client_secret}
    extra = {"extra": {"issuer_url": issuer_url}} if issuer_url else {}
    return {"AIRFLOW_CONN_ITWIN_DEFAULT": json.dumps(connection | extra)}
