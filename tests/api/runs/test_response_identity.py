"""A response is accepted only if it is about what was requested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinProtocolError
from airflow_provider_itwin.api.http.messages import Call
from airflow_provider_itwin.api.http.request_flow import perform_call
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.finished_feed import get_run_summaries
from airflow_provider_itwin.api.wait.waiter import (
    WaitEnd,
    WaitSpec,
    wait,
)
from tests.api.responses import finished, response
from tests.api.scripted_service import WALL, ScriptedService

KINDS = list(ConnectionKind)
GUID = "0d0c6d5a-93a6-4d3f-8f5e-2ba6b4e8d1aa"
BASE64 = "MWplZe9Uf0iR1IDMqyOMLqBN0_wHEVBGg_CzJmXdmE4"

CALLS: dict[str, tuple[Callable[[ConnectionKind], Call[Any]], Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "a run": (lambda kind: endpoints.get_run(kind, "C", "A"), lambda run: {"run": run}),
    "a poll": (lambda kind: endpoints.get_run_summary(kind, "C", "A"), lambda run: {"run": {"state": "Queued", **run}}),
    "the end of a run": (
        lambda kind: endpoints.get_run_summary(kind, "C", "A"),
        lambda run: {"run": {"state": "Completed", "result": "Success", **run}},
    ),
}
"""Operations whose response is a run: the call, and a response with fields of a run."""

ABOUT_ANOTHER_RUN = [
    {"id": "B", "connectionId": "D"},
    {"id": "B", "connectionId": "C"},
    {"id": "A", "connectionId": "D"},
    {"id": "B"},
    {"connectionId": "D"},
    {"id": "A ", "connectionId": "C"},
]

ABOUT_THIS_RUN = [
    {"id": "A", "connectionId": "C"},
    {"id": "a", "connectionId": "c"},
    {"id": "A"},
    {"connectionId": "C"},
    {},
    {"id": None, "connectionId": None},
    {"id": "", "connectionId": ""},
    {"id": "A", "connectionId": GUID},
]
"""The last one names the connection in another form than the request; the two cannot be compared."""


def response_to(call: Call[Any], body: Any) -> Any:
    script = ScriptedService(response(200, body))
    return script.play(perform_call(script.account(), call, retry_budget=0.0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fields", ABOUT_ANOTHER_RUN, ids=str)
def test_a_response_about_another_run_is_refused(kind: ConnectionKind, name: str, fields: dict[str, Any]) -> None:
    make, answer = CALLS[name]

    with pytest.raises(ITwinProtocolError, match="was requested"):
        response_to(make(kind), answer(fields))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fields", ABOUT_THIS_RUN, ids=str)
def test_case_and_missing_ids_do_not_matter(kind: ConnectionKind, name: str, fields: dict[str, Any]) -> None:
    make, answer = CALLS[name]

    response_to(make(kind), answer(fields))


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (endpoints.get_connection, {"connection": {"id": "D"}}),
        (endpoints.get_connection_with_time, {"connection": {"id": "D", "displayName": "C"}}),
        (
            lambda kind, id_: endpoints.get_runs(kind, id_, 10, 0),
            {"runs": [{"connectionId": "C"}, {"connectionId": "D"}]},
        ),
        (lambda kind, id_: get_run_summaries(kind, id_, 10, 0), {"runs": [{"id": "r", "connectionId": "D"}]}),
        (
            lambda kind, id_: endpoints.get_connections(kind, id_, 10, 0),
            {"connections": [{"id": "c", "iModelId": "another"}]},
        ),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_response_about_another_connection_or_imodel_is_refused(kind: ConnectionKind, call: Any, body: Any) -> None:
    with pytest.raises(ITwinProtocolError, match="was requested"):
        response_to(call(kind, "C"), body)


@pytest.mark.parametrize(("asked_for", "named"), [(GUID, GUID.upper()), (GUID, BASE64), (BASE64, GUID)])
def test_two_forms_of_an_id_are_not_compared(asked_for: str, named: str) -> None:
    response_to(endpoints.get_connection(ConnectionKind.EXPORT, asked_for), {"connection": {"id": named}})


@pytest.mark.parametrize(("asked_for", "named"), [(GUID, GUID.replace("0d", "1d")), (BASE64, BASE64.replace("M", "N"))])
def test_another_id_of_the_same_form_is_refused(asked_for: str, named: str) -> None:
    with pytest.raises(ITwinProtocolError):
        response_to(endpoints.get_connection(ConnectionKind.EXPORT, asked_for), {"connection": {"id": named}})


def test_a_wait_does_not_end_with_the_success_of_another_run() -> None:
    spec = WaitSpec(ConnectionKind.STORAGE, "C", "A", began=WALL, outage_tolerance=100.0)
    script = ScriptedService(always=finished(id="B", connectionId="D"))

    result = script.play(wait(script.account(), spec))

    assert result.end is WaitEnd.OUTAGE
    assert result.run is None
    assert "The response is about run 'B', but run 'A' was requested" in str(result.error)
