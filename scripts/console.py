"""Talking to the person in front of the screen, or to the log of a CI job: plain lines, no control sequences."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator


class CannotGoOnError(Exception):
    """There is no point in going on; the text tells the person why."""


def say(text: str = "") -> None:
    """Print, and at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the signals that end programs do it as Ctrl-C does, with everything put in order."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Do something to its end although the person keeps pressing Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def not_just_now() -> Iterator[None]:
    """Put an interruption off to the end of the block, so that what is started in it is also noted down to be stopped."""
    asked: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda received, _: asked.append(received)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt
