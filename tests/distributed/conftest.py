"""What the tests need to be there, and that whatever ends a test run ends what it has started."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.system import database

from .broker import trouble_with_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def services() -> None:
    """PostgreSQL and Redis: without them the tests are skipped; in CI that is a failure."""
    if trouble := database.trouble() or trouble_with_redis():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs PostgreSQL and Redis: {trouble}")
        pytest.skip(trouble)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Make of a SIGTERM what Ctrl-C is, so that fixtures end what they have started."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)
