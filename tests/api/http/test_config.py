"""Which platform is meant, who issues its tokens, and which of them may be trusted with a secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.errors import ITwinUntrustedHostError
from airflow_provider_itwin.api.http.config import Environment, is_loopback

PRODUCTION = Environment("https://api.bentley.com", "https://ims.bentley.com")


@pytest.mark.parametrize(
    "host", [None, "", "api.bentley.com", "https://api.bentley.com", "https://api.bentley.com/", " api.bentley.com "]
)
def test_production_is_where_one_goes_without_saying(host: str | None) -> None:
    assert Environment.of(host) == PRODUCTION


@pytest.mark.parametrize(
    ("host", "api", "issuer"),
    [
        ("HTTPS://API.Bentley.com", "https://api.bentley.com", "https://ims.bentley.com"),
        ("qa-api.bentley.com", "https://qa-api.bentley.com", "https://qa-ims.bentley.com"),
        ("https://dev-api.bentley.com/", "https://dev-api.bentley.com", "https://qa-ims.bentley.com"),
        ("https://api.bentley.com:443", "https://api.bentley.com", "https://ims.bentley.com"),
    ],
)
def test_the_platforms_of_bentley_have_their_own_issuers(host: str, api: str, issuer: str) -> None:
    assert Environment.of(host) == Environment(api, issuer)


@pytest.mark.parametrize(
    ("host", "port", "api"),
    [
        ("http://127.0.0.1:8899", None, "http://127.0.0.1:8899"),
        ("127.0.0.1:8899", None, "http://127.0.0.1:8899"),
        ("127.0.0.1", 8899, "http://127.0.0.1:8899"),
        ("127.0.0.1:8899", 1, "http://127.0.0.1:8899"),
        ("127.1.2.3", None, "http://127.1.2.3"),
        ("localhost", 8899, "http://localhost:8899"),
        ("LocalHost:8899/", None, "http://localhost:8899"),
        ("http://localhost:8899/base/", None, "http://localhost:8899/base"),
        ("localhost:8899/base", None, "http://localhost:8899/base"),
        ("https://localhost:8443", None, "https://localhost:8443"),
        ("[::1]", None, "http://[::1]"),
        ("[::1]:8899", None, "http://[::1]:8899"),
        ("[::1]", 8899, "http://[::1]:8899"),
        ("http://[::1]:8899/", None, "http://[::1]:8899"),
        ("::1", None, "http://[::1]"),
        ("::1", 8899, "http://[::1]:8899"),
    ],
)
def test_this_machine_is_its_own_issuer_and_may_be_plain(host: str, port: int | None, api: str) -> None:
    environment = Environment.of(host, port=port)

    assert environment == Environment(api, api)
    assert environment.is_local


@pytest.mark.parametrize(
    "host", ["api.bentley.com", "https://gateway.example", "localhost.example.com", "127.0.0.1.example.com"]
)
def test_what_is_not_this_machine_is_not_local(host: str) -> None:
    assert not Environment.of(host, "https://ims.example").is_local


def test_a_port_belongs_to_a_host_that_has_none() -> None:
    assert Environment.of("gateway.example", "https://ims.example", port=8443).api == "https://gateway.example:8443"
    assert (
        Environment.of("https://gateway.example:1/base", "https://ims.example", port=2).api
        == "https://gateway.example:1/base"
    )


@pytest.mark.parametrize(
    "host", ["gateway.example", "https://itwin.example/v1", "api.bentley.com.example", "xapi.bentley.com", "10.0.0.1"]
)
def test_an_unknown_host_has_to_name_its_issuer(host: str) -> None:
    with pytest.raises(ValueError, match="Set issuer_url in the extra of the connection"):
        Environment.of(host)

    assert Environment.of(host, " https://login.example/realm/ ").issuer == "https://login.example/realm"


def test_an_issuer_that_is_named_is_used_whatever_the_host() -> None:
    assert Environment.of(None, "ims.example").issuer == "https://ims.example"
    assert Environment.of("127.0.0.1:1", "http://127.0.0.1:2").issuer == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    "host",
    [
        "http://api.bentley.com",
        "http://10.0.0.1:8080",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "HTTP://gateway.example",
        "http://[2001:db8::1]",
    ],
)
def test_plain_http_to_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ITwinUntrustedHostError, match="Plain http is accepted for this machine only"):
        Environment.of(host, "https://ims.example")
    with pytest.raises(ITwinUntrustedHostError, match="issuer_url in extra"):
        Environment.of(None, host)


@pytest.mark.parametrize(
    "host",
    [
        "https://me:hunter2@api.bentley.com",
        "https://hunter2@api.bentley.com",
        "me:hunter2@api.bentley.com",
        "127.0.0.1:80@hunter2.example",
        "localhost@hunter2.example",
        "https://api.bentley.com?token=hunter2",
        "https://api.bentley.com#hunter2",
        "https://me:hunt/er2@api.bentley.com",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(host: str) -> None:
    for where in ({"host": host}, {"host": None, "issuer_url": host}):
        with pytest.raises(ValueError, match="of the iTwin connection") as caught:
            Environment.of(**where)
        assert "hunt" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "ftp://api.bentley.com",
        "https://",
        "https:///x",
        "://x",
        "https://[::1",
        "https://x:port",
        "https://x:99999",
        "file:///etc",
    ],
)
def test_what_is_no_url_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="of the iTwin connection"):
        Environment.of(host, "https://ims.example")


@given(st.text(), st.none() | st.integers(1, 65535))
def test_no_host_confuses_and_none_is_plain_but_this_machine(host: str, port: int | None) -> None:
    try:
        environment = Environment.of(host, "https://ims.example", port)
    except (ValueError, ITwinUntrustedHostError):
        return
    assert environment.api.startswith("https://") or environment.is_local
    assert "@" not in environment.api.split("/")[2]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("", False),
        (None, False),
    ],
)
def test_what_this_machine_is_called(host: str | None, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("port", [None, 443])
@pytest.mark.parametrize("host", ["", "api.bentley.com", "https://api.bentley.com:443/"])
def test_a_port_that_goes_without_saying_is_not_said(host: str, port: int | None) -> None:
    assert Environment.of(host, None, port) == PRODUCTION
    assert PRODUCTION.is_usual


def test_a_port_of_the_other_scheme_is_said() -> None:
    assert Environment.of("http://127.0.0.1", None, 443).api == "http://127.0.0.1:443"
    assert Environment.of("http://127.0.0.1:80").api == "http://127.0.0.1"
    assert not Environment.of("api.bentley.com", "https://qa-ims.bentley.com").is_usual
