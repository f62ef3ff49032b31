"""What the tests need to be there."""

from __future__ import annotations

import os

import pytest

from tests.system import database

from .broker import trouble_with_redis


@pytest.fixture(scope="session")
def services() -> None:
    """PostgreSQL and Redis: without them the tests are skipped; in CI that is a failure."""
    if failure := database.failure() or trouble_with_redis():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs PostgreSQL and Redis: {failure}")
        pytest.skip(failure)
