"""The account from an Airflow connection and the configuration, and errors about invalid settings."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.errors import ITwinUntrustedHostError
from airflow_provider_itwin.hooks.settings import account_of
from tests.airflow.single_task import first_found

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "MARKER/of+a=secret"
CREDENTIALS = {"login": "service-a", "password": SECRET}


def account(**fields: Any) -> Any:
    Connection = first_found("airflow.sdk.Connection", "airflow.models.Connection")  # noqa: N806 (a class)
    extra = fields.pop("extra", None)
    return account_of(Connection(conn_id="a", conn_type="itwin", extra=extra, **CREDENTIALS | fields))


# The environment


@pytest.mark.parametrize(
    ("fields", "api", "issuer"),
    [
        ({}, "https://api.bentley.com", "https://ims.bentley.com"),
        ({"host": ""}, "https://api.bentley.com", "https://ims.bentley.com"),
        ({"host": "api.bentley.com"}, "https://api.bentley.com", "https://ims.bentley.com"),
        ({"host": " https://api.bentley.com/ "}, "https://api.bentley.com", "https://ims.bentley.com"),
        ({"host": "API.Bentley.com"}, "https://api.bentley.com", "https://ims.bentley.com"),
        ({"host": "qa-api.bentley.com"}, "https://qa-api.bentley.com", "https://qa-ims.bentley.com"),
        ({"host": "dev-api.bentley.com"}, "https://dev-api.bentley.com", "https://qa-ims.bentley.com"),
        ({"host": "http://127.0.0.1:8899"}, "http://127.0.0.1:8899", "http://127.0.0.1:8899"),
        ({"host": "127.0.0.1", "port": 8899}, "http://127.0.0.1:8899", "http://127.0.0.1:8899"),
        ({"host": "localhost", "port": 8899, "schema": "http"}, "http://localhost:8899", "http://localhost:8899"),
        ({"host": "localhost", "port": 8899, "schema": "https"}, "https://localhost:8899", "https://localhost:8899"),
        ({"host": "http://[::1]:8899"}, "http://[::1]:8899", "http://[::1]:8899"),
        ({"host": "api.bentley.com", "schema": "https"}, "https://api.bentley.com", "https://ims.bentley.com"),
        (
            {"host": "gateway.example.com", "extra": '{"issuer_url": "ims.bentley.com"}'},
            "https://gateway.example.com",
            "https://ims.bentley.com",
        ),
        (
            {"host": "https://gateway.example.com/itwin", "extra": '{"issuer_url": "https://ims.example.com/auth/"}'},
            "https://gateway.example.com/itwin",
            "https://ims.example.com/auth",
        ),
        ({"extra": '{"issuer_url": ""}'}, "https://api.bentley.com", "https://ims.bentley.com"),
    ],
    ids=str,
)
def test_the_host_decides_the_environment(fields: dict[str, Any], api: str, issuer: str) -> None:
    environment = account(**fields).environment
    assert (environment.api, environment.issuer) == (api, issuer)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": "http://api.bentley.com"}, "plain http to api.bentley.com"),
        ({"host": "api.bentley.com", "schema": "http"}, "plain http to api.bentley.com"),
        ({"host": "http://10.0.0.1:8899"}, "plain http to 10.0.0.1"),
        ({"extra": '{"issuer_url": "http://ims.bentley.com"}'}, "issuer_url in extra of the iTwin connection is plain"),
        ({"host": "api.example.com"}, "Set issuer_url in the extra"),
        ({"host": "api.bentley.com.example.com"}, "Set issuer_url in the extra"),
        ({"host": "ftp://api.bentley.com"}, "host of the iTwin connection must be an https URL"),
        ({"host": "https://"}, "host of the iTwin connection must be an https URL"),
        ({"host": "https://api.bentley.com:none"}, "host of the iTwin connection is not a URL"),
        ({"host": "https://a:b@api.bentley.com"}, "must be a URL without credentials"),
        ({"host": "https://api.bentley.com?a=b"}, "must be a URL without credentials"),
        ({"extra": '{"issuer_url": 7}'}, "issuer_url in the extra of the iTwin connection must be a str"),
        ({"extra": '{"scope": ["a"]}'}, "scope in the extra of the iTwin connection must be a str"),
        ({"extra": '{"token": {}}'}, "token in the extra of the iTwin connection must be a str"),
        ({"extra": '{"token": "Bearer abc"}'}, "the bare access token, without 'Bearer '"),
        ({"extra": '{"token": "a\\nb"}'}, "must be the bare access token"),
        ({"extra": '{"verify": 7}'}, "verify in the extra of the iTwin connection must be true, false, or the path"),
        ({"extra": '{"verify": "/no/such/bundle.pem"}'}, "/no/such/bundle.pem"),
        (
            {"extra": '{"proxies": "http://proxy:3128"}'},
            "proxies in the extra of the iTwin connection must be an object",
        ),
        ({"extra": '{"proxies": {"https": 3128}}'}, "proxies in the extra of the iTwin connection must be an object"),
        (
            {"extra": '{"timeout": "soon"}'},
            "timeout in the extra of the iTwin connection must be a positive number of seconds, at most 600",
        ),
        (
            {"extra": '{"timeout": -1}'},
            "timeout in the extra of the iTwin connection must be a positive number of seconds",
        ),
        (
            {"extra": '{"timeout": 601}'},
            "timeout in the extra of the iTwin connection must be a positive number of seconds",
        ),
        (
            {"extra": '{"timeout": [1]}'},
            "timeout in the extra of the iTwin connection must be a positive number of seconds",
        ),
        (
            {"extra": '{"timeout": NaN}'},
            "timeout in the extra of the iTwin connection must be a positive number of seconds",
        ),
        ({"login": None}, "set login to the client id and password to the client secret"),
        ({"login": ""}, "set login to the client id"),
        ({"password": None}, "set login to the client id"),
        ({"extra": '["a"]'}, "The extra of the iTwin connection must be a JSON object with any of issuer_url, scope"),
    ],
    ids=str,
)
def test_invalid_settings_are_rejected_with_a_clear_error(fields: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, ITwinUntrustedHostError)) as caught:
        account(**fields)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_extra_that_is_not_json_is_rejected_with_a_clear_error() -> None:
    connection: Any = SimpleNamespace(
        conn_id="a", conn_type="itwin", host=None, port=None, schema=None, extra=SECRET + "{", **CREDENTIALS
    )
    with pytest.raises(ValueError, match="The extra of the iTwin connection is not JSON") as caught:
        account_of(connection)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["requests_per_minute", "requests_per_hour"])
@pytest.mark.parametrize("text", ["many", "nan", "inf", ""])
def test_an_invalid_limit_in_the_configuration_is_rejected_with_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"AIRFLOW__ITWIN__{name.upper()}", text)
    with pytest.raises(ValueError, match=f"itwin. {name} in Airflow's configuration must be a number"):
        account()


def test_limits_are_read_from_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ITWIN__REQUESTS_PER_MINUTE", "4000")
    monkeypatch.setenv("AIRFLOW__ITWIN__REQUESTS_PER_HOUR", "-1")
    assert (account().limits.per_minute, account().limits.per_hour) == (4000.0, 0.0)


def test_extra_sets_all_settings(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("")
    proxies = {"https": "http://u:MARKER@p:1"}
    extra = {"scope": "itwin-platform other", "verify": str(bundle), "proxies": proxies, "timeout": 5}
    given = account(extra=json.dumps(extra))
    assert given.credentials.scope == "itwin-platform other"
    assert (given.network.timeout, given.network.verify) == (5.0, str(bundle))
    assert dict(given.network.proxies) == proxies
    assert "MARKER" not in repr(given)
    assert SECRET not in repr(given)


@pytest.mark.parametrize(
    ("written", "verify"), [("true", True), ("false", False), ('"True"', True), ('"false"', False), ('""', True)]
)
def test_verify_accepts_every_spelling_of_a_boolean(written: str, verify: bool) -> None:
    assert account(extra=f'{{"verify": {written}}}').network.verify is verify


def test_a_token_needs_no_credentials() -> None:
    given = account(login=None, password=None, extra='{"token": "MARKER-OF-A-TOKEN"}')
    assert given.credentials.token == "MARKER-OF-A-TOKEN"
    assert "MARKER" not in repr(given)
