"""The users of the browser tests can log in, and have the intended permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .users import ADMIN, RESTRICTED, VIEWER

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.system.deployment import Deployment

pytestmark = pytest.mark.system


@pytest.mark.parametrize("user", [ADMIN, VIEWER])
def test_a_user_sees_the_dags(deployment: Deployment, page_of: Callable[..., Page], user: str) -> None:
    deployment.api.wait_for_dag("browser_runs")
    page = page_of(user)

    page.goto(f"{deployment.api.url}/dags")

    expect(page.get_by_text("browser_runs").first).to_be_visible()
    assert page.request.get(f"{deployment.api.url}/ui/auth/me").json()["username"] == user


def test_the_restricted_user_cannot_read_task_instances(deployment: Deployment, page_of: Callable[..., Page]) -> None:
    page = page_of(RESTRICTED)

    assert page.request.get(f"{deployment.api.url}/ui/auth/me").json()["username"] == RESTRICTED
    assert page.request.get(f"{deployment.api.url}/api/v2/dags/browser_runs").ok
    assert page.request.get(f"{deployment.api.url}/api/v2/dags/~/dagRuns/~/taskInstances").status == 403
