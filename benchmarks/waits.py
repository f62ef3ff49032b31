"""
One measurement: waits of one subject in this process.

Started by :mod:`benchmarks.processes` with a :class:`Case` as JSON. Writes an :class:`Outcome` as JSON to a file.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import traceback
from array import array
from pathlib import Path

import msgspec

from benchmarks import machine
from benchmarks.profiling import MemoryTracer, Profile, Profiler
from benchmarks.subjects import SUBJECTS, Subject

TICK = 0.05
_WARM_UP = 10.0
_IDLE = 2.0


class Case(msgspec.Struct, frozen=True):
    """
    The case to measure.

    :param subject: one of :data:`benchmarks.subjects.SUBJECTS`
    :param waits: number of waits
    :param interval: seconds between two polls; None: our default schedule
    :param spread: seconds over which the starts are spread evenly
    :param settle: seconds between the last start and the window in which CPU is measured
    :param window: seconds of that window; all runs end after it
    :param ending: seconds over which the ends of the runs are spread evenly
    :param grace: seconds after which a late end counts as missed
    :param per_minute: ``[itwin] requests_per_minute``; 0: no limit
    :param port: port of the server
    :param certificate: path of its certificate
    :param processor: processor of this process
    :param profile: whether to profile the CPU of the window
    :param trace: whether to trace memory allocations, which is slow
    """

    subject: str
    waits: int
    interval: float | None
    spread: float
    settle: float
    window: float
    ending: float
    grace: float
    per_minute: float = 0.0
    port: int = 0
    certificate: str = ""
    processor: int | None = None
    profile: bool = False
    trace: bool = False

    @property
    def duration(self) -> float:
        """Seconds from the first start to the time at which all ends must be detected."""
        return self.spread + self.settle + self.window + self.ending + self.grace

    def start_of(self, number: int) -> float:
        """Seconds from the first start to the start of a wait."""
        return self.spread * number / self.waits


class Outcome(msgspec.Struct):
    """
    The outcome of a case.

    Times are of the monotonic clock, which the server shares.

    :param began: the first start, after the warm-up
    :param window_began: start of the window
    :param window_ended: end of the window
    :param window_cpu: CPU seconds in the window, of all threads
    :param window_collecting: part of `window_cpu` for garbage collection
    :param idle_cpu: CPU seconds per second of the process without waits
    :param idle_memory: bytes of the process without waits
    :param peak_memory: peak bytes with waits
    :param settled_memory: bytes at the end of the window
    :param lags: delays of a ticker in seconds, from the first start to the last end
    :param window_lags: the same in the window
    :param lateness: for each finished wait, the duration of the run, and seconds from its end to that of the wait
    :param wrong: ends with a wrong result
    :param missed: waits without an end
    :param failures: the first few error messages
    :param lookups: number of connection lookups, including the warm-up
    :param profile: CPU profile of the window, if requested
    :param memory: allocated bytes by line, if requested
    """

    began: float = 0.0
    ended: float = 0.0
    window_began: float = 0.0
    window_ended: float = 0.0
    window_cpu: float = 0.0
    window_collecting: float = 0.0
    idle_cpu: float = 0.0
    idle_memory: int = 0
    peak_memory: int = 0
    settled_memory: int = 0
    lags: list[float] = []
    window_lags: list[float] = []
    lateness: list[tuple[float, float]] = []
    wrong: int = 0
    missed: int = 0
    failures: list[str] = []
    lookups: int = 0
    profile: Profile | None = None
    memory: dict[str, int] = {}


class _Ticker:
    """Wakes up every 50 ms and records the delays."""

    def __init__(self) -> None:
        self.lags = array("d")
        self._task = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            due = time.monotonic() + TICK
            await asyncio.sleep(TICK)
            self.lags.append(max(0.0, time.monotonic() - due))

    def taken(self) -> list[float]:
        """Return the recorded delays and reset them."""
        taken, self.lags = list(self.lags), array("d")
        return taken

    def stop(self) -> None:
        """Stop ticking."""
        self._task.cancel()


class _Collections:
    """Adds up the CPU time of the garbage collector."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0
        gc.callbacks.append(self._on_end)

    def _on_end(self, phase: str, _: dict[str, int]) -> None:
        now = time.process_time()
        if phase == "start":
            self._began = now
        else:
            self.seconds += now - self._began


class _Ends:
    """Records the end of each wait."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}
        self.wrong = 0
        self.expected = 0
        self.complete = asyncio.Event()

    def expect(self, number: int) -> None:
        """Reset, and expect `number` ends."""
        self.at.clear()
        self.wrong = 0
        self.expected = number
        self.complete.clear()

    def on_end(self, number: int, right: bool) -> None:
        """Record an end."""
        self.at[number] = time.monotonic()
        self.wrong += not right
        if len(self.at) >= self.expected:
            self.complete.set()

    async def all_come(self, seconds: float) -> bool:
        """Wait for all ends, or until the time is up."""
        try:
            async with asyncio.timeout(seconds):
                await self.complete.wait()
        except TimeoutError:
            return False
        return True


async def measure(case: Case) -> Outcome:
    """Measure."""
    ends, ticker, collections = _Ends(), _Ticker(), _Collections()
    subject = SUBJECTS[case.subject](case.port, case.certificate, case.interval, ends.on_end)
    await _warm_up(subject, ends)
    outcome = Outcome()
    await _measure_idle(outcome, ticker)
    profiler = Profiler() if case.profile else None
    tracer = MemoryTracer() if case.trace else None
    outcome.began = time.monotonic()
    window_begins = outcome.began + case.spread + case.settle
    window_ends = window_begins + case.window
    finishes = [window_ends + case.ending * number / case.waits for number in range(case.waits)]
    ends.expect(case.waits)
    starting = asyncio.create_task(_start_all(subject, case, outcome.began, finishes))
    await _until(window_begins)
    lags = ticker.taken()
    collecting = collections.seconds
    cpu, outcome.window_began = time.process_time(), time.monotonic()
    if profiler is not None:
        profiler.begin()
    await _until(window_ends)
    outcome.window_cpu, outcome.window_ended = time.process_time() - cpu, time.monotonic()
    outcome.window_collecting = collections.seconds - collecting
    if profiler is not None:
        outcome.profile = profiler.end()
    outcome.window_lags = ticker.taken()
    outcome.settled_memory = machine.resident()
    if tracer is not None:
        outcome.memory = tracer.end()
    await starting
    await ends.all_come(window_ends + case.ending + case.grace - time.monotonic())
    outcome.ended = time.monotonic()
    outcome.peak_memory = machine.peak()
    outcome.lags = lags + outcome.window_lags + ticker.taken()
    ticker.stop()
    outcome.lateness = [
        (finishes[number] - outcome.began - case.start_of(number), ends.at[number] - finishes[number])
        for number in sorted(ends.at)
    ]
    outcome.wrong, outcome.missed = ends.wrong, case.waits - len(ends.at)
    outcome.failures = subject.failures[:5]
    outcome.lookups = subject.lookups
    if not outcome.missed:
        await subject.close()
    return outcome


async def _warm_up(subject: Subject, ends: _Ends) -> None:
    """Wait once for a finished run, to import everything and fill all caches."""
    ends.expect(1)
    subject.start(0, time.monotonic() - 1.0)
    if not await ends.all_come(_WARM_UP) or ends.wrong:
        raise RuntimeError(f"{type(subject).__name__} cannot wait for a single run: {subject.failures}")
    await asyncio.sleep(0.2)
    await subject.close()


async def _measure_idle(outcome: Outcome, ticker: _Ticker) -> None:
    gc.collect()
    cpu, began = time.process_time(), time.monotonic()
    await asyncio.sleep(_IDLE)
    outcome.idle_cpu = (time.process_time() - cpu) / (time.monotonic() - began)
    ticker.taken()
    machine.forget_peak()
    outcome.idle_memory = machine.resident()


async def _start_all(subject: Subject, case: Case, began: float, finishes: list[float]) -> None:
    """Start all waits, evenly spread, and yield to the event loop after every 200."""
    for number in range(case.waits):
        pause = began + case.start_of(number) - time.monotonic()
        if pause > 0 or number % 200 == 0:
            await asyncio.sleep(max(0.0, pause))
        subject.start(number, finishes[number])


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


def main() -> None:
    """Measure the case in the first argument, and write the outcome to the file in the second."""
    case = msgspec.json.decode(sys.argv[1], type=Case)
    machine.pin(case.processor)
    from benchmarks.triggerer import log_as_the_triggerer_does

    log_as_the_triggerer_does()
    try:
        outcome = asyncio.run(measure(case))
    except Exception:
        # Not written to the logs, which are discarded.
        traceback.print_exc()
        raise
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
