"""Who we are, and how the answer of a token endpoint is read."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.errors import ITwinProtocolError
from airflow_provider_itwin.api.http.auth import (
    ClientCredentials,
    Credentials,
    ReadyToken,
    read_token,
)
from airflow_provider_itwin.api.http.config import (
    Account,
    Environment,
    Limits,
    Network,
)
from airflow_provider_itwin.api.http.messages import Token
from tests.api.responses import response
from tests.api.scripted_service import CREDENTIALS, PRODUCTION

NOW = 1000.0


def read(body: Any) -> Token:
    return read_token(response(200, body), NOW)


@pytest.mark.parametrize(
    ("expires_in", "renewed_after"),
    [
        (3600, 3300.0),
        (7200, 6900.0),
        (3000, 2700.0),
        (1800, 1620.0),
        (60, 54.0),
        (1, 0.9),
        ("3600", 3300.0),
        (3599.5, 3299.5),
        (None, 3300.0),
        (0, 3300.0),
        (-1, 3300.0),
    ],
)
def test_a_token_is_renewed_a_tenth_of_its_life_ahead_or_five_minutes(expires_in: Any, renewed_after: float) -> None:
    token = read({"access_token": "abc.def", "expires_in": expires_in, "token_type": "Bearer"})

    assert token.renew_at == pytest.approx(NOW + renewed_after)
    assert token.is_good(NOW + renewed_after - 0.01)
    assert not token.is_good(NOW + renewed_after + 0.01)


def test_a_life_that_is_not_told_is_an_hour() -> None:
    assert read({"access_token": "abc"}) == Token("abc", NOW + 3300.0)


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER", None, ""])
def test_bearer_in_any_case(token_type: str | None) -> None:
    assert read({"access_token": "abc", "token_type": token_type, "scope": "x", "extra": {}}).value == "abc"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"<html>",
        b"\xff",
        b"[" * 100_000,
        [],
        "abc",
        {},
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": ["s3cret"]},
        {"access_token": "s3cret s3cret"},
        {"access_token": "s3cret\n"},
        {"access_token": "s3cret\r\nX-Evil: 1"},
        {"access_token": "s3cretü"},
        {"access_token": " s3cret"},
        {"access_token": "s3cret\x00"},
        {"access_token": "abc", "token_type": "MAC"},
        {"access_token": "abc", "token_type": "N_A"},
        {"access_token": "abc", "token_type": 5},
        {"access_token": "abc", "expires_in": "soon"},
        {"access_token": "abc", "expires_in": {}},
        {"error": "invalid_client"},
    ],
)
def test_what_is_no_token_is_refused_and_not_repeated(body: Any) -> None:
    with pytest.raises(ITwinProtocolError) as caught:
        read(body)

    assert "s3cret" not in str(caught.value)
    assert caught.value.transient


@given(st.binary(max_size=80) | st.text().map(lambda text: b'{"access_token":"' + text.encode() + b'","expires_in":9}'))
def test_no_body_confuses(body: bytes) -> None:
    try:
        token = read(body)
    except ITwinProtocolError:
        return
    assert token.value.isascii()
    assert token.value.isprintable()
    assert " " not in token.value
    assert token.renew_at is not None


@given(
    st.integers()
    | st.floats()
    | st.text(st.characters(categories=["N", "P"]))
    | st.sampled_from(["inf", "nan", "1e400"])
)
def test_no_life_confuses(expires_in: Any) -> None:
    try:
        token = read({"access_token": "abc", "expires_in": expires_in})
    except ITwinProtocolError:
        return
    assert token.renew_at is not None
    assert token.renew_at >= NOW
    assert token.renew_at < float("inf"), "a token is renewed some day"


def test_a_token_without_an_end_is_always_good() -> None:
    assert Token("abc").is_good(1e18)


def test_the_form_encodes_the_signs_of_a_secret() -> None:
    form = ClientCredentials("id&x", "a+b/c=d&e=ü%", "one two").form()

    assert dict(parse_qsl(form.decode(), strict_parsing=True)) == {
        "grant_type": "client_credentials",
        "client_id": "id&x",
        "client_secret": "a+b/c=d&e=ü%",
        "scope": "one two",
    }


def test_the_address_under_which_an_application_is_invited() -> None:
    assert CREDENTIALS.service_user == "service-a1@apps.imsoidc.bentley.com"


def test_fingerprints_differ_with_anything_that_matters() -> None:
    several: list[Credentials] = [
        ClientCredentials("a", "b"),
        ClientCredentials("a", "c"),
        ClientCredentials("x", "b"),
        ClientCredentials("a", "b", "scope"),
        ClientCredentials("ab", ""),
        ReadyToken("a"),
        ReadyToken("b"),
        ReadyToken("a\0b"),
    ]

    assert len({one.fingerprint for one in several}) == len(several)
    assert ClientCredentials("a", "b").fingerprint == ClientCredentials("a", "b").fingerprint


def test_accounts_share_what_they_have_in_common_and_nothing_else() -> None:
    def key(**changes: Any) -> Any:
        usual: dict[str, Any] = {"environment": PRODUCTION, "credentials": CREDENTIALS}
        return Account(**usual | changes).key

    others = [
        key(environment=Environment("https://qa-api.bentley.com", "https://qa-ims.bentley.com")),
        key(credentials=ClientCredentials("service-a1", "another")),
        key(credentials=ReadyToken("t")),
        key(network=Network(timeout=1.0)),
        key(network=Network(verify=False)),
        key(network=Network(proxies=(("https", "http://proxy"),))),
        key(limits=Limits(per_minute=5)),
    ]

    assert key() == key(clock=lambda: 0.0, chance=lambda: 0.0)
    assert len({key(), *others}) == len(others) + 1


@pytest.mark.parametrize(
    "shown",
    [
        CREDENTIALS,
        ReadyToken("s3cret+of/a1="),
        Token("s3cret+of/a1=", 5.0),
        Account(PRODUCTION, CREDENTIALS),
        Account(
            PRODUCTION, ReadyToken("s3cret+of/a1="), Network(proxies=(("https", "http://me:s3cret+of/a1=@proxy"),))
        ),
    ],
)
def test_secrets_are_not_shown(shown: object) -> None:
    assert "s3cret" not in f"{shown}{shown!r}"


def test_the_key_of_an_account_shows_no_secret() -> None:
    network = Network(proxies=(("https", "http://me:s3cret@proxy"),))

    assert "s3cret" not in repr(Account(PRODUCTION, CREDENTIALS, network).key)
    assert b"of/a1" not in pickle.dumps(Account(PRODUCTION, CREDENTIALS).key)
    assert b"s3cret" not in pickle.dumps(Account(PRODUCTION, CREDENTIALS, network).key)


def test_a_fingerprint_cannot_be_looked_up_in_a_list_of_passwords() -> None:
    told = [ReadyToken("password1").fingerprint, Network(proxies=(("https", "http://me:password1@proxy"),)).fingerprint]
    elsewhere = subprocess.run(
        [
            sys.executable,
            "-c",
            "from airflow_provider_itwin.api.http.auth import ReadyToken; print(ReadyToken('password1').fingerprint)",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert elsewhere.stdout.strip() not in told
    assert len(elsewhere.stdout.strip()) == 64
