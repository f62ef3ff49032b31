"""The people of the browser tests can look at Airflow, and are who they are said to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .users import ADMIN, STRANGER, VIEWER

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.system.deployment import Deployment

pytestmark = pytest.mark.system


@pytest.mark.parametrize("person", [ADMIN, VIEWER])
def test_each_sees_the_dags(deployment: Deployment, page_of: Callable[..., Page], person: str) -> None:
    deployment.api.wait_for_dag("browser_runs")
    page = page_of(person)

    page.goto(f"{deployment.api.url}/dags")

    expect(page.get_by_text("browser_runs").first).to_be_visible()
    assert page.request.get(f"{deployment.api.url}/ui/auth/me").json()["username"] == person


def test_one_does_not_see_what_tasks_did(deployment: Deployment, page_of: Callable[..., Page]) -> None:
    page = page_of(STRANGER)

    assert page.request.get(f"{deployment.api.url}/ui/auth/me").json()["username"] == STRANGER
    assert page.request.get(f"{deployment.api.url}/api/v2/dags/browser_runs").ok
    assert page.request.get(f"{deployment.api.url}/api/v2/dags/~/dagRuns/~/taskInstances").status == 403
