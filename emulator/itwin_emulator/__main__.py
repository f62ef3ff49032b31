"""The command line: ``itwin-emulator``, or ``python -m itwin_emulator``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from itwin_emulator.admin import scenario
from itwin_emulator.emulator import DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Emulator, is_loopback
from itwin_emulator.http.faults import KIND_NOTES
from itwin_emulator.http.rate_limit import TIERS

DEFAULT_PORT = 8899

DESCRIPTION = """\
Emulates Bentley's iTwin Platform on this machine: the APIs Synchronization, Export, Storage, iModels and iTwins, the jobs of
Transformations, Changed Elements, Grouping and Mapping and Reality Modeling, Analysis and Conversion, and the token endpoint.
Develop and test any client with no account and no network. No file is converted; runs and jobs only go through the states
of real ones.

Start it:
  itwin-emulator --scenario demo --port {port}

Connect a client:
  API, issuer     {url}
  token endpoint  {url}/connect/token
  client id       {client_id}
  client secret   {client_secret}

Connect Airflow:
  export AIRFLOW_CONN_ITWIN_DEFAULT='{connection}'

Open {url}/ in a browser to watch the runs. The scenario "demo" has these connections:
  demo-storage-connection, demo-second-connection, demo-manifest-connection, demo-export-connection  succeed
  demo-partial-connection                                                                            one file fails
  demo-failing-connection                                                                            three files fail
  demo-night-connection, demo-night-export-connection    one iModel; the source files arrive with an upload
"""

EPILOG = """\
time:
  --speed scales the work, not the clock. At --speed 60, a run planned for 25 minutes takes 25 seconds. Dates, the lifetime of
  tokens (--token-lifetime) and Retry-After are real time, because clients compare them with their own clock.

scenarios:
  A scenario is a TOML file. It defines clients, iTwins, iModels, connections, files, and the plans of the runs: result,
  duration, failing files, warnings. Built-in scenarios:
{scenarios}
  They are in {folder};
  demo.toml documents the format.

run plans:
  curl -X POST {url}/emulator/plans -H 'Content-Type: application/json' \\
    -d '{{"connection_id": "demo-storage-connection", "result": "Error", "duration": 300,
         "failing": [{{"file": "LH-ARC-Facade.rvt", "message": "The file is locked.", "can_user_fix": true}}]}}'

faults:
  curl -X POST {url}/emulator/faults -H 'Content-Type: application/json' \\
    -d '{{"operation": "get-storage-connection-run", "times": 3, "status": 503}}'

  "operation" is the id of an operation, "token", or a pattern such as "get-*". "times" is the number of requests; null: until
  DELETE {url}/emulator/faults. Values of "kind":
{kinds}

control API (no token required):
{control}

  {url}/openapi.json describes the emulated API (OpenAPI 3.0).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. The first line on stdout is the URL."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not is_loopback(options.host) and not options.allow_remote:
        parser.error(f"refusing to bind to non-loopback address {options.host}; add --allow-remote")
    try:
        emulator = Emulator(
            speed=options.speed,
            scenario=None if options.scenario in ("", "none") else options.scenario,
            port=options.port,
            clock_skew=options.clock_skew,
            host=options.host,
            client_id=options.client_id,
            client_secret=options.client_secret,
            token_lifetime=options.token_lifetime,
            request_log_file=options.request_log,
            state_file=options.state,
            tier=options.tier,
            allow_remote=options.allow_remote,
        )
    except (ValueError, OSError) as error:
        parser.error(str(error))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        emulator.start()
    except OSError as error:
        parser.exit(1, f"itwin-emulator: cannot listen on {options.host}:{options.port}: {error}\n")
    try:
        sys.stdout.write(emulator.url + "\n")
        sys.stdout.flush()
        if not options.quiet:
            _print_summary(emulator, options.scenario)
        stop.wait()
    finally:
        emulator.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="itwin-emulator",
        description=_description(),
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_server_options(parser)
    _add_service_options(parser)
    return parser


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--allow-remote", action="store_true", help="allow a --host that other machines can reach, e.g. in a container")
    add("--port", type=int, default=DEFAULT_PORT, help="port to listen on; 0: any free port (default: %(default)s)")
    add("--request-log", type=Path, metavar="FILE", help="append all requests to this file, as JSON lines")
    add(
        "--state",
        type=Path,
        metavar="FILE",
        help="keep the state in this file; if it exists, its state is restored and --scenario is ignored",
    )
    add("--quiet", action="store_true", help="print only the URL")


def _add_service_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--speed", type=float, default=60.0, help="emulated seconds of work per real second (default: %(default)s)")
    add(
        "--scenario",
        default="demo",
        metavar="NAME|FILE",
        help=f"entities at the start: {', '.join(scenario.names())}, a TOML file, or none (default: %(default)s)",
    )
    add("--client-id", default=DEFAULT_CLIENT_ID, help="id of the service client (default: %(default)s)")
    add("--client-secret", default=DEFAULT_CLIENT_SECRET, help="secret of the service client (default: %(default)s)")
    add(
        "--token-lifetime",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="lifetime of access tokens (default: %(default)s)",
    )
    add(
        "--clock-skew",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="seconds by which the service's clock is ahead of this machine's (default: %(default)s)",
    )
    add("--tier", choices=sorted(TIERS), help="rate-limit tier (default: no limit)")


def _description() -> str:
    url = f"http://127.0.0.1:{DEFAULT_PORT}"
    connection = {"conn_type": "itwin", "host": url, "login": DEFAULT_CLIENT_ID, "password": DEFAULT_CLIENT_SECRET}
    return DESCRIPTION.format(
        port=DEFAULT_PORT,
        url=url,
        client_id=DEFAULT_CLIENT_ID,
        client_secret=DEFAULT_CLIENT_SECRET,
        connection=json.dumps(connection),
    )


def _epilog() -> str:
    from itwin_emulator.admin import routes

    control = [line for line in (routes.__doc__ or "").splitlines() if line[:6].strip() in ("GET", "POST", "DELETE")]
    return EPILOG.format(
        url=f"http://127.0.0.1:{DEFAULT_PORT}",
        kinds="\n".join(f"    {kind:<19} {note}" for kind, note in KIND_NOTES.items()),
        control="\n".join(f"  {line}" for line in control),
        folder=scenario.SCENARIOS,
        scenarios="\n".join(f"    {name:<8} {scenario.load(name)[0].description}" for name in scenario.names()),
    )


def _print_summary(emulator: Emulator, name: str) -> None:
    """Print a summary to stderr; stdout contains only the URL, for programs."""
    lines = [
        f"iTwin Platform emulator at {emulator.url} (dashboard: open it in a browser), scenario {name}",
        f"client {emulator.client_id}; speed {emulator.clock.speed:g}; see itwin-emulator --help",
        f"connections: {', '.join(emulator.connection_ids()) or 'none'}",
        "Press Ctrl+C to stop.",
    ]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
