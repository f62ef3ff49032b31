"""Portal URLs of a connection and of its iModel."""

from __future__ import annotations

import pytest

from airflow_provider_itwin.api.http.config import Environment
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.hooks.portal_urls import (
    Addresses,
    addresses,
    is_known,
)

REF = RunRef(ConnectionKind.STORAGE, "a=connection", "a-run")
PRODUCTION = Environment.of("")
LOCAL = Environment.of("http://127.0.0.1:8899")


@pytest.mark.parametrize(("host", "prefix"), [("", ""), ("qa-api.bentley.com", "qa-"), ("dev-api.bentley.com", "dev-")])
def test_each_environment_of_bentley_has_a_portal(host: str, prefix: str) -> None:
    environment = Environment.of(host)
    assert is_known(environment, None)
    assert addresses(environment, None, REF, "i/twin", "i model") == Addresses(
        f"https://{prefix}connect-itwinbridgeportal.bentley.com/i%2Ftwin/i%20model",
        f"https://{prefix}connect-imodelhubwebsite.bentley.com/Context/i%2Ftwin/iModel/i%20model",
    )


@pytest.mark.parametrize(("itwin_id", "imodel_id"), [(None, "m"), ("t", None), (None, None)])
def test_without_ids_there_is_no_url(itwin_id: str | None, imodel_id: str | None) -> None:
    assert addresses(PRODUCTION, None, REF, itwin_id, imodel_id) == Addresses()


def test_other_environments_have_no_portal() -> None:
    assert not is_known(LOCAL, None)
    assert not is_known(LOCAL, "")
    assert addresses(LOCAL, None, REF, "t", "m") == Addresses()


def test_a_custom_portal_is_used() -> None:
    template = "https://portal.example.com/{itwin_id}/{imodel_id}?c={connection_id}#{run_id}"
    assert is_known(LOCAL, template)
    found = addresses(LOCAL, template, REF, "t", "m")
    assert found == Addresses("https://portal.example.com/t/m?c=a%3Dconnection#a-run", None)
    # The iModel of a Bentley environment still has its page.
    assert addresses(PRODUCTION, template, REF, "t", "m").imodel is not None


def test_only_the_ids_in_the_template_are_needed() -> None:
    assert addresses(LOCAL, "https://a.example/{connection_id}", REF, None, None).connection is not None


@pytest.mark.parametrize(
    "template",
    [
        "javascript:alert('{run_id}')",
        "http://portal.example.com/{run_id}",
        "//portal.example.com/",
        "https://user:secret@portal.example.com/",
        "https://[half",
        "https://a.example/\n{run_id}",
        "https://a.example/with space",
        "https://a.example/" + "a" * 3000,
        "{run_id}",
    ],
)
def test_an_unsafe_portal_url_is_rejected(template: str) -> None:
    assert addresses(LOCAL, template, REF, "t", "m").connection is None


def test_braces_are_not_evaluated() -> None:
    template = "http://127.0.0.1:1/{run_id.__class__}/{0}/{run_id}"
    assert addresses(LOCAL, template, REF, "t", "m").connection == "http://127.0.0.1:1/{run_id.__class__}/{0}/a-run"
