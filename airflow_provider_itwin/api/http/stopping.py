"""Pauses that end when the task is stopped."""

from __future__ import annotations

import threading


def pause(stopped: threading.Event, seconds: float) -> None:
    """
    Wait, or until the task is stopped.

    Callers use it as an attribute of this module, so that tests can replace it in one place.

    :param stopped: ends the pause when it is set, from another thread or a signal handler
    :param seconds: the longest wait
    """
    stopped.wait(seconds)
