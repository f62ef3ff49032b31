"""For all tests: whatever ends a test run, it ends what it has started."""

from __future__ import annotations

import signal
from typing import Any


def pytest_configure() -> None:
    """Make of a SIGTERM what Ctrl-C is, so that fixtures are torn down; a second one ends the process as it is."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise KeyboardInterrupt
