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

HELP = """\
An iTwin Platform of your own, on this machine only. It speaks the Synchronization API, the Export API and the token
endpoint of Bentley's iTwin Platform, so that DAGs and other clients can be developed and tested with no account and no
network. Nothing is converted: runs of connections only go through the states that real ones go through.

Try it:
  itwin-emulator --scenario demo --port {port}

and in the shell that Airflow runs in:
  export AIRFLOW_CONN_ITWIN_DEFAULT='{connection}'

Then start a DAG, and watch its runs at http://127.0.0.1:{port}/ in a browser. The scenario "demo" has the connections
demo-storage-connection and demo-second-connection (both succeed), demo-partial-connection (one file fails),
demo-failing-connection (three files fail), demo-manifest-connection and demo-export-connection (both succeed).
"""

TIME = """\
how time runs:
  Work is scaled, the clock is not. At --speed 60 a run planned for 25 minutes is over after 25 seconds, and its
  startDateTime and endDateTime are 25 seconds apart: they are on the same clock as the Date header. That clock is this
  machine's plus --clock-skew. Tokens (--token-lifetime), Retry-After and everything else that a client measures with
  a clock of its own are in real seconds.

how runs go:
  As the scenario says. A scenario is a TOML file: what exists (clients, iTwins, iModels, connections, files), and how
  the runs of each connection go (result, duration, failing files with their errors, warnings). The built-in ones:
{scenarios}
  They are in {folder}
  and "demo.toml" there describes the format. While the emulator runs, outcomes can be changed over HTTP:

  curl -X POST {url}/emulator/plans -H 'Content-Type: application/json' \\
    -d '{{"connection_id": "demo-storage-connection", "result": "Error", "duration": 300,
         "failing": [{{"file": "LH-ARC-Facade.rvt", "message": "The file is locked.", "can_user_fix": true}}]}}'

how to script trouble:
  curl -X POST {url}/emulator/faults -H 'Content-Type: application/json' \\
    -d '{{"operation": "get-storage-connection-run", "times": 3, "status": 503}}'

  operation is the id of an operation, "token", or a pattern such as "get-*"; times is null for "until healed"
  (DELETE {url}/emulator/faults). Kinds of fault (key "kind"):
{kinds}

  GET {url}/openapi.json describes the emulated API in OpenAPI 3.0, for code generators and
  tests. GET {url}/.well-known/openid-configuration tells where tokens come from.

  POST /emulator/oddities switches liberties that the real service takes with its documentation; GET /emulator shows
  them all. GET /emulator/journal tells what was asked. Everything under /emulator:

{control}
"""


def _parser() -> argparse.ArgumentParser:
    from itwin_emulator.admin import routes

    connection = {
        "conn_type": "itwin",
        "host": f"http://127.0.0.1:{DEFAULT_PORT}",
        "login": DEFAULT_CLIENT_ID,
        "password": DEFAULT_CLIENT_SECRET,
    }
    kinds = "\n".join(f"    {kind:<19} {note}" for kind, note in KIND_NOTES.items())
    control_lines = [
        line for line in (routes.__doc__ or "").splitlines() if line[:6].strip() in ("GET", "POST", "DELETE")
    ]
    parser = argparse.ArgumentParser(
        prog="itwin-emulator",
        description=HELP.format(port=DEFAULT_PORT, connection=json.dumps(connection)),
        epilog=TIME.format(
            url=f"http://127.0.0.1:{DEFAULT_PORT}",
            kinds=kinds,
            control="\n".join(f"    {line}" for line in control_lines),
            folder=scenario.SCENARIOS,
            scenarios="\n".join(f"    {name:<8} {scenario.load(name)[0].description}" for name in scenario.names()),
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--allow-remote", action="store_true", help="let --host be an address that other machines can reach"
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port to listen on, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--speed", type=float, default=60.0, help="emulated seconds of work per real second (default: %(default)s)"
    )
    parser.add_argument(
        "--scenario",
        default="demo",
        metavar="NAME|FILE",
        help=f"what exists at the start: {', '.join(scenario.names())}, a TOML file, or none (default: %(default)s)",
    )
    parser.add_argument(
        "--client-id", default=DEFAULT_CLIENT_ID, help="id of the service client (default: %(default)s)"
    )
    parser.add_argument(
        "--client-secret", default=DEFAULT_CLIENT_SECRET, help="secret of the service client (default: %(default)s)"
    )
    parser.add_argument("--token-lifetime", type=float, default=3600.0, metavar="SECONDS", help="default: %(default)s")
    parser.add_argument(
        "--clock-skew",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how far the service's clock is ahead of this machine's (default: %(default)s)",
    )
    parser.add_argument("--journal", type=Path, metavar="FILE", help="append every request to this file, as JSON lines")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="keep the state in this file and go on with it after a restart (then the scenario is not looked at)",
    )
    parser.add_argument(
        "--tier", choices=sorted(TIERS), help="limit the rate of requests as this subscription does (default: no limit)"
    )
    parser.add_argument("--quiet", action="store_true", help="print the URL and nothing else")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; the first line on stdout is the URL."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not is_loopback(options.host) and not options.allow_remote:
        parser.error(f"{options.host} is not a loopback address; add --allow-remote if you mean it")
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
            journal_file=options.journal,
            state_file=options.state,
            tier=options.tier,
            allow_remote=options.allow_remote,
        )
    except (ValueError, OSError) as error:
        parser.error(str(error))
    enough = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: enough.set())
    try:
        emulator.start()
    except OSError as error:
        parser.exit(1, f"itwin-emulator: cannot serve at {options.host}:{options.port}: {error}\n")
    try:
        _say(emulator.url)
        if not options.quiet:
            _welcome(emulator, options.scenario)
        enough.wait()
    finally:
        emulator.stop()
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _welcome(emulator: Emulator, name: str) -> None:
    """Tell on stderr what the newcomer wants to know; stdout is for programs that want the URL."""
    lines = [
        f"iTwin Platform emulator at {emulator.url} (open it in a browser to watch), scenario {name}",
        f"client {emulator.client_id}; speed {emulator.clock.speed:g}; itwin-emulator --help says how to steer it",
        f"connections: {', '.join(emulator.connection_ids()) or 'none'}",
        "Ctrl+C stops it.",
    ]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
