"""The services that these tests need."""

from __future__ import annotations

import os

import pytest

from tests.system import database

from .broker import redis_error


@pytest.fixture(scope="session")
def services() -> None:
    """PostgreSQL and Redis: without them the tests are skipped, or fail in CI."""
    if failure := database.failure() or redis_error():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs PostgreSQL and Redis: {failure}")
        pytest.skip(failure)
