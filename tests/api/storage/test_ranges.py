"""Ranges: what the response to a request for the rest of a content means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.storage.blob_transport import BlobResponse
from airflow_provider_itwin.api.storage.ranges import (
    Answer,
    ContentRange,
    etag_of,
    judge,
    range_headers,
)

SIZES = st.integers(1, 10**12)


@given(SIZES, st.data())
def test_a_range_survives_its_header(total: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, total - 1))
    last = data.draw(st.integers(first, total - 1))
    assert ContentRange.parse(f"bytes {first}-{last}/{total}") == ContentRange(first, last, total)
    assert ContentRange.parse(f"bytes {first}-{last}/*") == ContentRange(first, last, None)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    part = ContentRange.parse(text)
    assert part is None or (part.first <= part.last and (part.total is None or part.last < part.total))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "bytes 5-4/9",
        "bytes 0-9/9",
        "bytes */9",
        "bytes=0-4/9",
        "bytes 0-4",
        "bytes \u0660-4/9",
        "items 0-4/9",
    ],
)
def test_an_invalid_range_is_none(text: str | None) -> None:
    assert ContentRange.parse(text) is None


@given(SIZES, SIZES, SIZES, st.one_of(st.none(), SIZES))
def test_only_the_very_next_byte_of_a_content_of_the_same_size_continues_it(
    received: int, size: int, first: int, total: int | None
) -> None:
    header = f"bytes {first}-{first}/{'*' if total is None else total}"
    judgment = judge(BlobResponse(206, {"content-range": header}), received, size, None)
    is_valid = total is None or first < total
    continues = is_valid and first == received and total in (None, size)
    assert (judgment.answer is Answer.CONTENT) == continues
    assert bool(judgment.reason) != continues


@given(st.integers(100, 599), SIZES, SIZES)
def test_a_status_other_than_a_partial_one_never_continues_a_content(status: int, received: int, size: int) -> None:
    judgment = judge(BlobResponse(status, {}), received, size, '"v"')
    assert judgment.answer is not Answer.CONTENT


@given(st.integers(100, 599))
def test_only_a_success_begins_a_content(status: int) -> None:
    answer = judge(BlobResponse(status, {"content-range": "bytes 0-4/5"}), 0, 5, None).answer
    assert (answer is Answer.CONTENT) == (status in (200, 206))


@given(SIZES, SIZES)
def test_a_whole_content_has_the_known_size(length: int, size: int) -> None:
    answer = judge(BlobResponse(200, {"content-length": str(length)}), 0, size, None).answer
    assert (answer is Answer.CONTENT) == (length == size)


def test_another_etag_is_another_content() -> None:
    response = BlobResponse(206, {"content-range": "bytes 5-9/10", "etag": '"new"'})
    assert judge(response, 5, 10, '"old"').answer is Answer.OTHER_CONTENT
    assert judge(response, 5, 10, '"new"').answer is Answer.CONTENT
    assert judge(response, 5, 10, None).answer is Answer.CONTENT


def test_the_first_request_has_no_conditions() -> None:
    assert range_headers(0, '"v"') == {}


def test_a_range_is_conditional_on_a_strong_etag() -> None:
    assert range_headers(7, '"v"') == {"range": "bytes=7-", "if-match": '"v"'}
    assert range_headers(7, 'W/"v"') == {"range": "bytes=7-"}
    assert range_headers(7, None) == {"range": "bytes=7-"}


@pytest.mark.parametrize(
    ("sent", "read"), [('"v"', '"v"'), ("", None), ("a\r\nb: c", None), ("x" * 300, None), ("é", None)]
)
def test_an_etag_that_cannot_be_sent_back_is_ignored(sent: str, read: str | None) -> None:
    assert etag_of({"etag": sent}) == read
