"""The form of an iTwin connection, for every Airflow, and the sentence that its test button says."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any
from unittest import mock

import jsonschema  # type: ignore[import-untyped]
import pytest
from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_itwin.get_provider_info import get_provider_info
from airflow_provider_itwin.hooks.connection_form import FIELDS
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.hooks.settings import account_of
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_2_PLUS

from .test_provider_metadata import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from itwin_emulator import Emulator

    from .fake_clock import FakeClock


on_older = pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="the form of Flask AppBuilder went with Airflow 2")
on_newer = pytest.mark.skipif(not AIRFLOW_V_3_2_PLUS, reason="Airflow reads forms from the metadata since 3.2")

BY_HAND = {"verify", "proxies"}
"""Fields that a form of Flask AppBuilder would spoil."""


# The description


def test_every_setting_has_a_field_that_says_what_it_is() -> None:
    [described] = get_provider_info()["connection-types"]
    assert described["conn-fields"] == FIELDS
    assert set(FIELDS) == {"issuer_url", "scope", "token", "timeout", "verify", "proxies", "portal_url"}
    for field in FIELDS.values():
        assert field["label"]
        assert field["description"].endswith(".")
        # A field that nobody fills in comes as null.
        assert "null" in field["schema"]["type"]


@on_newer
def test_the_description_is_what_airflow_wants() -> None:
    wanted = schema("provider.yaml")["properties"]["connection-types"]
    jsonschema.validate(get_provider_info()["connection-types"], wanted)


def test_only_what_is_secret_is_masked() -> None:
    assert {name for name, field in FIELDS.items() if field["schema"].get("format") == "password"} == {"token"}


def test_the_metadata_is_everybodys_own() -> None:
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
def test_the_hook_methods_serve_an_airflow_without_flask_appbuilder(monkeypatch: pytest.MonkeyPatch) -> None:
    # Airflow 3.0 and 3.1 ask the hook, and put these in the place of what is not installed.
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
    """A browser of Airflow 2.11's own test kit, whose user is an admin."""
    from airflow.www.app import create_app  # type: ignore[import-not-found,unused-ignore]

    app = create_app(testing=True)
    app.config.update(AUTH_ROLE_PUBLIC="Admin", WTF_CSRF_ENABLED=False)
    return app.test_client()


@pytest.fixture
def saved(browser: Any) -> Iterator[Callable[..., Any]]:
    """Save a connection by its form; gives what Airflow has stored."""
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
    assert "Who issues the access tokens." in page
    assert "API host" in page


@on_older
def test_an_empty_old_form_is_a_sound_connection(saved: Callable[..., Any]) -> None:
    connection = saved(host="http://127.0.0.1:8899", login="service-a", password="b")
    account = account_of(connection)
    assert account.network.timeout == 60
    assert account.network.verify is True
    assert account.environment.issuer == "http://127.0.0.1:8899"


@on_older
def test_the_old_form_keeps_what_it_shows_and_what_it_does_not(saved: Callable[..., Any], browser: Any) -> None:
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


# What the form leaves


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_field_that_nobody_fills_in_means_its_default(
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


def test_the_defaults_of_the_form_mean_what_they_say(emulator: Emulator, connection: Callable[..., None]) -> None:
    fields = {name: field["schema"].get("default") for name, field in FIELDS.items()}
    connection(host=emulator.url, login=emulator.client_id, password=emulator.client_secret, extra=fields)
    filled = ITwinHook().get_conn().account
    connection(host=emulator.url, login=emulator.client_id, password=emulator.client_secret)
    assert ITwinHook().get_conn().account.key == filled.key


# The test button


@pytest.fixture
def say(emulator: Emulator, connection: Callable[..., None], clock: FakeClock) -> Callable[..., tuple[bool, str]]:
    """Test a connection to the emulator with other fields than the right ones."""

    def test(**fields: Any) -> tuple[bool, str]:
        connection(**{"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret} | fields)
        ok, message = ITwinHook().test_connection()
        assert clock.slept == 0, "a person is waiting for the answer"
        assert emulator.client_secret not in message
        assert "MARKER" not in message
        assert_one_sentence(message)
        return ok, message

    return test


def assert_one_sentence(message: str) -> None:
    assert message.endswith(".")
    assert not re.search(r"[.!?] [A-Z]", message), message
    assert len(message) < 400


def test_says_that_it_works(say: Callable[..., Any], emulator: Emulator) -> None:
    ok, message = say()
    assert ok
    assert message == f"It works: {emulator.url} accepts {emulator.client_id}, and shows it storage connections."


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "wrong-MARKER"}, "refuses the client service-emulator (invalid_client): look at Client id and"),
        ({"login": "service-x"}, "refuses the client service-x (invalid_client): look at Client id and Client secret"),
        ({"extra": {"scope": "imodels:read"}}, "refuses the scope 'imodels:read' (invalid_scope): leave Scope"),
        ({"extra": {"token": "stale-MARKER"}}, "refuses the access token (InvalidHeaderValue): it has expired or is"),
        ({"host": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached, for nobody listens there: look at API"),
        ({"extra": {"issuer_url": "http://127.0.0.1:9"}}, "nobody listens there: look at Token issuer"),
        ({"extra": {"issuer_url": "{url}/elsewhere"}}, "answers 404, as if it issued no tokens: look at Token issuer"),
        ({"host": "{url}/synchronization"}, "answers 404, as if it issued no tokens: look at API host"),
        ({"host": "{url}/api", "extra": {"issuer_url": "{url}"}}, "as if it were not the iTwin Platform: look at API"),
    ],
    ids=str,
)
def test_says_what_to_fix(say: Callable[..., Any], emulator: Emulator, fields: dict[str, Any], words: str) -> None:
    fields = json.loads(json.dumps(fields).replace("{url}", emulator.url))
    ok, message = say(**fields)
    assert not ok
    assert words in message


def test_says_that_there_is_no_role(say: Callable[..., Any], emulator: Emulator) -> None:
    client_id, secret = emulator.add_client("service-stranger")
    ok, message = say(login=client_id, password=secret)
    assert not ok
    assert "shows it no storage connection" in message
    assert "add service-stranger@apps.imsoidc.bentley.com as a member with a role" in message


def test_says_that_the_environment_is_wrong(say: Callable[..., Any], clock: FakeClock) -> None:
    from itwin_emulator import Emulator

    with Emulator(clock=clock, scenario="demo") as other:
        ok, message = say(extra={"issuer_url": other.url})
        assert not ok
        assert "API host and Token issuer belong to different environments" in message
        assert other.url in message


def test_says_that_the_client_is_not_registered(say: Callable[..., Any], emulator: Emulator) -> None:
    client_id, secret = emulator.add_client("service-new", registered=False)
    ok, message = say(login=client_id, password=secret)
    assert not ok
    assert "(UnknownClient): register it at https://developer.bentley.com" in message


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 401}, "(Unauthorized): look at Scope, and whether the client is a service application"),
        ({"status": 403}, "lacks a role (InsufficientPermissions): let an administrator of the iTwin add service-"),
        ({"status": 404}, "answers 404, as if it were not the iTwin Platform: look at API host"),
        ({"status": 429, "headers": {"Retry-After": "30"}}, "(RateLimitExceeded): try again in 30 s"),
        ({"status": 503}, "is not well and answers 503: try again later, and name it"),
        ({"kind": "html"}, "is not well and answers 502"),
        ({"kind": "invalid-json"}, "not as the iTwin Platform does (The answer is not JSON"),
        ({"kind": "redirect", "location": "https://evil.example.com/"}, "redirects the request, which is not followed"),
        ({"kind": "reset-before"}, "cannot be reached"),
    ],
    ids=str,
)
def test_says_what_the_service_has(
    say: Callable[..., Any], emulator: Emulator, fault: dict[str, Any], words: str
) -> None:
    emulator.fail("get-storage-connections", None, **fault)
    ok, message = say()
    assert not ok
    assert words in message


def test_an_api_that_lists_by_imodel_only_has_taken_the_token(say: Callable[..., Any], emulator: Emulator) -> None:
    emulator.fail("get-storage-connections", None, status=422)
    assert say() == (True, f"It works: {emulator.url} accepts {emulator.client_id}.")
