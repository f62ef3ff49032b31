"""The form of an iTwin connection in every Airflow version, and the text of its test button."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any
from unittest import mock

import jsonschema  # type: ignore[import-untyped]
import pytest

from airflow_provider_itwin.get_provider_info import get_provider_info
from airflow_provider_itwin.hooks.connection_form import FIELDS
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.hooks.settings import account_of
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_2_PLUS
from tests.airflow.sdk import import_string
from tests.airflow.test_provider_metadata import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock


on_older = pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="the form of Flask AppBuilder went with Airflow 2")
on_newer = pytest.mark.skipif(not AIRFLOW_V_3_2_PLUS, reason="Airflow reads forms from the metadata since 3.2")

BY_HAND = {"verify", "proxies"}
"""Fields that a form of Flask AppBuilder would change."""


# The description


def test_every_setting_has_a_field_with_a_description() -> None:
    [described] = get_provider_info()["connection-types"]
    assert described["conn-fields"] == FIELDS
    assert set(FIELDS) == {"issuer_url", "scope", "token", "timeout", "verify", "proxies", "portal_url"}
    for field in FIELDS.values():
        assert field["label"]
        assert field["description"].endswith(".")
        # An empty field is null.
        assert "null" in field["schema"]["type"]


@on_newer
def test_the_form_matches_the_schema_of_airflow() -> None:
    wanted = schema("provider.yaml")["properties"]["connection-types"]
    jsonschema.validate(get_provider_info()["connection-types"], wanted)


def test_only_secrets_are_masked() -> None:
    assert {name for name, field in FIELDS.items() if field["schema"].get("format") == "password"} == {"token"}


def test_each_caller_gets_its_own_copy_of_the_metadata() -> None:
    get_provider_info()["connection-types"][0]["conn-fields"].clear()
    assert get_provider_info()["connection-types"][0]["conn-fields"] == FIELDS


@on_newer
def test_the_browser_gets_the_form_from_the_metadata() -> None:
    service = import_string("airflow.api_fastapi.core_api.services.ui.connections.HookMetaService")
    [form] = [form for form in service.hook_meta_data() if form.connection_type == "itwin"]
    assert form.hook_name == "iTwin"
    assert (form.standard_fields.host.title, form.standard_fields.login.title) == ("API host", "Client id")
    assert form.standard_fields.password.title == "Client secret"
    # Airflow 3.3.1 and 3.3.2 test no connection without a port.
    assert not form.standard_fields.port.hidden
    assert form.standard_fields.url_schema.hidden
    assert set(form.extra_fields) == set(FIELDS)
    assert form.extra_fields["token"]["schema"]["format"] == "password"
    assert form.extra_fields["scope"]["value"] == "itwin-platform"
    assert form.extra_fields["timeout"]["value"] == 60
    assert form.extra_fields["issuer_url"]["schema"]["title"] == "Token issuer"


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the stand-ins are those of Airflow 3")
def test_the_hook_methods_work_without_flask_appbuilder(monkeypatch: pytest.MonkeyPatch) -> None:
    # Airflow 3.0 and 3.1 call the methods of the hook with these replacements of packages that are not installed.
    service = import_string("airflow.api_fastapi.core_api.services.ui.connections.HookMetaService")
    for name in ("wtforms", "wtforms.validators", "flask_babel", "flask_appbuilder", "flask_appbuilder.fieldwidgets"):
        monkeypatch.setitem(sys.modules, name, mock.MagicMock())
    forms, babel = sys.modules["wtforms"], sys.modules["flask_babel"]
    monkeypatch.setattr(forms, "StringField", service.MockStringField)
    monkeypatch.setattr(forms, "IntegerField", service.MockIntegerField)
    monkeypatch.setattr(forms, "PasswordField", service.MockPasswordField)
    monkeypatch.setattr(babel, "lazy_gettext", str)
    made = {name: widget.param.dump() for name, widget in ITwinHook.get_connection_form_widgets().items()}
    assert set(made) == set(FIELDS) - BY_HAND
    assert made["token"]["schema"]["format"] == "password"
    assert made["scope"]["value"] == "itwin-platform"
    assert made["timeout"]["schema"]["type"] == ["integer", "null"]
    assert made["portal_url"]["description"] == FIELDS["portal_url"]["description"]


# The form of Airflow 2.11


@pytest.fixture(scope="module")
def browser(airflow_home: Path) -> Any:
    """The test client of Airflow 2.11, logged in as an admin."""
    from airflow.www.app import create_app  # type: ignore[import-not-found,unused-ignore]

    app = create_app(testing=True)
    app.config.update(AUTH_ROLE_PUBLIC="Admin", WTF_CSRF_ENABLED=False)
    return app.test_client()


@pytest.fixture
def saved(browser: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that saves a connection with the form, and returns what Airflow has stored."""
    from airflow.models import Connection
    from airflow.utils.session import create_session

    def save(path: str = "/connection/add", **fields: str) -> Any:
        form = {"conn_id": "by_form", "conn_type": "itwin", "extra": ""}
        form |= {f"extra__itwin__{name}": "" for name in set(FIELDS) - BY_HAND}
        answer = browser.post(path, data=form | fields)
        assert answer.status_code == 302, answer.text
        return Connection.get_connection_from_secrets("by_form")

    yield save
    with create_session() as session:
        session.query(Connection).filter_by(conn_id="by_form").delete()


@on_older
def test_the_old_form_has_the_fields(browser: Any) -> None:
    page = browser.get("/connection/add").text
    inputs = {found[1]: found[0] for found in re.findall(r'(<input[^>]*name="extra__itwin__(\w+)"[^>]*>)', page)}
    assert set(inputs) == set(FIELDS) - BY_HAND
    assert {name for name, tag in inputs.items() if 'type="password"' in tag} == {"token"}
    assert 'value="itwin-platform"' in inputs["scope"]
    assert 'value="60"' in inputs["timeout"]
    assert "OAuth scope to request." in page
    assert "API host" in page


@on_older
def test_an_empty_old_form_creates_a_valid_connection(saved: Callable[..., Any]) -> None:
    connection = saved(host="http://127.0.0.1:8899", login="service-a", password="b")
    account = account_of(connection)
    assert account.network.timeout == 60
    assert account.network.verify is True
    assert account.environment.issuer == "http://127.0.0.1:8899"


@on_older
def test_the_old_form_keeps_shown_and_hidden_settings(saved: Callable[..., Any], browser: Any) -> None:
    first = saved(
        login="service-a",
        password="b",
        extra='{"verify": false, "proxies": {"https": "http://proxy:3128"}}',
        extra__itwin__scope="more",
        extra__itwin__timeout="30",
        extra__itwin__token="ey-MARKER-token",
    )
    page = browser.get(f"/connection/edit/{first.id}").text
    assert "MARKER" not in page
    hidden = re.search(r'<input[^>]*name="extra__itwin__token"[^>]*>', page)
    assert hidden is not None
    placeholder = re.search(r'value="([^"]+)"', hidden[0])
    assert placeholder is not None
    shown = re.search(r'<textarea[^>]*name="extra"[^>]*>(.*?)</textarea>', page, re.DOTALL)
    assert shown is not None
    again = saved(
        f"/connection/edit/{first.id}",
        login="service-a",
        password=placeholder[1],
        extra=shown[1].replace("&#34;", '"').strip(),
        extra__itwin__scope="more",
        extra__itwin__timeout="30",
        extra__itwin__token=placeholder[1],
    )
    assert json.loads(again.extra) == json.loads(first.extra)
    account = account_of(again)
    assert (account.network.verify, account.network.timeout) == (False, 30.0)
    assert account.network.proxies == (("https", "http://proxy:3128"),)


# Values of the form


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_field_means_its_default(
    emulator: Emulator, connection: Callable[..., None], nothing: str | None
) -> None:
    connection(
        host=emulator.url,
        login=emulator.client_id,
        password=emulator.client_secret,
        port=None,
        schema="",
        extra=dict.fromkeys(FIELDS, nothing),
    )
    assert ITwinHook().test_connection()[0]
    account = ITwinHook().get_conn().account
    assert (account.network.timeout, account.network.verify, account.network.proxies) == (60.0, True, ())


def test_the_defaults_in_the_form_are_the_real_defaults(emulator: Emulator, connection: Callable[..., None]) -> None:
    fields = {name: field["schema"].get("default") for name, field in FIELDS.items()}
    connection(host=emulator.url, login=emulator.client_id, password=emulator.client_secret, extra=fields)
    filled = ITwinHook().get_conn().account
    connection(host=emulator.url, login=emulator.client_id, password=emulator.client_secret)
    assert ITwinHook().get_conn().account.key == filled.key


# The test button


@pytest.fixture
def run_test(emulator: Emulator, connection: Callable[..., None], clock: FakeClock) -> Callable[..., tuple[bool, str]]:
    """Return a function that tests a connection to the emulator with some fields changed."""

    def test(**fields: Any) -> tuple[bool, str]:
        connection(**{"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret} | fields)
        ok, message = ITwinHook().test_connection()
        assert clock.slept == 0, "a user waits for the result"
        assert emulator.client_secret not in message
        assert "MARKER" not in message
        assert_one_sentence(message)
        return ok, message

    return test


def assert_one_sentence(message: str) -> None:
    assert message.endswith(".")
    assert not re.search(r"[.!?] [A-Z]", message), message
    assert len(message) < 400


def test_the_test_reports_success(run_test: Callable[..., Any], emulator: Emulator) -> None:
    ok, message = run_test()
    assert ok
    assert message == f"Connected to {emulator.url} as {emulator.client_id}; storage connections are visible."


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "wrong-MARKER"}, "refused the client service-emulator (invalid_client): check Client id and"),
        ({"login": "service-x"}, "refused the client service-x (invalid_client): check Client id and Client secret"),
        ({"extra": {"scope": "nothing:read"}}, "refused the scope 'nothing:read' (invalid_scope): reset Scope"),
        ({"extra": {"token": "stale-MARKER"}}, "refused the access token (InvalidHeaderValue): it has expired or is"),
        ({"host": "http://127.0.0.1:9"}, "Cannot connect to http://127.0.0.1:9: connection refused; check API"),
        ({"extra": {"issuer_url": "http://127.0.0.1:9"}}, "connection refused; check Token issuer"),
        (
            {"extra": {"issuer_url": "{url}/elsewhere"}},
            "returned 404 and does not seem to be a token issuer: check Token issuer",
        ),
        ({"host": "{url}/synchronization"}, "returned 404 and does not seem to be a token issuer: check API host"),
        ({"host": "{url}/api", "extra": {"issuer_url": "{url}"}}, "does not seem to be the iTwin Platform: check API"),
    ],
    ids=str,
)
def test_the_test_reports_what_to_fix(
    run_test: Callable[..., Any], emulator: Emulator, fields: dict[str, Any], words: str
) -> None:
    fields = json.loads(json.dumps(fields).replace("{url}", emulator.url))
    ok, message = run_test(**fields)
    assert not ok
    assert words in message


def test_the_test_reports_a_missing_role(run_test: Callable[..., Any], emulator: Emulator) -> None:
    client_id, secret = emulator.add_client("service-stranger")
    ok, message = run_test(login=client_id, password=secret)
    assert not ok
    assert "no storage connection is visible" in message
    assert "add service-stranger@apps.imsoidc.bentley.com as a member with a role" in message


def test_the_test_reports_a_wrong_environment(run_test: Callable[..., Any], clock: FakeClock) -> None:
    from itwin_emulator import Emulator

    with Emulator(clock=clock, scenario="demo") as other:
        ok, message = run_test(extra={"issuer_url": other.url})
        assert not ok
        assert "API host and Token issuer belong to different environments" in message
        assert other.url in message


def test_the_test_reports_an_unregistered_client(run_test: Callable[..., Any], emulator: Emulator) -> None:
    client_id, secret = emulator.add_client("service-new", registered=False)
    ok, message = run_test(login=client_id, password=secret)
    assert not ok
    assert "(UnknownClient): register it at https://developer.bentley.com" in message


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 401}, "(Unauthorized): check Scope, and that the client is a service application"),
        ({"status": 403}, "has no role (InsufficientPermissions) at"),
        ({"status": 404}, "returned 404 and does not seem to be the iTwin Platform: check API host"),
        ({"status": 429, "headers": {"Retry-After": "30"}}, "(RateLimitExceeded): try again in 30 s"),
        ({"status": 503}, "failed with 503: try again later, and report"),
        ({"kind": "html"}, "failed with 502"),
        ({"kind": "invalid-json"}, "does not seem to be the iTwin Platform (The response is not JSON"),
        ({"kind": "redirect", "location": "https://evil.example.com/"}, "redirects the request, which is not followed"),
        ({"kind": "reset-before"}, "Cannot connect to"),
    ],
    ids=str,
)
def test_the_test_reports_an_error_of_the_service(
    run_test: Callable[..., Any], emulator: Emulator, fault: dict[str, Any], words: str
) -> None:
    emulator.fail("get-storage-connections", None, **fault)
    ok, message = run_test()
    assert not ok
    assert words in message


def test_an_api_that_lists_by_imodel_only_counts_as_connected(run_test: Callable[..., Any], emulator: Emulator) -> None:
    emulator.fail("get-storage-connections", None, status=422)
    assert run_test() == (True, f"Connected to {emulator.url} as {emulator.client_id}.")
