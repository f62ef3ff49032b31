"""Console output in plain lines without control sequences, and handling of interrupts."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


class AbortError(Exception):
    """The script cannot continue; the message says why."""


def write_line(text: str = "") -> None:
    """Write a line and flush it, also to a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def interruptible() -> Iterator[None]:
    """Handle SIGTERM and SIGHUP like Ctrl-C, so that all cleanup runs."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    with _handling(interrupt):
        yield


@contextmanager
def ignoring_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C, SIGTERM and SIGHUP within the block, so that a second one does not interrupt the cleanup."""
    with _handling(signal.SIG_IGN):
        yield


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def deferring_interrupts() -> Iterator[None]:
    """Defer interrupts to the end of the block, so that a process started in it is also registered for cleanup."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _: received.append(number)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    if received:
        raise KeyboardInterrupt
