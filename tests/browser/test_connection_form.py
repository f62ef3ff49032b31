"""The form of an iTwin connection in the browser, and its test button."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from airflow_provider_itwin.hooks.connection_form import BEHAVIOUR, FIELDS
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_2_PLUS, AIRFLOW_V_3_3_PLUS, AIRFLOW_V_3_4_PLUS
from itwin_emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Locator, Page

    from tests.system.deployment import Deployment

pytestmark = pytest.mark.system

# Before Airflow 3.2, these have no field.
ONLY_IN_EXTRA = () if AIRFLOW_V_3_2_PLUS else ("verify", "proxies")

PICTURES = Path(__file__).parents[2] / "docs" / "images"


def open_section(dialog: Locator, name: str) -> None:
    """Open a section of the form. Airflow 3.4 has no sections: it shows all fields."""
    if not AIRFLOW_V_3_4_PLUS:
        dialog.get_by_role("button", name=name, exact=True).click()


@pytest.fixture
def form(page: Page, deployment: Deployment) -> Iterator[Locator]:
    """The form of a new iTwin connection, with its extra fields open."""
    page.set_viewport_size({"width": 1100, "height": 1500})
    page.goto(f"{deployment.api.url}/connections")
    page.get_by_role("button", name="Add Connection").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").first.click()
    page.keyboard.type("iTwin")
    page.keyboard.press("Enter")
    open_section(dialog, "Extra Fields")
    expect(dialog.get_by_text("Token issuer")).to_be_visible()
    yield dialog
    page.request.delete(f"{deployment.api.url}/api/v2/connections/by_hand")


@pytest.mark.every_airflow
def test_the_form_has_labels_and_help_texts(form: Locator) -> None:
    dialog = form
    for name, field in FIELDS.items():
        if name in ONLY_IN_EXTRA:
            continue
        expect(dialog.get_by_text(field["label"], exact=True)).to_be_visible()
        expect(dialog.get_by_text(field["description"])).to_be_visible()
    expect(dialog.locator("#element_scope")).to_have_value("itwin-platform")
    expect(dialog.get_by_role("spinbutton").last).to_have_value("60")
    # Secrets are not visible while they are typed. Airflow up to 3.2 hides those of the standard fields only.
    if AIRFLOW_V_3_3_PLUS:
        expect(dialog.locator("#element_token")).to_have_attribute("type", "password")
    dialog.locator("input[name=connection_id]").fill("itwin_default")
    take_screenshot(dialog, "connection-form-extra.png")

    open_section(dialog, "Standard Fields")
    for name, label in BEHAVIOUR["relabeling"].items():
        expect(dialog.get_by_text(label, exact=True)).to_be_visible()
        expect(dialog.locator(f"input[name={name}]")).to_have_attribute("placeholder", BEHAVIOUR["placeholders"][name])
    assert dialog.locator("input[name=schema]").count() == 0
    expect(dialog.locator("input[name=password]")).to_have_attribute("type", "password")
    dialog.locator("input[name=login]").fill("service-3f1c9a")
    dialog.locator("input[name=password]").fill("something-secret")
    dialog.locator("input[name=port]").fill("443")
    take_screenshot(dialog, "connection-form.png")


def take_screenshot(what: Locator, name: str) -> None:
    """Save a screenshot for the documentation, if ITWIN_PICTURES is set."""
    if "ITWIN_PICTURES" in os.environ:
        # Sections open with an animation.
        what.page.wait_for_timeout(500)
        what.screenshot(path=PICTURES / name)


@pytest.mark.every_airflow
def test_a_connection_created_with_the_form_works_and_keeps_its_secrets(
    form: Locator, page: Page, deployment: Deployment, emulator: Emulator
) -> None:
    dialog = form
    open_section(dialog, "Standard Fields")
    dialog.locator("input[name=connection_id]").fill("by_hand")
    dialog.locator("input[name=host]").fill(emulator.url)
    dialog.locator("input[name=port]").fill(emulator.url.rpartition(":")[2])
    dialog.locator("input[name=login]").fill(emulator.client_id)
    dialog.locator("input[name=password]").fill(emulator.client_secret)
    with page.expect_response("**/api/v2/connections") as answer:
        dialog.get_by_role("button", name="Save").click()
    assert answer.value.status == 201
    assert emulator.client_secret not in answer.value.text()

    stored = page.request.get(f"{deployment.api.url}/api/v2/connections/by_hand").json()
    assert stored["password"] == "***"
    extra = json.loads(stored["extra"])
    assert (extra.pop("scope"), extra.pop("timeout")) == ("itwin-platform", 60)
    assert set(extra.values()) == {None}
    assert extra.keys() < FIELDS.keys()

    assert press_test_button(page, deployment, "by_hand") == (
        "Test Connection Successful",
        f"Connected to {emulator.url} as {emulator.client_id}; storage connections are visible.",
    )


@pytest.fixture
def connection(page: Page, deployment: Deployment, emulator: Emulator) -> Iterator[Callable[..., str]]:
    """Return a function that creates a connection to the emulator with some fields changed; it returns the id."""
    made: list[str] = []

    def store(**fields: Any) -> str:
        conn_id = f"itwin_{len(made)}"
        made.append(conn_id)
        body = {
            "connection_id": conn_id,
            "conn_type": "itwin",
            "host": emulator.url,
            "port": int(emulator.url.rpartition(":")[2]),
            "login": emulator.client_id,
            "password": emulator.client_secret,
        }
        extra = {"extra": json.dumps(fields.pop("extra"))} if "extra" in fields else {}
        answer = page.request.post(f"{deployment.api.url}/api/v2/connections", data=body | fields | extra)
        assert answer.status == 201, answer.text()
        return conn_id

    yield store
    for conn_id in made:
        page.request.delete(f"{deployment.api.url}/api/v2/connections/{conn_id}")


def test_the_test_button_reports_refused_credentials(
    page: Page, deployment: Deployment, connection: Callable[..., str]
) -> None:
    title, message = press_test_button(page, deployment, connection(password="not-the-secret"))
    assert title == "Test Connection Failed"
    assert "refused the client service-emulator (invalid_client): check Client id and Client secret" in message
    assert "not-the-secret" not in page.content()


def test_the_test_button_reports_a_missing_role(
    page: Page, deployment: Deployment, emulator: Emulator, connection: Callable[..., str]
) -> None:
    client_id, secret = emulator.add_client("service-of-a-stranger")
    title, message = press_test_button(page, deployment, connection(login=client_id, password=secret))
    assert title == "Test Connection Failed"
    assert "add service-of-a-stranger@apps.imsoidc.bentley.com as a member with a role" in message


def test_the_test_button_reports_a_wrong_environment(
    page: Page, deployment: Deployment, connection: Callable[..., str]
) -> None:
    with Emulator(scenario="demo") as other:
        conn_id = connection(extra={"issuer_url": other.url})
        title, message = press_test_button(page, deployment, conn_id)
    assert title == "Test Connection Failed"
    assert "API host and Token issuer belong to different environments" in message


def press_test_button(page: Page, deployment: Deployment, conn_id: str) -> tuple[str, str]:
    """Press the test button of a connection; return title and text of the message."""
    page.goto(f"{deployment.api.url}/connections")
    row = page.get_by_role("row").filter(has=page.get_by_text(conn_id, exact=True))
    row.get_by_role("button", name="Test Connection").click()
    toast = page.locator("[data-scope=toast][data-part=root]").filter(has_text=re.compile("Test Connection"))
    expect(toast).to_be_visible()
    title = toast.locator("[data-part=title]").inner_text()
    return title, toast.locator("[data-part=description]").inner_text()
