"""Messages about runs, for mail and chat."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from jinja2.sandbox import SandboxedEnvironment

from airflow_provider_itwin.exceptions import ITwinPermanentError, ITwinRunFailedError
from airflow_provider_itwin.notifications import (
    LONGEST_HTML,
    LONGEST_SUBJECT,
    LONGEST_TEXT,
    RunMessage,
    message_of_report,
    run_message,
)
from tests.airflow.single_task import through_json
from tests.airflow.smtp_server import SmtpServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagRunner

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "itwin_notify.py"
FIRST_FILE = (
    "1. PD-ARC-Deck.rvt (Error, REVIT, TAE_BRG_1021): The file was saved by a version of Revit that is not supported. "
    "Save it with a supported version. You can fix this. "
    "See https://kb.example.com/itwin/unsupported-file-version?lang=en"
)
NASTY = "<script>alert('x')</script>&\"[click](javascript:alert(1))**_`"


def a_file(name: str = "PD-ARC-Deck.rvt", **fields: Any) -> dict[str, Any]:
    return {
        "file_id": "dcf53e58",
        "file_name": name,
        "connector": "REVIT",
        "result": "Error",
        "error_code": "TAE_BRG_1021",
        "message": "The file was saved by a version of Revit that is not supported.",
        "details": None,
        "description": "Save it with a supported version.",
        "can_user_fix": True,
        "kb_article_link": "https://kb.example.com/itwin/unsupported-file-version?lang=en",
    } | fields


def a_report(*files: dict[str, Any], **fields: Any) -> Any:
    return {
        "ref": {"kind": "storage", "connection_id": "demo-failing-connection", "run_id": "446123d7"},
        "state": "Completed",
        "result": "Error",
        "phase": "MasterFile",
        "started": "2026-11-22T01:30:04+00:00",
        "ended": "2026-11-22T01:48:07+00:00",
        "duration": 1083.0,
        "totals": {
            "jobs": 4,
            "jobs_by_result": {"Error": 4},
            "tasks": 5,
            "tasks_by_result": {"Error": 3, "Success": 2},
            "errors": 5,
            "warnings": 7,
            "other_issues": 0,
        },
        "error": {"key": "RunFailed", "description": "Three of five files could not be synchronized."},
        "failing_tasks": list(files),
        "more_failing_tasks": 0,
    } | fields


def forms(message: RunMessage) -> list[str]:
    return [message.subject, message.text, message.markdown, message.html]


def assert_bounded(message: RunMessage) -> None:
    assert len(message.subject) <= LONGEST_SUBJECT
    assert "\n" not in message.subject
    assert len(message.text) <= LONGEST_TEXT
    assert len(message.markdown) <= LONGEST_TEXT
    assert len(message.html) <= LONGEST_HTML


def test_every_format_has_the_same_content() -> None:
    message = message_of_report(
        a_report(a_file()), task="synchronize of DAG nightly", address="https://airflow.example.com/log?try_number=1"
    )
    assert message.subject == "Error: 5 files in 18 min (3 Error, 2 Success), 5 errors, 7 warnings"
    assert message.text.splitlines() == [
        "Error: 5 files in 18 min (3 Error, 2 Success), 5 errors, 7 warnings",
        "Run 446123d7 of storage connection demo-failing-connection",
        "Task synchronize of DAG nightly",
        "Error of the run: RunFailed: Three of five files could not be synchronized.",
        FIRST_FILE,
        "Log: https://airflow.example.com/log?try_number=1",
    ]
    assert str(message) == message.text
    assert message.markdown.startswith("**Error: 5 files in 18 min (3 Error, 2 Success), 5 errors, 7 warnings**\n\n")
    assert "1. **PD-ARC-Deck.rvt** (Error, REVIT, TAE\\_BRG\\_1021): " in message.markdown
    assert "[Knowledge base](https://kb.example.com/itwin/unsupported-file-version?lang=en)" in message.markdown
    assert '<a href="https://kb.example.com/itwin/unsupported-file-version?lang=en">Knowledge base</a>' in message.html
    assert "<li><strong>PD-ARC-Deck.rvt</strong> (Error, REVIT, TAE_BRG_1021): The file" in message.html
    assert '<a href="https://airflow.example.com/log?try_number=1">Log</a>' in message.html
    assert_bounded(message)


def test_the_message_of_a_success_is_short() -> None:
    report = a_report(result="Success", error=None)
    report["totals"] |= {"tasks_by_result": {"Success": 5}, "errors": 0}
    message = message_of_report(report)
    assert message.text == (
        "Success: 5 files in 18 min, 7 warnings\nRun 446123d7 of storage connection demo-failing-connection"
    )


def test_the_advice_is_that_of_the_service() -> None:
    files = [a_file(can_user_fix=value, kb_article_link=None) for value in (True, False, None)]
    lines = [line for line in message_of_report(a_report(*files)).text.splitlines() if line[0].isdigit()]
    assert lines[0].endswith("You can fix this.")
    assert lines[1].endswith("You cannot fix this: contact Bentley support.")
    assert lines[2].endswith("Save it with a supported version.")


class Tags(HTMLParser):
    """The elements of an HTML text, and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += attrs
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_remote_text_is_never_markup() -> None:
    texts = ("file_name", "connector", "result", "error_code", "message", "details", "description", "file_id")
    nasty = a_file(**dict.fromkeys(texts, NASTY), kb_article_link="javascript:alert(1)")
    report = a_report(nasty, result=NASTY, error={"key": NASTY, "description": NASTY})
    message = message_of_report(report, task=NASTY, address="javascript:alert(1)")
    tags = Tags(message.html)
    assert tags.elements <= {"p", "strong", "br", "ol", "li"}
    assert tags.attributes == []
    assert tags.open == []
    assert "<script" not in message.markdown.replace("\\<", "")
    assert not re.search(r"(?<!\\)[\[\]`<>]", message.markdown)
    assert_bounded(message)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        'https://kb.example.com/"onmouseover="alert(1)',
        "https://kb.example.com/a)b",
        "https://user:pass@kb.example.com/",
        "//kb.example.com",
        "http://[half",
        "https://",
        "data:text/html,x",
        "ftp://kb.example.com/a",
        7,
        None,
    ],
)
def test_only_http_links_are_included(address: Any) -> None:
    link = address if isinstance(address, str) else None
    message = message_of_report(a_report(a_file(kb_article_link=link)), address=address)
    assert "href" not in message.html
    assert "](" not in message.markdown
    assert "Read" not in message.text
    assert "Log" not in message.text


def test_a_message_shows_no_secret() -> None:
    signed = "https://storage.example.com/a.dgn?sig=MARKER-signature"
    token = "eyJhbGciOiJub25lIn0.eyJNQVJLRVIiOjF9.MARKER"
    files = [a_file(message=f"could not read {signed}", details=f"Bearer {token}", kb_article_link=signed)]
    report = a_report(*files, error={"key": "RunFailed", "description": f"see {signed}"})
    for message in (
        message_of_report(report, task=signed, address=signed),
        run_message({"exception": ITwinPermanentError(f"could not read {signed}"), "ti": None}),
    ):
        for form in forms(message):
            assert "MARKER" not in form


@pytest.mark.parametrize("letter", ["a", "&", "_", "é", "\n", "\x00", '"'])
def test_the_size_of_a_message_is_bounded(letter: str) -> None:
    long = letter * 10_000
    texts = ("file_name", "connector", "result", "error_code", "message", "details", "description", "file_id")
    report = a_report(*[a_file(**dict.fromkeys(texts, long)) for _ in range(20)], more_failing_tasks=4980, result=long)
    report["error"] = {"key": long, "description": long}
    message = message_of_report(report, task=long, address=f"https://airflow.example.com/{'a' * 400}")
    assert_bounded(message)
    Tags(message.html)
    instance = SimpleNamespace(dag_id="d" * 250, task_id="t" * 250, run_id="r" * 250, map_index=7, log_url="http://a/b")
    assert_bounded(run_message({"exception": ITwinPermanentError(long), "ti": instance}))


def test_the_message_has_the_number_of_omitted_files() -> None:
    message = message_of_report(a_report(*[a_file(message="x" * 290) for _ in range(20)], more_failing_tasks=80))
    shown = len([line for line in message.text.splitlines() if line[0].isdigit()])
    assert 2 < shown < 20
    assert f"… and {100 - shown} more failing files." in message.text
    assert "… and 80 more failing files." in message.html


def test_an_invalid_report_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"missing required field|Expected"):
        message_of_report({"result": "Success"})  # type: ignore[typeddict-item]


# In a callback


class Instance:
    """The part of a task instance that a message uses."""

    dag_id, task_id, run_id, map_index = "nightly", "synchronize", "manual__1", -1
    log_url = "http://airflow.example.com/dags/nightly/log"

    def __init__(self, xcom: Any = None) -> None:
        self._xcom = xcom

    def xcom_pull(self, **asked: Any) -> Any:
        if isinstance(self._xcom, Exception):
            raise self._xcom
        assert asked == {"task_ids": "synchronize", "key": "run_report", "map_indexes": -1}
        return self._xcom


def test_the_report_comes_from_the_exception_or_the_xcom() -> None:
    for context in (
        {"ti": Instance(), "exception": ITwinRunFailedError("x", a_report(a_file()))},
        {"ti": Instance(a_report(a_file())), "exception": ValueError("x")},
        {"task_instance": Instance(a_report(a_file()))},
    ):
        message = run_message(context)
        assert message.subject.startswith("Error: 5 files")
        assert "Task synchronize of DAG nightly, manual__1" in message.text
        assert message.text.endswith("Log: http://airflow.example.com/dags/nightly/log")


@pytest.mark.parametrize("xcom", [None, {"a": 1}, [1], "text", RuntimeError("no database")])
def test_a_message_needs_no_report(xcom: Any) -> None:
    message = run_message({"ti": Instance(xcom), "exception": ITwinPermanentError("It was refused. " * 20)})
    assert message.subject.startswith("ITwinPermanentError: It was refused. It was")
    assert "Task synchronize of DAG nightly, manual__1" in message.text
    assert_bounded(message)


def test_a_message_needs_no_context() -> None:
    assert run_message({}).text == "No run report: no further information"
    run = SimpleNamespace(dag_id="nightly", run_id="manual__1")
    message = run_message({"dag_run": run, "reason": "task_failure"})
    assert message.text == "No run report: task_failure\nDAG nightly, manual__1"


RUN_AS_JSON = {
    "dag_run_id": "manual__1",
    "dag_id": "nightly",
    "state": "running",
    "start_date": "2026-11-26T01:00:00Z",
    "run_type": "manual",
}
MISSED = datetime(2026, 11, 26, 6, tzinfo=UTC)
DEADLINES: dict[str, dict[str, Any]] = {
    "Airflow 3.1 and 3.2": {"dag_run": RUN_AS_JSON, "deadline": {"id": UUID(int=1), "deadline_time": MISSED}},
    "Airflow 3.3": {"dag_run": RUN_AS_JSON, "deadline": {"id": str(UUID(int=1)), "deadline_time": MISSED}},
    "through JSON": {"dag_run": RUN_AS_JSON, "deadline": {"id": "1", "deadline_time": str(MISSED)}},
    "objects": {
        "dag_run": SimpleNamespace(
            dag_id="nightly", run_id="manual__1", state="running", start_date="2026-11-26T01:00:00Z"
        ),
        "deadline": SimpleNamespace(id=1, deadline_time=MISSED),
    },
}


@pytest.mark.parametrize("context", DEADLINES.values(), ids=DEADLINES)
def test_the_callback_of_a_deadline_names_the_dag_run_and_the_deadline(context: dict[str, Any]) -> None:
    message = run_message(context)
    assert message.subject == "Deadline missed: DAG nightly, manual__1"
    assert message.text.splitlines()[1:] == [
        "DAG nightly, manual__1",
        "Deadline: 2026-11-26 06:00:00+00:00",
        "State of the DAG run: running, started 2026-11-26T01:00:00Z",
    ]
    assert_bounded(message)


PARTIAL: list[tuple[dict[str, Any], str]] = [
    ({"deadline": {}}, "Deadline missed: unknown DAG run"),
    ({"deadline": {"deadline_time": None}, "dag_run": {}}, "Deadline missed: unknown DAG run"),
    ({"deadline": "2026-11-26"}, "Deadline missed: unknown DAG run\nDeadline: 2026-11-26"),
    ({"deadline": 7, "dag_run": None}, "Deadline missed: unknown DAG run"),
    ({"dag_run": RUN_AS_JSON}, "No run report: no further information\nDAG nightly, manual__1"),
    ({"dag_run": {"dag_id": "nightly"}}, "No run report: no further information\nDAG nightly"),
    ({"dag_run": "manual__1"}, "No run report: no further information"),
    (
        {"dag": SimpleNamespace(dag_id="nightly"), "run_id": "r"},
        "No run report: no further information\nDAG nightly, r",
    ),
    (
        {"ti": {"dag_id": "nightly", "task_id": "a", "run_id": "r", "map_index": 3}},
        "No run report: no further information\nTask a [3] of DAG nightly, r",
    ),
]


@pytest.mark.parametrize(("context", "text"), PARTIAL, ids=str)
def test_the_message_has_what_the_context_has(context: dict[str, Any], text: str) -> None:
    assert run_message(context).text == text


def test_a_notifier_renders_it_with_the_context_of_a_deadline() -> None:
    template = SandboxedEnvironment().from_string("{{ run_message().subject }}")
    context = through_json({**DEADLINES["through JSON"]})
    assert template.render({**context, "run_message": run_message}) == "Deadline missed: DAG nightly, manual__1"


def test_the_import_is_light(airflow_home: Path) -> None:
    script = (
        "import json, sys\nfrom airflow_provider_itwin.sdk_compat import BaseOperator\nbefore = set(sys.modules)\n"
        "import airflow_provider_itwin.notifications\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    new = json.loads(done.stdout.splitlines()[-1])
    heavy = {"aiohttp", "requests", "msgspec", "yarl", "urllib3"}
    assert [name for name in new if name.partition(".")[0] in heavy] == []


# The example


@pytest.fixture
def mail_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmtpServer]:
    """The mail server of Airflow's connection ``smtp_default``."""
    with SmtpServer() as office:
        fields = {"conn_type": "smtp", "host": "127.0.0.1", "port": office.port, "password": "", "login": ""}
        extra = {"extra": {"disable_ssl": True, "disable_tls": True, "retry_limit": 1}}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(fields | extra))
        monkeypatch.setenv("ITWIN_NOTIFY_MAIL", "bim-team@example.com")
        yield office


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize(
    ("connection_id", "state", "subject", "file"),
    [
        ("demo-partial-connection", "success", "PartialSuccess: 4 files", "LW-ELE-Power.dwg"),
        ("demo-failing-connection", "failed", "Error: 5 files", "PD-ARC-Deck.rvt"),
    ],
)
def test_the_example_sends_a_mail(
    emulator: Emulator,
    dags: DagRunner,
    mail_server: SmtpServer,
    monkeypatch: pytest.MonkeyPatch,
    connection_id: str,
    state: str,
    subject: str,
    file: str,
    deferrable: bool,
) -> None:
    monkeypatch.setenv("ITWIN_CONNECTION_ID", connection_id)
    text = EXAMPLE.read_text().replace("deferrable=True", f"deferrable={deferrable}")
    result = dags.run_file("itwin_notify", text)
    assert result.state == state
    [mail] = mail_server.mails
    assert mail["to"] == "bim-team@example.com"
    assert mail["subject"].startswith(f"[iTwin] {subject}")
    body = mail.get_body(("html",))
    assert body is not None
    content = body.get_content()
    assert f"<strong>{file}</strong>" in content
    assert f"({connection_id})" in content, "the name of the connection comes before its id"
    assert "Task synchronize of DAG itwin_notify" in content
    assert emulator.client_secret not in content
    # The other notifier writes to the log.
    assert "Task synchronize of DAG itwin_notify" in result.log
