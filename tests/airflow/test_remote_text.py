"""
Text from the service reaches logs, exceptions, XComs, events and lineage as one printable line, masked and bounded.

Every text of a response is tested with every malicious content.
"""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.notifications import run_message
from airflow_provider_itwin.operators.itwin import ITwinListSourceFilesOperator, ITwinRunStorageConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from itwin_emulator import Emulator
    from tests.airflow.single_task import Outcome

    RunTask = Callable[..., Outcome]

CONNECTION = "demo-storage-connection"
SECRET = "MARKERofasecret0123456789"
TOKEN = f"eyJhbGciOiJub25lIn0.{SECRET}.{SECRET}"
LONGEST = 6000

NASTY = {
    "lines": "a\nINFO - forged\r\nINFO - forged\x0bforged\x85forged",
    "separators": "a\u2028INFO - forged\u2029INFO - forged",
    "control": "a\x00b\x07c\x08d\x7fe\x9ff",
    "terminal": "a\x1b[2J\x1b[38;5;201mred\x1b]0;title\x07\x9b32m",
    "bidi": "a\u202egnp.exe\u2066b\u2069\u200f",
    "invisible": "a\u200bb\u2060c\ufeffd\u00ade",
    "surrogate": "a\ud800b",
    "url": f"see https://blob.example/a.dgn?sv=1&sig={SECRET} now",
    "encoded url": f"https://blob.example/a.dgn%3Fsv%3D1%26sig%3D{SECRET}",
    "split secret": f"s\u200big={SECRET} pass\u2060word={SECRET}",
    "token": f"Bearer {TOKEN} {TOKEN}",
    "account key": f"AccountName=x;AccountKey={SECRET}==;EndpointSuffix=y",
    "huge": "x" * 100_000,
    "huge with secret": "y" * 290 + f" sig={SECRET}" + "z" * 100_000,
    "everything": f"a\n\x1b[31m\u202e\u2028\u200b{TOKEN} https://x/?sig={SECRET}" + "\U0001f600" * 100_000,
}
EACH = pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log, from level DEBUG on."""
    caplog.set_level(logging.DEBUG)
    return caplog


def run_with(run_id: str, text: str, **fields: Any) -> dict[str, Any]:
    """A run in which every text except its id is `text`."""
    error = {
        "errorCode": text,
        "message": text,
        "details": text,
        "description": text,
        "descriptionKey": text,
        "kbArticleLink": text,
        "system": text,
        "phase": text,
        "canUserFix": True,
    }
    task = {
        "id": text,
        "storageFileId": text,
        "sourceFileId": text,
        "exportOutputFileId": text,
        "state": text,
        "result": text,
        "error": error,
        "startDateTime": "2026-01-01T00:00:00Z",
        "endDateTime": "2026-01-01T00:01:00Z",
        "details": {"synchronizationReport": {"suggestedAction": text, "message": text, "totalWarningsCount": 1}},
    }
    job = {"id": text, "state": text, "result": text, "connectorType": text, "tasks": [task]}
    return {
        "run": {
            "id": run_id,
            "connectionId": CONNECTION,
            "phase": text,
            "state": "Completed",
            "result": text,
            "startDateTime": "2026-01-01T00:00:00Z",
            "endDateTime": "2026-01-01T00:01:00Z",
            "error": {"errorKey": text, "description": text},
            "jobs": [job, {**job, "result": "Error", "tasks": [{**task, "result": "Error"}]}],
        }
        | fields
    }


def body(value: Any) -> bytes:
    """Return JSON with lone surrogates, as a service that cuts texts may send it."""
    return json.dumps(value).encode()


def assert_clean(outcome: Outcome, log: pytest.LogCaptureFixture) -> None:
    """Check the error, the XComs and the log of a task."""
    for record in log.records:
        if not record.name.startswith(("asyncio", "aiohttp", "urllib3")):
            assert_lines(record.getMessage())
    assert_lines(outcome.text)
    assert len(outcome.text) < 40_000
    for value in (outcome.xcoms, outcome.events, outcome.value, [one.serialize() for one in outcome.triggers]):
        for one in walk(value):
            assert_line(one)
        assert len(json.dumps(value)) < 60_000
    message = run_message({"exception": outcome.error, "ti": None})
    assert_line(message.subject)
    assert_lines(message.text)


def assert_lines(text: str) -> None:
    """Check that no line of a text of this package is a forged one."""
    for line in text.split("\n"):
        assert not line.startswith("INFO - forged")
        assert_line(line)


def assert_line(text: str) -> None:
    assert text.isprintable(), ascii(text[:400])
    assert SECRET not in text, text[max(0, text.find(SECRET) - 100) :][:200]
    assert len(text) <= LONGEST, text[:400]


def walk(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from walk(key)
            yield from walk(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from walk(entry)


@EACH
@MODES
def test_the_texts_of_a_run_are_clean(
    emulator: Emulator, run_task: RunTask, log: pytest.LogCaptureFixture, text: str, deferrable: bool
) -> None:
    run_id = emulator.start_run(CONNECTION)
    emulator.fail("get-storage-connection-run", 2, 200, body=body(run_with(run_id, text, state=text)))
    emulator.fail("get-storage-connection-run", None, 200, body=body(run_with(run_id, text)))
    files = [{"id": text, "storageFileId": text, "connectorType": text, "lastKnownFileName": text}]
    emulator.fail("get-storage-connection-sourcefiles", None, 200, body=body({"sourceFiles": files}))

    task = ITwinStorageConnectionRunSensor(
        task_id="wait", connection_id=CONNECTION, run_id=run_id, deferrable=deferrable, poke_interval=1
    )
    outcome = run_task(task)

    assert outcome.state == "failed"
    assert outcome.xcoms["run_report"]["failing_tasks"]
    assert any(" after " in record.getMessage() for record in log.records)
    assert_clean(outcome, log)


@EACH
@MODES
@pytest.mark.parametrize("shape", ["error", "oauth", "title", "plain", "problem"])
@pytest.mark.parametrize("status", [404, 422, 503])
def test_the_texts_of_a_refusal_are_clean(
    emulator: Emulator,
    run_task: RunTask,
    log: pytest.LogCaptureFixture,
    text: str,
    deferrable: bool,
    shape: str,
    status: int,
) -> None:
    error = {"code": text, "message": text, "target": text}
    shapes: dict[str, bytes] = {
        "error": body({"error": {**error, "details": [error] * 3}}),
        "oauth": body({"error": text, "error_description": text}),
        "problem": body({"code": text, "title": text, "detail": text}),
        "title": f"<html><title>{text}</title></html>".encode("utf-8", "replace"),
        "plain": text.encode("utf-8", "replace"),
    }
    headers = {"x-correlation-id": "".join(char for char in text if char.isprintable() and char.isascii())[:4000]}
    emulator.fail("run-storage-connection", None, status, headers, shapes[shape])

    outcome = run_task(
        ITwinRunStorageConnectionOperator(task_id="run", connection_id=CONNECTION, deferrable=deferrable)
    )

    assert outcome.state in ("failed", "up_for_retry")
    assert_clean(outcome, log)


@EACH
def test_the_texts_of_a_refused_token_are_clean(
    emulator: Emulator, run_task: RunTask, log: pytest.LogCaptureFixture, text: str
) -> None:
    emulator.fail("token", None, 400, body=body({"error": text, "error_description": text}))

    outcome = run_task(ITwinRunStorageConnectionOperator(task_id="run", connection_id=CONNECTION))

    assert outcome.state in ("failed", "up_for_retry")
    assert_clean(outcome, log)
    _, tested = ITwinHook().test_connection()
    assert_line(tested)


@EACH
@MODES
def test_the_texts_of_a_connection_are_clean(
    emulator: Emulator, run_task: RunTask, log: pytest.LogCaptureFixture, text: str, deferrable: bool
) -> None:
    link = {"href": text}
    connection = {
        "id": CONNECTION,
        "displayName": text,
        "iModelId": text,
        "iTwinId": text,
        "authenticationType": text,
        "error": {"errorKey": text, "description": text},
        "_links": {"iModel": link, "iTwin": link, "lastRun": {"href": f"https://x/runs/{CONNECTION}/{text}"}},
    }
    emulator.fail("get-storage-connection", None, 200, body=body({"connection": connection}))

    outcome = run_task(
        ITwinRunStorageConnectionOperator(
            task_id="run", connection_id=CONNECTION, wait_for_completion=True, deferrable=deferrable
        )
    )

    assert outcome.state == "success"
    assert_clean(outcome, log)


@EACH
@pytest.mark.parametrize("status", [202, 303])
def test_the_id_of_a_run_is_clean(
    emulator: Emulator, run_task: RunTask, log: pytest.LogCaptureFixture, text: str, status: int
) -> None:
    from urllib.parse import quote

    name = quote(text.encode("utf-8", "replace"), safe="")[:4000]
    headers = {"location": f"{emulator.url}/synchronization/imodels/storageconnections/{CONNECTION}/runs/{name}"}
    emulator.fail("run-storage-connection", None, status, headers, b"", processed=False)

    outcome = run_task(
        ITwinRunStorageConnectionOperator(task_id="run", connection_id=CONNECTION, if_active="fail", timeout=60)
    )

    assert_clean(outcome, log)


@EACH
def test_the_texts_of_source_files_are_clean(
    emulator: Emulator, run_task: RunTask, log: pytest.LogCaptureFixture, text: str
) -> None:
    file = {"id": text, "storageFileId": text, "sourceFileId": text, "connectorType": text, "lastKnownFileName": text}
    emulator.fail("get-storage-connection-sourcefiles", None, 200, body=body({"sourceFiles": [file]}))

    outcome = run_task(ITwinListSourceFilesOperator(task_id="list", connection_id=CONNECTION))

    assert len(outcome.value) == 1
    assert_clean(outcome, log)


@EACH
def test_the_texts_in_lineage_are_clean(emulator: Emulator, log: pytest.LogCaptureFixture, text: str) -> None:
    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.models.resources import (
        ConnectionKind,
        RunEnvelope,
        RunRef,
        decoded,
    )
    from airflow_provider_itwin.utils.openlineage import lineage_of

    run = decoded(body(run_with("r", text)), RunEnvelope).run
    report = RunReport.of(RunRef(ConnectionKind.STORAGE, CONNECTION, "r"), run)
    connection = {"id": CONNECTION, "displayName": text, "iModelId": text}
    emulator.fail("get-*-connection", None, 200, body=body({"connection": connection}))
    file = {"id": text, "storageFileId": text, "lastKnownFileName": text}
    emulator.fail("get-*-sourcefiles", None, 200, body=body({"sourceFiles": [file]}))

    for kind in ("storage", "export"):
        lineage = lineage_of(ITwinHook(), kind, CONNECTION, "r", report, failed=True)
        facets = lineage.run_facets
        assert_lines(facets["errorMessage"].message)
        for one in walk([facets["itwin_run"].totals, facets["itwin_run"].summary]):
            assert_line(one)
        for dataset in (*lineage.inputs, *lineage.outputs):
            assert_line(dataset.name)
            for facet in (dataset.facets or {}).values():
                assert_line(facet.description)


@EACH
def test_the_target_of_a_link_is_clean(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    from airflow_provider_itwin import links

    stored = f"https://portal.example/{text}"
    monkeypatch.setattr(links, "XCom", SimpleNamespace(get_value=lambda **_: stored))
    task: Any = SimpleNamespace(kind="storage", has_links=True)
    key: Any = SimpleNamespace()

    assert_line(links.ITwinRunLink().get_link(task, ti_key=key))
