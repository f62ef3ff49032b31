"""Job reports: messages, details and the result, bounded and without secrets."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobMessages
from airflow_provider_itwin.api.jobs.inputs import JobInput
from airflow_provider_itwin.api.jobs.polling import JobSnapshot, JobSummary
from airflow_provider_itwin.api.jobs.report import JobMessage, JobReport
from airflow_provider_itwin.jobs import REALITY_MODELING
from tests.api.jobs.job_apis import REF, thing

SETTINGS = settings(max_examples=100, deadline=None, derandomize=True, database=None)
WITH_MESSAGES = thing(messages=JobMessages(errors=("errors", "thing.error"), warnings=("warnings",)))
LARGEST = 12 * 1024
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl"
SAS = "https://account.blob.core.windows.net/c/file.bin?sv=2024&se=2026&sp=r&sig=c2VjcmV0c2VjcmV0"


def report(details: Any = None, job: JobDefinition = WITH_MESSAGES, **parts: Any) -> JobReport:
    """Return the report of a job that has failed."""
    snapshot = JobSnapshot(JobSummary("Failed", "failed", 40.0), {} if details is None else details, **parts)
    return JobReport.of(job, REF, snapshot)


def size(one: JobReport) -> int:
    """Return the bytes of a report as Airflow stores it."""
    return len(json.dumps(one.as_dict()))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("It failed.", ["error: It failed."]),
        (["One.", "Two."], ["error: One.", "error: Two."]),
        ([["One."]], ["error: One."]),
        ({"code": "E1", "message": "It failed."}, ["error: It failed. (E1)"]),
        ({"code": "E1"}, ["error: E1"]),
        ({"code": 17, "message": "It failed."}, ["error: It failed. (17)"]),
        ({"code": "E1", "title": "Input", "message": "No photos."}, ["error: Input: No photos. (E1)"]),
        ({"title": "Same", "message": "Same"}, ["error: Same"]),
        ({"errorKey": "K", "description": "D"}, ["error: D (K)"]),
        ({"message": "{0} of {1} photos, {2}", "params": ["3", 5]}, ["error: 3 of 5 photos, {2}"]),
        ({"message": "{0}", "params": ["{1}", "x"]}, ["error: {1}"]),
        ({"message": "{0}", "params": "abc"}, ["error: {0}"]),
        ({"message": 'Invalid. ("%1")', "params": ["Scene"]}, ['error: Invalid. ("Scene")']),
        ({"message": "%2 of %1, 100%, %0, %3, %12", "params": ["9", "%1"]}, ["error: %1 of 9, 100%, %0, %3, %12"]),
        ({"message": "%1", "params": []}, ["error: %1"]),
        ({"message": "{0}", "params": [None]}, ["error: None"]),
        ({"message": "Low.", "level": "Warning"}, ["warning: Low."]),
        ({"message": "Bad.", "level": "CRITICAL"}, ["error: Bad."]),
        ({"message": "Fine.", "level": "Information"}, []),
        ({"message": "A\nb\x1b[31m\u202e"}, ["error: A b"]),
        ({}, []),
        ("", []),
        (" ", []),
        (None, []),
        (5, []),
        (True, []),
        ({"message": {"nested": 1}}, []),
        ([None, 5, {}, "x"], ["error: x"]),
    ],
)
def test_messages_of_any_form_are_read(value: Any, expected: list[str]) -> None:
    made = report({"thing": {"error": value}})

    assert [f"{one.level}: {one}" for one in made.messages] == expected


def test_errors_come_first_and_each_message_once() -> None:
    made = report(
        {"warnings": ["w", "w"], "errors": ["e2"], "thing": {"error": "e1"}}, messages={"errors": ["e2", "e3"]}
    )

    assert [str(one) for one in made.messages] == ["e2", "e3", "e1", "w"]


def test_a_log_has_errors_and_warnings_by_its_levels() -> None:
    job = thing(messages=JobMessages(warnings=("logs",)))
    logs = [
        {"level": "Information", "message": "Begins"},
        {"level": "Warning", "category": "Mapping", "message": "No elements"},
        {"level": "Error", "category": "Mapping", "message": "No schema"},
        {"message": "Without a level"},
    ]

    made = report(job=job, messages={"logs": logs})

    assert [f"{one.level}: {one}" for one in made.messages] == [
        "error: Mapping: No schema",
        "warning: Mapping: No elements",
        "warning: Without a level",
    ]


def test_what_is_left_out_is_counted() -> None:
    made = report({"errors": [f"error {number}" for number in range(1000)]})

    assert 40 <= len(made.messages) <= 50
    assert made.messages_left_out == 1000 - len(made.messages)
    assert made.text.count("\n") == 11
    assert f"and {1000 - 10} more; the first {len(made.messages)} are in the XCom job_report" in made.text


SECRETIVE = thing(
    inputs={
        "ec3_token": JobInput(secret=True, member="options.ec3BearerToken"),
        "api_key": JobInput(secret=True, place="header", member="X-Api-Key"),
    },
    messages=JobMessages(errors=("errors",)),
    result="thing.result",
)


def test_no_secret_is_in_a_report() -> None:
    details = {
        "thing": {
            "ec3BearerToken": "hunter2",
            "EC3BEARERTOKEN": "hunter2",
            "ec3_token": "hunter2",
            "options": [{"ec3BearerToken": {"value": "hunter2"}}],
            "x-api-key": "hunter2",
            "link": SAS,
            "text": f"see {SAS} or Bearer {TOKEN}",
            "url": f"  {SAS}",
            SAS: 1,
            "token": TOKEN,
        },
        "errors": [f"cannot read {SAS}", {"code": SAS, "message": "x"}, {"message": "{0}", "params": [SAS, TOKEN]}],
    }

    made = report(details, job=SECRETIVE, result={"href": SAS, "ec3BearerToken": "hunter2", "list": [SAS]})

    text = json.dumps(made.as_dict()) + made.text + repr(made)
    for secret in ("hunter2", "sig=", "c2VjcmV0c2VjcmV0", "eyJzdWIi", "c2lnbmF0dXJl"):
        assert secret not in text
    assert "https://account.blob.core.windows.net/c/file.bin" in text


def test_a_result_that_is_a_link_is_in_no_report_even_without_a_signature() -> None:
    link = "https://cdn.example/c/whoever-has-this-may-read"
    made = report(
        {"thing": {"result": link, "other": f"open {link} now"}, "errors": [link]}, job=SECRETIVE, result=link
    )

    assert made.result is None
    assert "whoever-has-this" not in json.dumps(made.as_dict()) + made.text


def test_other_links_without_a_signature_are_kept() -> None:
    link = "https://api.bentley.com/things/t1?top=5"

    assert report({"link": link}).details == {"link": link}


WORST: dict[str, Any] = {
    "long text": "x" * 1_000_000,
    "wide text": "\U0001f600" * 300_000,
    "quotes": '"\\' * 300_000,
    "many members": {f"member {number}": "y" * 500 for number in range(20_000)},
    "wide members": {"\U0001f600" * 200 + str(number): "ü" * 500 for number in range(2_000)},
    "many entries": ["z" * 400] * 50_000,
    "bushy": [[[[[["ü" * 300] * 30] * 5] * 5] * 5] * 5] * 5,
    "deep list": json.loads("[" * 900 + "]" * 900),
    "deep object": json.loads('{"a":' * 900 + "1" + "}" * 900),
    "huge integers": [10**4000] * 100,
    "errors": [{"code": "\U0001f600" * 999, "title": "ü" * 9999, "message": "\U0001f600" * 9999, "level": "Error"}]
    * 999,
    "different errors": [{"code": f"\U0001f600{number}" * 99, "message": f"ü{number}" * 999} for number in range(5000)],
    "params": {"message": "{0}" * 20_000, "params": ["p" * 100_000] * 1000},
    "numbered params": {"message": "%1" * 20_000, "params": ["p" * 100_000] * 1000},
    "many params": {"message": "x{0}" * 10_000, "params": list(range(150_000))},
    "one word": {"message": "a" * 10_000_000},
}


@pytest.mark.parametrize("value", WORST.values(), ids=WORST)
def test_a_report_is_bounded_whatever_the_service_sends(value: Any) -> None:
    sent = {"thing": {"error": value, "state": "Failed"}, "errors": value, "warnings": value}
    began = time.process_time()

    made = report(sent, messages={"errors": value}, result=value)

    assert time.process_time() - began < 5
    assert size(made) <= LARGEST
    assert made.state == "Failed"
    assert len(made.text) < 20_000
    assert JobReport.from_dict(json.loads(json.dumps(made.as_dict())), REF) == made


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["message", "code", "title", "params", "level", "errors", "x"]), inner)
    ),
    max_leaves=20,
)


@SETTINGS
@given(JSON, JSON, JSON)
def test_any_response_becomes_a_report_that_survives_json(error: Any, messages: Any, result: Any) -> None:
    made = report({"errors": error, "thing": result}, messages=messages, result=result)

    assert size(made) <= LARGEST
    assert JobReport.from_dict(json.loads(json.dumps(made.as_dict(), allow_nan=False)), REF) == made


def test_a_small_result_is_kept() -> None:
    outputs = {"production": {"id": "p1", "exports": [{"location": "rd1", "size": 2.5}], "done": True, "none": None}}

    assert report(job=REALITY_MODELING, result=outputs).result == outputs


@pytest.mark.parametrize(
    ("outcome", "verb"),
    [("passed", "has succeeded"), ("warned", "has succeeded in part"), ("failed", "has failed"), ("running", "runs")],
)
def test_the_text_says_what_became_of_the_job(outcome: Any, verb: str) -> None:
    made = JobReport(REF, "Odd", outcome, messages=(JobMessage("error", "It failed.", "E1"),))

    assert made.text == f"Thing t1 {verb}: its state is Odd.\n  error: It failed. (E1)"


def test_a_report_cannot_be_an_xcom_by_itself() -> None:
    with pytest.raises(TypeError, match="return its as_dict"):
        report().serialize()


GOOD = report({"errors": [{"code": "E", "message": "m"}]}, result={"a": 1}).as_dict()


@pytest.mark.parametrize(
    "values",
    [
        None,
        5,
        "x",
        [],
        {},
        *({name: value for name, value in GOOD.items() if name != left_out} for left_out in GOOD),
        {**GOOD, "job_id": "another"},
        {**GOOD, "name": "another"},
        {**GOOD, "outcome": "Passed"},
        {**GOOD, "outcome": None},
        {**GOOD, "state": 5},
        {**GOOD, "messages": None},
        {**GOOD, "messages": ["x"]},
        {**GOOD, "messages": [{"level": "fatal", "code": None, "text": "x"}]},
        {**GOOD, "messages_left_out": "many"},
        {**GOOD, "progress": "40"},
    ],
)
def test_anything_else_is_no_report(values: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        JobReport.from_dict(values, REF)


def test_a_report_of_a_later_version_can_be_read() -> None:
    assert JobReport.from_dict({**GOOD, "added_later": [1]}, REF).as_dict() == GOOD
