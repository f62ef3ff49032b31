"""
CPU and memory profiles.

CPU: stack samples, taken by a timer that counts the CPU time of this process. C code counts for the Python function that called
it. Memory: bytes by the line that allocated them.
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
    Summary of the samples.

    :param samples: number of samples
    :param modules: samples by package or module of the innermost frame; modules for this project and the standard library
    :param own: samples by function of the innermost frame
    :param whole: samples by function anywhere in the stack
    """

    samples: int
    modules: dict[str, int]
    own: dict[str, int]
    whole: dict[str, int]


class Profiler:
    """Samples the main thread of this process."""

    def __init__(self) -> None:
        self._modules: Counter[str] = Counter()
        self._own: Counter[str] = Counter()
        self._whole: Counter[str] = Counter()

    def begin(self) -> None:
        """Start sampling."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)

    def end(self) -> Profile:
        """Stop sampling and return the profile."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        return Profile(
            samples=sum(self._modules.values()),
            modules=dict(self._modules.most_common()),
            own=dict(self._own.most_common(60)),
            whole=dict(self._whole.most_common(120)),
        )

    def _sample(self, _: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        self._modules[_module(frame)] += 1
        self._own[_name(frame)] += 1
        seen = set()
        for _ in range(_DEEPEST):
            seen.add(_name(frame))
            if frame.f_back is None:
                break
            frame = frame.f_back
        self._whole.update(seen)


def _module(frame: FrameType) -> str:
    module = str(frame.f_globals.get("__name__", "?"))
    package = module.partition(".")[0]
    if package in sys.stdlib_module_names or package in ("airflow_provider_itwin", "benchmarks"):
        return module
    return package


def _name(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_qualname}"


class MemoryTracer:
    """Start recording memory allocations."""

    def __init__(self) -> None:
        tracemalloc.start()

    def end(self, most: int = 40) -> dict[str, int]:
        """Return the allocated bytes by line, the largest first."""
        found = tracemalloc.take_snapshot().statistics("lineno")
        tracemalloc.stop()
        return {_place(one.traceback[0]): one.size for one in found[:most]}


def _place(frame: tracemalloc.Frame) -> str:
    return f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno}"
