"""
Where the processor's time goes: samples of the stack, taken by a timer that runs only while this process does.

What runs in C is counted for the function in Python that called it. And where the memory goes, by the lines that asked for it.
"""

from __future__ import annotations

import signal
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from types import FrameType

import msgspec

_EVERY = 0.001
_DEEPEST = 60


class Profile(msgspec.Struct):
    """
    Samples, summed up.

    :param samples: how many there are
    :param rooms: samples whose innermost frame is in that room (a package, or a module of ours or of the standard library)
    :param own: samples whose innermost frame is that function
    :param whole: samples with that function anywhere in the stack
    """

    samples: int
    rooms: dict[str, int]
    own: dict[str, int]
    whole: dict[str, int]


class Profiler:
    """Samples the main thread of this process."""

    def __init__(self) -> None:
        self._rooms: Counter[str] = Counter()
        self._own: Counter[str] = Counter()
        self._whole: Counter[str] = Counter()

    def begin(self) -> None:
        """Begin to sample."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)

    def end(self) -> Profile:
        """Sample no more, and give what was found."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        return Profile(
            samples=sum(self._rooms.values()),
            rooms=dict(self._rooms.most_common()),
            own=dict(self._own.most_common(60)),
            whole=dict(self._whole.most_common(120)),
        )

    def _sample(self, _: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        self._rooms[_room(frame)] += 1
        self._own[_name(frame)] += 1
        seen = set()
        for _ in range(_DEEPEST):
            seen.add(_name(frame))
            if frame.f_back is None:
                break
            frame = frame.f_back
        self._whole.update(seen)


def _room(frame: FrameType) -> str:
    module = str(frame.f_globals.get("__name__", "?"))
    package = module.partition(".")[0]
    if package in sys.stdlib_module_names or package in ("airflow_provider_itwin", "benchmarks"):
        return module
    return package


def _name(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_qualname}"


class MemoryTracer:
    """Notes what memory is asked for from here on, and by whom."""

    def __init__(self) -> None:
        tracemalloc.start()

    def end(self, most: int = 40) -> dict[str, int]:
        """Give the bytes that are still held, by line, the largest first."""
        found = tracemalloc.take_snapshot().statistics("lineno")
        tracemalloc.stop()
        return {_place(one.traceback[0]): one.size for one in found[:most]}


def _place(frame: tracemalloc.Frame) -> str:
    return f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno}"
