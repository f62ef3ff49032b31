"""Polling a run, or the newest run of a connection."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_itwin.api.errors import ITwinProtocolError
from airflow_provider_itwin.api.http.messages import Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs.polling import PollResult, poll_newest_run, poll_run
from tests.api.responses import MANIFEST, STORAGE, connection, error, finished, response, run
from tests.api.scripted_service import ScriptedService

KIND = ConnectionKind.STORAGE
REF = RunRef(KIND, "c1", "new")
SINCE = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)


def poll(answer: Response) -> PollResult:
    """Poll a run once, with one response."""
    script = ScriptedService(answer)
    return script.play(poll_run(script.account(), REF, retry_budget=0.0))


@pytest.mark.parametrize(
    ("start", "seen"),
    [
        ("2026-09-21T14:13:20Z", True),
        ("2026-09-21T16:13:20+02:00", True),
        ("2026-09-21T14:13:19.999999Z", False),
        ("0001-01-01T00:00:00", False),
        (None, False),
        ("garbage", False),
    ],
)
def test_the_newest_run_counts_if_it_began_late_enough(start: str | None, seen: bool) -> None:
    script = ScriptedService(connection("new"), run("Executing", start=start))

    poll_result = script.play(poll_newest_run(script.account(), KIND, "c1", SINCE))

    assert (poll_result is not None) is seen
    assert script.lines == [f"GET {STORAGE}/c1", f"GET {STORAGE}/c1/runs/new"]


@pytest.mark.parametrize(
    "answers",
    [
        [connection(None)],
        [connection(f"{STORAGE}/another/runs/new")],
        [connection(f"{MANIFEST}/c1/runs/new")],
        [connection("https://x/y")],
        [connection("new"), error(404)],
    ],
)
def test_there_is_no_newest_run_without_a_last_run_of_the_connection_that_is_found(answers: list[Response]) -> None:
    script = ScriptedService(*answers)

    assert script.play(poll_newest_run(script.account(), KIND, "c1", SINCE)) is None


def test_a_poll_decodes_the_whole_run_only_once_it_has_ended() -> None:
    jobs = [{"tasks": [{"result": "Success"}]}]

    assert poll(run("Executing", jobs=jobs)).run is None
    ended = poll(finished(jobs=jobs)).run
    assert ended is not None
    assert ended.jobs is not None
    assert ended.jobs[0].tasks is not None


def test_a_lone_surrogate_in_a_finished_run_is_replaced() -> None:
    ended = poll(response(200, b'{"run":{"state":"Completed","jobs":[{"id":"\\ud800"}]}}')).run

    assert ended is not None
    assert ended.jobs is not None
    assert ended.jobs[0].id == "\ufffd"


def test_a_finished_run_that_is_not_json_is_a_protocol_error_with_the_correlation_id() -> None:
    broken = response(200, b'{"run":{"id":"r1","state":"Completed","jobs":[{"id":"\\q"}]}}', x_correlation_id="corr")

    with pytest.raises(ITwinProtocolError) as caught:
        poll(broken)

    assert caught.value.correlation_id == "corr"
