"""Common mistakes in an Airflow connection: whitespace, misspelled keys, another type, proxies with special passwords."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.http.auth import ClientCredentials, ReadyToken
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.hooks import settings
from airflow_provider_itwin.hooks.connection_form import FIELDS
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.hooks.settings import account_of, secrets_to_mask
from tests.airflow.single_task import first_found

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "MARKER/of+a=secret"
CREDENTIALS = {"login": "service-a", "password": SECRET}
AROUND = [" {} ", "{}\n", "{}\r\n", "\t{}", "\ufeff{}", "\u00a0{}", "{}\x00", "\n\n {} \n"]


@pytest.fixture(autouse=True)
def nothing_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_reported", set())


def connection(**fields: Any) -> Any:
    Connection = first_found("airflow.sdk.Connection", "airflow.models.Connection")  # noqa: N806 (a class)
    extra = fields.pop("extra", None)
    if extra is not None and not isinstance(extra, str):
        extra = json.dumps(extra)
    return Connection(**{"conn_id": "a", "conn_type": "itwin", "extra": extra} | CREDENTIALS | fields)


def account(**fields: Any) -> Account:
    return account_of(connection(**fields))


# Whitespace


def plain(value: str) -> dict[str, Any]:
    return {"extra": {"token": value}, "login": None, "password": None}


FIELDS_OF_TEXT: dict[str, tuple[str, Callable[[str], dict[str, Any]], Callable[[Account], object]]] = {
    "login": ("service-b", lambda value: {"login": value}, lambda found: found.credentials),
    "password": (SECRET, lambda value: {"password": value}, lambda found: found.credentials),
    "token": ("t0ken", plain, lambda found: found.credentials),
    "scope": ("a b", lambda value: {"extra": {"scope": value}}, lambda found: found.credentials),
    "issuer_url": (
        "https://ims.example",
        lambda value: {"extra": {"issuer_url": value}},
        lambda found: found.environment,
    ),
    "host": ("qa-api.bentley.com", lambda value: {"host": value}, lambda found: found.environment),
    "verify": ("false", lambda value: {"extra": {"verify": value}}, lambda found: found.network),
    "proxies": (
        "http://proxy:1",
        lambda value: {"extra": {"proxies": {"https": value}}},
        lambda found: found.network,
    ),
}


@pytest.mark.parametrize("around", AROUND, ids=ascii)
@pytest.mark.parametrize("field", FIELDS_OF_TEXT)
def test_whitespace_around_a_value_is_removed(field: str, around: str) -> None:
    value, fields, found = FIELDS_OF_TEXT[field]

    assert found(account(**fields(around.format(value)))) == found(account(**fields(value)))


def test_padded_credentials_share_one_client() -> None:
    bare = account()
    padded = account(login=" service-a\n", password=f"{SECRET}\n")

    assert padded.credentials.fingerprint == bare.credentials.fingerprint
    assert padded.key == bare.key
    assert padded.credentials == ClientCredentials("service-a", SECRET)


@pytest.mark.parametrize("fields", [{"login": " \n"}, {"password": "\ufeff\n"}])
def test_a_blank_value_counts_as_missing(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no credentials"):
        account(**fields)


def test_blanks_inside_a_value_stay() -> None:
    assert account(password="a b").credentials == ClientCredentials("service-a", "a b")
    assert account(**plain("t0ken")).credentials == ReadyToken("t0ken")


# Misspelled keys

MISSPELT = {
    "verify_ssl": "verify",
    "Verify": "verify",
    "ssl_verify": "verify",
    "time_out": "timeout",
    "Timeout": "timeout",
    "timout": "timeout",
    "request_timeout": "timeout",
    "issuer": "issuer_url",
    "issuerUrl": "issuer_url",
    "proxy": "proxies",
    "Proxies": "proxies",
    "scopes": "scope",
    "access_token": "token",
    "portal": "portal_url",
    " timeout": "timeout",
    "extra__itwin__timeout": "timeout",
}


@pytest.mark.parametrize(("key", "meant"), MISSPELT.items(), ids=MISSPELT)
def test_a_misspelled_key_is_reported_with_the_nearest_known_one(
    key: str, meant: str, caplog: pytest.LogCaptureFixture
) -> None:
    account(extra={key: "MARKER"})

    assert f"Did you mean {meant!r}?" in caplog.text
    assert "connection 'a'" in caplog.text
    assert "MARKER" not in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("key", ["qqqq", "", "extra__itwin__", "x" * 500, "password=hunter2&sig=hunter2"])
def test_a_key_that_resembles_none_is_reported_with_all_known_ones(key: str, caplog: pytest.LogCaptureFixture) -> None:
    account(extra={key: "MARKER"})

    assert len(caplog.records) == 1
    assert len(caplog.text) < 500
    assert "sig=hunter2" not in caplog.text


def test_each_key_is_reported_once_for_each_connection(caplog: pytest.LogCaptureFixture) -> None:
    for conn_id in ("a", "b"):
        for timeout in (5, 6, 7):
            account(conn_id=conn_id, extra={"time_out": timeout, "verify_ssl": True})

    assert len(caplog.records) == 4


def test_known_keys_are_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    account(extra=dict.fromkeys(FIELDS))

    assert caplog.records == []


def test_an_extra_that_cannot_be_read_is_reported_by_its_error_alone(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="must be a JSON object"):
        account(extra=["time_out"])
    assert caplog.records == []


# Another type


@pytest.mark.parametrize("conn_type", ["http", "https", "HTTP", "aws", "generic", "postgres", "itwin2"])
def test_a_connection_of_another_type_is_rejected(conn_type: str) -> None:
    with pytest.raises(ValueError, match=f"has the type '{conn_type.lower()}' instead of 'itwin'") as caught:
        account(conn_type=conn_type)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("conn_type", ["itwin", "ITWIN", " itwin ", "", None])
def test_a_connection_of_type_itwin_or_without_a_type_is_accepted(conn_type: str | None) -> None:
    given = connection()
    given.conn_type = conn_type

    assert account_of(given).credentials == ClientCredentials("service-a", SECRET)


@pytest.mark.parametrize(
    ("uri", "accepted"),
    [
        ("itwin://service-a:s3cret@", True),
        ("itwin://service-a:s3cret@api.bentley.com", True),
        ('{"login": "service-a", "password": "s3cret"}', True),
        ("https://service-a:s3cret@api.bentley.com", False),
        ("http://service-a:s3cret@", False),
    ],
)
def test_a_connection_from_an_environment_variable_must_be_of_type_itwin(
    monkeypatch: pytest.MonkeyPatch, uri: str, accepted: bool
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_FROM_VARIABLE", uri)

    works, text = ITwinHook("from_variable").test_connection() if not accepted else (True, "")

    if accepted:
        assert ITwinHook("from_variable").get_conn().account.credentials == ClientCredentials("service-a", "s3cret")
    else:
        assert not works
        assert "instead of 'itwin'. Change its type" in text
        assert "s3cret" not in text


# Secrets that Airflow must mask


@pytest.mark.parametrize(
    ("fields", "secrets"),
    [
        ({}, set()),
        ({"password": f" {SECRET}\n"}, {SECRET}),
        (plain("t0ken"), {"t0ken"}),
        ({"extra": {"proxies": {"https": "http://proxy:1"}}}, set()),
        ({"extra": {"proxies": {"https": "me:hunter2@proxy:1"}}}, {"hunter2", "bWU6aHVudGVyMg=="}),
    ],
    ids=str,
)
def test_secrets_that_airflow_does_not_mask_are_found(fields: dict[str, Any], secrets: set[str]) -> None:
    assert set(secrets_to_mask(connection(**fields))) == secrets


def test_these_secrets_are_masked_on_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[str] = []
    monkeypatch.setattr("airflow_provider_itwin.hooks.base.mask_secret", masked.append)
    monkeypatch.setattr(
        ITwinHook,
        "get_connection",
        classmethod(lambda cls, conn_id: connection(extra={"proxies": {"https": "me:hunter2@proxy:1"}})),
    )

    ITwinHook().get_conn()

    assert masked == ["bWU6aHVudGVyMg==", "hunter2"]


@pytest.mark.parametrize(
    ("proxies", "words"),
    [
        ({"https": "socks5://me:hunter2@proxy:1"}, "https in proxies in the extra .* is a socks5 proxy"),
        ({"https": "http://me:hunter2@"}, "https in proxies in the extra .* is not a valid proxy URL"),
        ({"htps": "http://me:hunter2@proxy:1"}, "has the invalid key 'htps'"),
        ({"https": ["me:hunter2@proxy"]}, "must be an object such as"),
        ("me:hunter2@proxy:1", "must be an object such as"),
    ],
)
def test_proxies_are_checked_when_the_connection_is_read(proxies: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        account(extra={"proxies": proxies})
    assert "hunter2" not in str(caught.value)
