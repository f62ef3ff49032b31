"""
Runs DAGs in which the service echoes every secret, at log level DEBUG, in the Airflow of ``AIRFLOW_HOME``.

This is a separate process, started by ``test_no_secret_anywhere.py``. The test then searches the database, the files, the output
of this process, and the pages of the emulator for secrets.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_VERSION
from tests.faults.faults import FAULTS, Fault

SECRET = "MARKER+client/secret=of&nobody"
PROXY_PASSWORD = "MARKERproxypassword"
SIGNED_URL = "https://files.example.com/Tower.dgn?sv=2026&se=tomorrow&sig=MARKERsignature%2Fof%3Durl"
OPAQUE_TOKEN = "MARKERopaque0123456789token"

OPERATIONS = ("get-storage-connection", "run-storage-connection", "get-storage-connection-run")

PAGES_OF_REQUESTS = ("", "emulator/requests?limit=100000")
PAGES = (*PAGES_OF_REQUESTS, "emulator", "emulator/dashboard", "emulator/runs?limit=100000")

SCRIPTED = tuple(failure for failure in FAULTS if failure.fault is not None)
ECHOED = tuple(zip(cycle(OPERATIONS), SCRIPTED, strict=False))

_DAG = """\
import pendulum
from tests.airflow.sdk import DAG

from airflow_provider_itwin.operators.itwin import (
    ITwinListSourceFilesOperator as ListFiles,
    ITwinRunExportConnectionOperator as RunExport,
    ITwinRunManifestConnectionOperator as RunManifest,
    ITwinRunStorageConnectionOperator as RunStorage,
)
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor as Sensor

with DAG({dag_id!r}, start_date=pendulum.datetime(2026, 1, 1), schedule=None):
{tasks}
"""

# The URL comes from a template, as from a vault: a DAG file with the URL would be shown in the UI.
_BODY = (
    "{'sourceFiles': [{'id': 'tower', 'name': 'Tower.dgn', 'action': 'bridge', 'url': '{{ var.value.signed_url }}'}]}"
)
_MODES = {"deferred": "deferrable=True", "worker": "deferrable=False"}


def markers(token: str) -> dict[str, str]:
    """Return everything that must not be found, with a description."""
    header, claims, signature = token.split(".")
    assert header
    return {
        SECRET: "client secret",
        quote(SECRET, safe=""): "client secret, as a form has it",
        base64.b64encode(f"service-emulator:{SECRET}".encode()).decode(): "client id and secret, as a header has them",
        claims: "claims of the token",
        signature: "signature of the token",
        PROXY_PASSWORD: "password of the proxy",
        "MARKERsignature": "signature of a URL",
        OPAQUE_TOKEN: "token in the extra",
    }


def echo_of_requests(token: str) -> str:
    """Return a text with everything that a request to the API contains."""
    return f"Authorization: Bearer {token} {json.dumps({'access_token': token})} {token} {SIGNED_URL}"


def echo(token: str) -> str:
    """Return a text with every secret, in each encoding in which it was sent."""
    form = f"client_secret={quote(SECRET, safe='')}&grant_type=client_credentials"
    return f"{form} {quote(SECRET, safe='')} {SECRET} {json.dumps({'client_secret': SECRET})} {echo_of_requests(token)}"


def good(emulator: Any, token: str) -> list[str]:
    """All runs succeed, of each kind and in each mode."""
    files = [{"name": "Tower.dgn", "file_id": "tower"}, {"name": "Roof.rvt", "file_id": "roof"}]
    for kind in ("storage", "manifest", "export"):
        emulator.add_connection(kind, f"good-{kind}", files=files)
    lines = [
        "ListFiles(task_id='list', connection_id='good-storage')",
        f"RunManifest.partial(task_id='mapped', connection_id='good-manifest').expand(body=[{_BODY}])",
    ]
    for name, mode in _MODES.items():
        wait = f"wait_for_completion=True, {mode}"
        lines += [
            f"start_{name} = RunStorage(task_id='storage_{name}', connection_id='good-storage', {wait})",
            f"Sensor(task_id='sensor_{name}', connection_id='good-storage', run_id=start_{name}.output, {mode})",
            f"RunManifest(task_id='manifest_{name}', connection_id='good-manifest', body={_BODY}, {wait})",
            f"RunExport(task_id='export_{name}', connection_id='good-export', body={{'exportType': 'IFC'}}, {wait})",
        ]
    return lines


def failing(emulator: Any, token: str) -> list[str]:
    """Runs fail, and every text about them contains what the API was sent; the API never gets the client secret."""
    everything = echo_of_requests(token)
    words = ("message", "details", "description", "error_code", "kb_article_link", "category", "system", "phase")
    failed = {"file": "Tower.dgn", **dict.fromkeys(words, everything)}
    error = {"error_key": "RunFailed", "description": everything}
    lines = []
    for result in ("Error", "PartialSuccess", "Canceled"):
        emulator.add_connection(connection_id=result, files=["Tower.dgn", everything[:300]])
        emulator.plan_run(result, result, 60, failing=[failed], error=error if result == "Error" else None)
        lines += [
            f"RunStorage(task_id='{result}_{name}', connection_id='{result}', wait_for_completion=True, {mode})"
            for name, mode in _MODES.items()
        ]
    emulator.add_connection(connection_id="skipped", files=["Tower.dgn"])
    emulator.plan_run("skipped", "Error", 60, failing=[failed])
    run_id = emulator.start_run("skipped")
    lines += [
        f"Sensor(task_id='skipped_{name}', connection_id='skipped', run_id='{run_id}', soft_fail=True, {mode})"
        for name, mode in _MODES.items()
    ]
    return lines


def refused(emulator: Any, token: str) -> list[str]:
    """Bodies and connections are rejected, by the service or before any request."""
    emulator.add_connection("manifest", "other-files", files=["Other.dgn"])
    emulator.add_connection(connection_id="never", files=["Tower.dgn"])
    return [
        f"RunManifest(task_id='other_files', connection_id='other-files', body={_BODY})",
        "RunManifest(task_id='no_object', connection_id='other-files', body='{{ var.value.signed_url }}')",
        *(
            f"RunStorage(task_id='{conn_id}', connection_id='never', itwin_conn_id='{conn_id}')"
            for conn_id in ("by_opaque_token", "by_proxy", "by_proxy_abroad", "by_url_with_secret")
        ),
        "RunStorage(task_id='deferred', connection_id='never', itwin_conn_id='by_opaque_token', deferrable=True)",
    ]


def echoing(emulator: Any, token: str) -> list[str]:
    """One operation after the other responds with the next fault, and echoes all secrets."""
    everything = echo(token)
    detail = {"code": everything, "message": everything, "target": everything}
    bodies = [{"error": {**detail, "details": [detail]}}, everything, f"<html><title>{everything}</title></html>"]
    location = f"https://elsewhere.example.com/?token={quote(everything)}"
    headers = {"x-correlation-id": everything.replace("\n", " "), "Location": location}
    lines = []
    for number, (operation, failure) in enumerate(ECHOED):
        scripted = failure.fault or {}
        connection_id = f"echo-{number}"
        emulator.add_connection(connection_id=connection_id, files=["Tower.dgn"])
        fault: dict[str, Any] = {
            "body": bodies[number // len(OPERATIONS) % len(bodies)] if "kind" not in scripted else None
        }
        fault |= {"location": location} | scripted | {"headers": headers | scripted.get("headers", {})}
        emulator.fail(operation, None, connection_id=connection_id, **fault)
        lines.append(
            f"RunStorage(task_id='echo_{number}', connection_id='{connection_id}', wait_for_completion=True, timeout=600, "
            f"itwin_conn_id='{'hurried' if failure.timeout < 1 else 'itwin_default'}', deferrable={bool(number % 2)})"
        )
    return lines


def lasting_fault(failure: Fault) -> Callable[[Any, str], list[str]]:
    """Return a scenario in which the service deviates from its documentation, or has another time."""

    def scenario(emulator: Any, token: str) -> list[str]:
        connection_id = failure.name.replace(" ", "-")
        emulator.add_connection(connection_id=connection_id, files=["Tower.dgn"])
        for quirk, value in failure.quirks.items():
            setattr(emulator.quirks, quirk, value)
        emulator.store.clock.skew = failure.skew
        return [
            f"RunStorage(task_id='{name}', connection_id='{connection_id}', wait_for_completion=True, timeout=600, {mode})"
            for name, mode in _MODES.items()
        ]

    return scenario


def token_fault(fault: dict[str, Any]) -> Callable[[Any, str], list[str]]:
    """Return a scenario in which the token endpoint fails, and echoes the form that it was sent."""

    def scenario(emulator: Any, token: str) -> list[str]:
        everything = echo(token)
        echoing = {name: made(everything) for name, made in fault.items() if callable(made)}
        echoing.setdefault("headers", {"x-correlation-id": everything} | fault.get("headers", {}))
        emulator.fail("token", None, **{"location": f"/?token={quote(everything)}", **fault, **echoing})
        return ["RunStorage(task_id='token_fault', connection_id='never', itwin_conn_id='hurried')"]

    return scenario


_ECHOES: tuple[dict[str, Any], ...] = (
    {"status": 400, "body": lambda everything: {"error": everything, "error_description": everything}},
    {"status": 401, "body": lambda everything: {"error": "invalid_client", "error_description": everything}},
    {"status": 500, "body": lambda everything: everything},
    {"status": 403, "body": lambda everything: b"\xff" + everything.encode()},
    {"status": 200, "body": lambda everything: {"access_token": f"{SECRET} {everything}"}},
)


def scenarios() -> Iterator[tuple[str, Callable[[Any, str], list[str]]]]:
    """Yield the name and the tasks of each DAG."""
    for scenario in (good, refused, echoing):
        yield scenario.__name__, scenario
    for number, fault in enumerate((*_ECHOES, *(failure.fault or {} for failure in SCRIPTED))):
        yield f"token_fault_{number}", token_fault(fault)
    for number, failure in enumerate(failure for failure in FAULTS if failure.is_lasting):
        yield f"lasting_fault_{number}", lasting_fault(failure)
    # Last, because the scripted texts are shown on every page with runs.
    yield failing.__name__, failing


def emulator_pages(emulator: Any, paths: tuple[str, ...]) -> str:
    """Return the pages of the emulator, and its request log."""
    shown = []
    for path in paths:
        page = requests.get(f"{emulator.url}/{path}", timeout=60)
        page.raise_for_status()
        shown.append(page.text)
    return "\n".join(shown)


def connect(conn_id: str, host: str, extra: dict[str, Any] | None = None, **fields: Any) -> None:
    """Set an Airflow connection."""
    value = {"conn_type": "itwin", "host": host, "login": "service-emulator", "password": SECRET, "extra": extra or {}}
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(value | fields)


def main() -> None:
    """Run all scenarios, and write the states of their tasks."""
    import pytest
    from airflow.utils.db import initdb

    from itwin_emulator import Emulator
    from itwin_emulator.http.oauth import TokenService
    from tests.airflow.dag_runs import load_dag
    from tests.airflow.fake_clock import FakeClock, use_fake_clock
    from tests.airflow.single_task import separate_process

    initdb()
    hide_local_variables()
    logging.basicConfig(stream=sys.stdout, level=logging.DEBUG)
    for name in (None, "airflow", "airflow.task", "airflow_provider_itwin", "urllib3", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)

    clock = FakeClock()
    use_fake_clock(clock, pytest.MonkeyPatch())
    states: dict[str, dict[str, str]] = {}
    pages = ""
    with Emulator(clock=clock, client_secret=SECRET, token_lifetime=1e8) as emulator:
        token = emulator.make_token(emulator.client_id)
        # One token for all, so that the scripts above can echo it.
        TokenService.make = lambda *_, **__: token  # type: ignore[method-assign]
        proxies = dict.fromkeys(("http", "https"), f"http://somebody:{PROXY_PASSWORD}@127.0.0.1:9")
        connect("itwin_default", emulator.url)
        connect("hurried", emulator.url, {"timeout": 0.1})
        connect("by_opaque_token", emulator.url, {"token": OPAQUE_TOKEN}, login=None, password=None)
        connect("by_proxy", emulator.url, {"proxies": proxies})
        connect(
            "by_proxy_abroad", "https://api.example.com", {"proxies": proxies, "issuer_url": "https://ims.example.com"}
        )
        connect("by_url_with_secret", f"https://service-emulator:{quote(SECRET, safe='')}@api.bentley.com")
        os.environ["AIRFLOW_VAR_SIGNED_URL"] = SIGNED_URL
        for dag_id, scenario in scenarios():
            tasks = textwrap.indent("\n".join(scenario(emulator, token)), "    ")
            dag = load_dag(Path(os.environ["AIRFLOW_HOME"]), dag_id, _DAG.format(dag_id=dag_id, tasks=tasks))
            store_serialized_dag(dag)
            with separate_process():
                run = dag.test()
            states[dag_id] = {f"{ti.task_id}": str(ti.state) for ti in run.get_task_instances()}
            emulator.clear_faults()
            emulator.quirks.reset()
            clock.skew = 0.0
            pages += emulator_pages(emulator, PAGES if dag_id != failing.__name__ else PAGES_OF_REQUESTS)
            emulator.request_log.clear()
    store_trigger()
    Path(sys.argv[1]).write_text(json.dumps({"states": states, "markers": markers(token), "pages": pages}))


def hide_local_variables() -> None:
    """Hide local variables in the tracebacks of Airflow 3.0: its console shows them, and no provider can mask them."""
    if AIRFLOW_V_3_0_PLUS and AIRFLOW_VERSION < (3, 1):
        from structlog.dev import RichTracebackFormatter

        shown = RichTracebackFormatter.__call__

        def without_locals(self: RichTracebackFormatter, *arguments: Any) -> None:
            self.show_locals = False
            shown(self, *arguments)

        RichTracebackFormatter.__call__ = without_locals  # type: ignore[method-assign, assignment]


def store_serialized_dag(dag: Any) -> None:
    """Store a serialized DAG; since Airflow 3.1 ``dag.test`` does so."""
    if AIRFLOW_VERSION < (3, 1):
        from airflow.models.serialized_dag import SerializedDagModel

        bundle: dict[str, Any] = {"bundle_name": "dags-folder"} if AIRFLOW_V_3_0_PLUS else {}
        SerializedDagModel.write_dag(dag, **bundle)


def store_trigger() -> None:
    """Store a trigger; the triggers of the tasks above ran in this process and were not stored."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    from airflow_provider_itwin.api.models.enums import ConnectionKind
    from airflow_provider_itwin.api.wait.models import WaitSpec
    from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger

    with create_session() as session:
        session.add(
            Trigger.from_object(
                ITwinRunTrigger("itwin_default", WaitSpec(ConnectionKind.STORAGE, "good-storage", "a-run"))
            )
        )


if __name__ == "__main__":
    main()
