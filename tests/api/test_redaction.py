"""Secrets disappear from text that others wrote, and the rest of it stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.redaction import (
    excerpt,
    printable,
    redact,
    shortened,
    web_address,
)

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
        ("https://blob.net/a%3Fsig%3Dabc", "https://blob.net/a?***"),
        ("https://blob.net/a%253fsig%253Dabc now", "https://blob.net/a?*** now"),
        ("https%3A%2F%2Fblob.net%2Fa%3Fsig%3Dabc", "https%3A%2F%2Fblob.net%2Fa?***"),
        ("x.blob.example/a.dgn?se=1&token=abc", "x.blob.example/a.dgn?***"),
        ("//x.blob.example/a.dgn%3Fse=1", "//x.blob.example/a.dgn?***"),
        ("s3://key:abc@bucket/a?versionId=3", "s3://***@bucket/a?***"),
        ("http://user:pa/ss#w?d@proxy:3128 failed", "http://***@proxy:3128 failed"),
        ("http://user:12/34@proxy:3128 failed", "http://*** failed"),
        ("user:pass@proxy:3128", "***@proxy:3128"),
        ("proxies=(user:pa,ss@proxy:3128,other:pa(ss@proxy2)", "proxies=(***@proxy:3128,***@proxy2)"),
        ("see,user:pass@proxy", "see,***@proxy"),
        ("12:30 a@b, c:d@e", "12:30 a@b, ***@e"),
        ("page:1 //x:y@z", "page:1 //***@z"),
        (f"user:{'p' * 3000}@proxy", "***@proxy"),
        ("http://host/@scope/package", "http://host/@scope/package"),
        ("AccountName=x;AccountKey=ab/c==;EndpointSuffix=y", "AccountName=x;AccountKey=***;EndpointSuffix=y"),
        ("Endpoint=sb://x/;SharedAccessKey=ab/c=;EntityPath=y", "Endpoint=sb://x/;SharedAccessKey=***;EntityPath=y"),
        ("SharedAccessSignature=sr=x&sig=abc", "SharedAccessSignature=***&sig=***"),
        ("Server=x;Password=my se cret;User Id=y", "Server=x;Password=***;User Id=y"),
        ('{"password": "my, secret"}', '{"password": "***"}'),
        ('{\\"clientSecret\\": \\"my, secret\\"}', '{\\"clientSecret\\": \\"***\\"}'),
        ("{'db_password': 'my, secret'}", "{'db_password': '***'}"),
        ("X-Amz-Signature=abc", "X-Amz-Signature=***"),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----- x", "*** x"),
        ("s\u200big=abc", "sig=***"),
        ("run storage/c1/r1 is Executing?", "run storage/c1/r1 is Executing?"),
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


UNITS = [
    "http://a:",
    "a:b@",
    "%25",
    "%3F",
    "a.",
    "token",
    'token="',
    "x?",
    "x?a",
    "\x1b]",
    "\x9b",
    "-----BEGIN x-----",
    "\u202e",
    "(",
    "a,",
    "{},",
    "a(b:",
    "a:,",
    "a:b,c@",
    "a://",
    "//a:",
]


@pytest.mark.parametrize(
    "unit", ["eyJaaaaa-", "http://", "https://a@", "bearer ", "sig=", "https://a?", "x", "\x00", *UNITS]
)
def test_no_text_takes_long(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    began = time.process_time()

    redact(text, ("s3cret",))

    assert time.process_time() - began < 3.0


NASTY = {
    "line": ("first\nINFO - forged", "first INFO - forged"),
    "windows": ("first\r\nsecond\tthird\x0b\x0cfourth", "first second third fourth"),
    "control": ("a\x00b\x07c\x08d\x7fe", "a b c d e"),
    "c1": ("a\x85b\x84c", "a b c"),
    "separators": ("a\u2028b\u2029c\u00a0d", "a b c d"),
    "bidi": ("a\u202eb\u202cc\u2066d\u2069e\u200ef\u061cg", "abcdefg"),
    "zero-width": ("a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg\u180eh", "abcdefgh"),
    "invisible": ("a\u3164b\u034fc\ufe0fd\U000e0101e\U000e0041f", "abcdef"),
    "colours": ("a\x1b[31;1mred\x1b[0m\x9b32mgreen", "aredgreen"),
    "terminal": ("a\x1b]8;;https://evil.example\x07b\x1b]0;title\x1b\\c\x1bcd", "abcd"),
    "surrogate": ("a\ud800b", "a\ufffdb"),
    "private": ("a\ue000b\U0010ffffc", "a\ufffdb\ufffdc"),
}


@pytest.mark.parametrize(("text", "shown"), NASTY.values(), ids=NASTY)
def test_text_becomes_one_printable_line(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert excerpt(text, 300) == shown


@given(st.text(st.characters(), max_size=300))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    shown = redact(text)

    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S", "M"]), max_size=60))
def test_letters_of_any_script_are_kept(text: str) -> None:
    known = "".join(char for char in text if char.isprintable() and printable(char) == char)

    assert printable(known) == known


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://kb.example/KB1?x=1#part", "https://kb.example/KB1?x=1#part"),
        (" http://kb.example/KB1 ", "http://kb.example/KB1"),
        ("https://kb.example/KB1?sig=abc", "https://kb.example/KB1"),
        ("https://kb.example/KB1?X-Amz-Signature=abc", "https://kb.example/KB1"),
        ("https://kb.example/KB1?s%69g=abc", "https://kb.example/KB1"),
        ("https://kb.example/KB1#access_token=abc", "https://kb.example/KB1"),
        ("https://kb.example/KB1?x=1&code=abc", "https://kb.example/KB1"),
        ("https://kb.example/KB1?x%253D1%2526sig%253Dabc", "https://kb.example/KB1"),
        ("https://kb.example/KB1?next=https%3A%2F%2Fx%2F%3Fy%3D1", "https://kb.example/KB1"),
        (
            "http://airflow/log?task=design_sync&date=2026-01-01T00%3A00%2B00%3A00",
            "http://airflow/log?task=design_sync&date=2026-01-01T00%3A00%2B00%3A00",
        ),
        ("https://kb.example/KB1%3Fsig%3Dabc", None),
        ("https://user:pass@kb.example/KB1", None),
        ("https://kb.example:port/KB1", None),
        ("https://[half/KB1", None),
        ("https:///KB1", None),
        ("javascript:alert(1)", None),
        ("JaVaScRiPt:alert(1)", None),
        ("java\nscript:alert(1)", None),
        ("data:text/html,x", None),
        ("file:///etc/passwd", None),
        ("//kb.example/KB1", None),
        ("https://kb.example/KB1\n", "https://kb.example/KB1"),
        ("https://kb.example/a\nb", None),
        ("https://kb.example/\u202eKB1", None),
        ('https://kb.example/"onclick=x', None),
        ("https://kb.example/" + "x" * 500, None),
        ("", None),
        (None, None),
        (7, None),
        (["https://kb.example/"], None),
    ],
    ids=repr,
)
def test_only_a_page_of_the_web_is_an_address(address: object, shown: str | None) -> None:
    assert web_address(address) == shown


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
