"""Secrets disappear from text that others wrote, and the rest of it stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.redact import excerpt, redact, shortened

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IkJlbnRsZXkifQ.eyJzY29wZSI6WyJpdHdpbi1wbGF0Zm9ybSJdfQ.c2lnbmF0dXJlLW9mLWl0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Requested StorageConnection is not available.", "Requested StorageConnection is not available."),
        ("see https://blob.net/Master.dgn?sv=1&sig=abc%2F now", "see https://blob.net/Master.dgn?*** now"),
        ('{"url":"https://blob.net/a?sig=abc","b":1}', '{"url":"https://blob.net/a?***","b":1}'),
        ("HTTPS://BLOB.NET/A?SIG=abc", "HTTPS://BLOB.NET/A?***"),
        ("https://blob.net/a#access_token=abc", "https://blob.net/a?***"),
        ("proxy http://user:pass@proxy:3128/ failed", "proxy http://***@proxy:3128/ failed"),
        ("https://user@host/x?y=1", "https://***@host/x?***"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer ***"),
        ("authorization: BASIC c2VydmljZTpzZWNyZXQ=", "authorization: BASIC ***"),
        ("The Bearer scheme is missing", "The Bearer scheme is missing"),
        (f"token {JWT} is bad", "token *** is bad"),
        ("client_secret=abc&scope=x", "client_secret=***&scope=x"),
        ("sv=2020&sig=abc%3D&se=1", "sv=2020&sig=***&se=1"),
        ("signature%3Dabc", "signature%3D***"),
        ("the sigma of x", "the sigma of x"),
        ("a\x1b[31mred\x00\r", "a [31mred  "),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_what_is_hidden_and_what_is_not(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_known_secrets_are_hidden_wherever_they_stand() -> None:
    assert redact("xs3cret+of/a1=y, again s3cret+of/a1=", ("s3cret+of/a1=",)) == "x***y, again ***"


@pytest.mark.parametrize("form", ["s3cret%2Bof%2Fa1%3D", "s3cret+of%2Fa1%3D", "s3cret%2bof%2fa1%3d", "s3cret+of\\/a1="])
def test_known_secrets_are_hidden_in_other_spellings(form: str) -> None:
    secrets = ("s3cret+of/a1=", "s3cret of/a1=")

    assert redact(f"grant_type=x&secret:{form}&scope=y", secrets) == "grant_type=x&secret:***&scope=y"


def test_an_empty_secret_hides_nothing() -> None:
    assert redact("text", ("",)) == "text"


@given(st.text(), st.text(st.characters(exclude_characters="*"), min_size=6), st.text())
def test_a_known_secret_never_gets_through(before: str, secret: str, after: str) -> None:
    assert secret not in redact(f"{before}{secret}{after}", (secret,)).replace("***", "")


@pytest.mark.parametrize("unit", ["eyJaaaaa-", "http://", "https://a@", "bearer ", "sig=", "https://a?", "x", "\x00"])
def test_no_text_takes_long(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    began = time.process_time()

    redact(text, ("s3cret",))

    assert time.process_time() - began < 3.0


def test_shortened_texts_say_that_they_are() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"


def test_an_excerpt_is_redacted_before_it_is_cut() -> None:
    assert excerpt("x" * 590 + " s3cret-s3cret", 600, ("s3cret-s3cret",)) == "x" * 590 + " ***"
    assert excerpt("x" * 700, 600) == "x" * 599 + "…"


@pytest.mark.parametrize("shown", range(1, 13))
def test_half_a_secret_at_the_end_of_what_is_read_is_left_out(shown: int) -> None:
    beginning = "https://x.net/?"
    text = beginning + "q" * (65_536 - len(beginning) - 1 - shown) + " s3cret-s3cret"

    assert excerpt(text, 600, ("s3cret-s3cret",)) == "https://x.net/?***"
