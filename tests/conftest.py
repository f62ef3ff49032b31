"""For all tests: whatever ends a test run, it ends what it has started."""

from __future__ import annotations

import signal
from typing import Any


def pytest_configure() -> None:
    """Make of a SIGTERM what Ctrl-C is, so that fixtures are torn down."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
