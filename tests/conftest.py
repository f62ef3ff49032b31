"""For all tests: the end of a test run stops what it has started, even after a SIGTERM."""

from __future__ import annotations

import signal
from typing import Any


def pytest_configure() -> None:
    """Treat SIGTERM like Ctrl-C, so that fixtures are torn down; a second one ends the process at once."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise KeyboardInterrupt
