"""How long the service asks to wait, in all the forms that it may say so, and how far that is obeyed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.errors import ITwinRateLimitError
from airflow_provider_itwin.api.http.error_mapping import retry_after
from airflow_provider_itwin.api.http.messages import Response, http_date
from airflow_provider_itwin.api.http.request_flow import perform_call
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints
from tests.api.responses import documented, error, finished
from tests.api.scripted_service import ScriptedService

LOOK = endpoints.get_run(ConnectionKind.STORAGE, "c1", "r1")

NOON = "Sun, 06 Nov 1994 12:00:00 GMT"
"""Decades behind the clock of any machine that runs this."""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("86400", 86400.0),
        ("1e300", None),
        ("inf", None),
        ("-inf", 0.0),
        ("nan", None),
        ("", None),
        ("soon", None),
        ("7 seconds", None),
        ("Sun, 06 Nov 1994 12:00:30 GMT", 30.0),
        ("Sunday, 06-Nov-94 12:00:30 GMT", 30.0),
        ("Sun, 06 Nov 1994 12:00:30", 30.0),
        ("Sun, 06 Nov 1994 14:01:00 +0200", 60.0),
        ("Sun, 06 Nov 1994 11:59:00 GMT", 0.0),
        ("Sun, 99 Nov 1994 12:00:30 GMT", None),
        ("Sun, 06 Nov 99999 12:00:30 GMT", None),
    ],
)
def test_seconds_or_a_date_by_the_clock_of_the_service(text: str, seconds: float | None) -> None:
    assert retry_after(Response(429, {"retry-after": text, "date": NOON})) == seconds


def test_no_header() -> None:
    assert retry_after(Response(429, {"date": NOON})) is None


def test_a_date_is_taken_by_the_clock_of_this_machine_when_the_answer_has_none() -> None:
    assert retry_after(Response(429, {"retry-after": "Thu, 01 Jan 2015 00:00:00 GMT"})) == 0.0


@given(st.text(), st.text())
def test_no_header_confuses(text: str, date: str) -> None:
    seconds = retry_after(Response(429, {"retry-after": text, "date": date}))

    assert seconds is None or 0.0 <= seconds < 1e9


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,4} [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d [+-]\d{4,9}"))
def test_no_date_confuses(text: str) -> None:
    moment = http_date(text)

    assert moment is None or moment.utcoffset() is not None


def limited(retry: str | None, **headers: str) -> Response:
    return error(429, **headers) if retry is None else error(429, retry_after=retry, **headers)


@pytest.mark.parametrize(
    ("retry", "chance", "pause"),
    [
        ("7", 0.0, 7.0),
        ("7", 1.0, 7.7),
        ("2.5", 0.0, 2.5),
        ("0", 0.0, 0.5),
        ("0.1", 0.0, 0.5),
        ("-9", 0.0, 0.5),
        (None, 0.0, 0.5),
        ("soon", 0.0, 0.5),
        ("300", 0.0, 300.0),
        ("86400", 0.0, 300.0),
        ("86400", 1.0, 330.0),
        ("1e300", 0.0, 0.5),
    ],
)
def test_the_wish_of_the_service_is_obeyed_with_some_jitter_and_within_reason(
    retry: str | None, chance: float, pause: float
) -> None:
    script = ScriptedService(limited(retry), finished(), chance=chance)

    script.play(perform_call(script.account(), LOOK, retry_budget=1000.0))

    assert script.seconds == pytest.approx([pause])


def test_never_sooner_than_asked_for() -> None:
    for chance in (0.0, 0.25, 0.5, 0.99):
        script = ScriptedService(limited("11"), limited("13"), finished(), chance=chance)

        script.play(perform_call(script.account(), LOOK))

        assert script.seconds[0] >= 11.0
        assert script.seconds[1] >= 13.0


def test_a_date_is_obeyed_whatever_this_machine_thinks_the_time_is() -> None:
    script = ScriptedService(limited("Sun, 06 Nov 1994 12:00:20 GMT", date=NOON), finished(), chance=0.0)

    script.play(perform_call(script.account(), LOOK))

    assert script.seconds == pytest.approx([20.0])


def test_a_longer_wish_than_patience_ends_the_call_at_once() -> None:
    script = ScriptedService(limited("60"), chance=0.0)

    with pytest.raises(ITwinRateLimitError) as caught:
        script.play(perform_call(script.account(), LOOK, retry_budget=59.0))

    assert script.pauses == []
    assert caught.value.retry_after == 60.0


def test_the_backoff_goes_on_growing_beneath_the_wish() -> None:
    script = ScriptedService(*[limited("1")] * 5, finished(), chance=1.0)

    script.play(perform_call(script.account(), LOOK))

    assert script.seconds == pytest.approx([1.1, 2, 4, 8, 16])


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("get-storage-connection-run", "RateLimitExceeded"),
        ("get-manifest-connection-run", "RateLimitExceeded"),
        ("get-export-connection-run", "TooManyRequests"),
        ("run-storage-connection", "TooManyRequests"),
        ("get-storage-connection-sourcefiles", "TooManyRequests"),
    ],
)
def test_both_documented_codes_pass(operation: str, code: str) -> None:
    script = ScriptedService(documented(operation, 429, retry_after="4"), finished(), chance=0.0)

    script.play(perform_call(script.account(), LOOK))

    failure = script.pauses[0].error
    assert isinstance(failure, ITwinRateLimitError)
    assert failure.code == code
    assert script.seconds == pytest.approx([4.0])


def test_a_server_error_may_ask_for_time_too() -> None:
    script = ScriptedService(error(503, retry_after="9"), finished(), chance=0.0)

    script.play(perform_call(script.account(), LOOK))

    assert script.seconds == pytest.approx([9.0])
