"""An Airflow of our own: private home, private settings, nothing of the user's ``~/airflow`` read or written."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
EXAMPLE_DAGS = CHECKOUT / "example_dags"

DEMO_CLIENT_ID = "demo-client"
DEMO_CLIENT_SECRET = "demo-secret"  # noqa: S105 - the emulator's, written in its documentation


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


def base_environment(home: Path, dags_folder: Path, *, database: str | None = None) -> dict[str, str]:
    """Give the environment of every process of one private Airflow.

    Whatever the caller's environment says about Airflow is left out. The secrets are made up anew and must be the
    same in all the processes, or they would not trust each other.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database or f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "NO_COLOR": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(CHECKOUT),
    }
    # A proxy has no part in a conversation of this machine with itself.
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, (environment.get(name), "127.0.0.1", "localhost")))
    return environment


def server_environment(port: int, *log_ports: int) -> dict[str, str]:
    """Where the API server of one Airflow listens, and the two servers of task logs if they are wanted."""
    url = f"http://127.0.0.1:{port}"
    environment = {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
    }
    names = ("AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT", "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT")
    return environment | {name: str(log_port) for name, log_port in zip(names, log_ports, strict=False)}


def itwin_connection(host: str, client_id: str, client_secret: str, issuer_url: str | None = None) -> dict[str, str]:
    """Give the environment variable that makes an iTwin Platform the connection ``itwin_default``."""
    connection = {"conn_type": "itwin", "host": host, "login": client_id, "password": client_secret}
    extra = {"extra": {"issuer_url": issuer_url}} if issuer_url else {}
    return {"AIRFLOW_CONN_ITWIN_DEFAULT": json.dumps(connection | extra)}
