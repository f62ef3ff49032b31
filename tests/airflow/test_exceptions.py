"""Only invalid input and errors of the API get another class; every other exception keeps its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinInputError, ITwinNotFoundError, ITwinServerError
from airflow_provider_itwin.api.http.config import Account, Environment
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.validation import checked_id
from airflow_provider_itwin.api.runs.endpoints import start_run
from airflow_provider_itwin.api.wait.models import WaitSpec
from airflow_provider_itwin.exceptions import ITwinPermanentError, ITwinTransientError, airflow_exceptions
from airflow_provider_itwin.hooks.settings import account_of


class _Connection:
    """The fields of an Airflow connection."""

    conn_id = "itwin_default"
    conn_type = "itwin"
    host = schema = None
    port = None
    login: Any = "service-a1"
    password: Any = "secret"

    def __init__(self, **fields: Any) -> None:
        self.extra = ""
        vars(self).update(fields)


def account(**fields: Any) -> Account:
    return account_of(_Connection(**fields))  # type: ignore[arg-type]


INVALID_INPUT: dict[str, Callable[[], object]] = {
    "an empty id": lambda: checked_id("", "connection_id"),
    "an id of another type": lambda: checked_id(5, "connection_id"),
    "an id that is a path": lambda: checked_id("a/b", "connection_id"),
    "an unknown kind": lambda: ConnectionKind("files"),
    "a name that is no run": lambda: RunRef.parse("storage/c1"),
    "no run and no time": lambda: WaitSpec(ConnectionKind.STORAGE, "c1"),
    "a negative interval": lambda: WaitSpec(ConnectionKind.STORAGE, "c1", "r1", poll_interval=-1),
    "a body that is no JSON": lambda: start_run(ConnectionKind.MANIFEST, "c1", {"a": object()}),
    "an unknown host": lambda: Environment.of("https://example.com"),
    "a host that is no URL": lambda: Environment.of("https://[::1"),
    "no credentials": lambda: account(login=None),
    "an extra that is no JSON": lambda: account(extra="{"),
    "an extra that is a list": lambda: account(extra="[]"),
    "a timeout that is a word": lambda: account(extra='{"timeout": "long"}'),
    "proxies that are a list": lambda: account(extra='{"proxies": ["a"]}'),
    "a bundle that is not there": lambda: account(extra='{"verify": "/no/such/file.pem"}'),
}


@pytest.mark.parametrize("name", INVALID_INPUT)
def test_invalid_input_is_a_permanent_error(name: str) -> None:
    with pytest.raises(ITwinPermanentError), airflow_exceptions():
        INVALID_INPUT[name]()


@pytest.mark.parametrize("name", INVALID_INPUT)
def test_invalid_input_is_still_a_value_error(name: str) -> None:
    with pytest.raises(ITwinInputError) as caught:
        INVALID_INPUT[name]()
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "mistake",
    [ValueError("of ours"), UnicodeDecodeError("utf-8", b"", 0, 1, "x"), TypeError("of ours"), KeyError("of ours")],
    ids=lambda mistake: type(mistake).__name__,
)
def test_any_other_exception_passes_as_it_is(mistake: Exception) -> None:
    with pytest.raises(type(mistake)) as caught, airflow_exceptions():
        raise mistake
    assert caught.value is mistake


def test_errors_of_the_api_get_the_class_of_their_meaning() -> None:
    with pytest.raises(ITwinTransientError), airflow_exceptions():
        raise ITwinServerError("down")
    with pytest.raises(ITwinPermanentError), airflow_exceptions():
        raise ITwinNotFoundError("gone")
