"""
One measurement: so many waits, of one kind, in this process.

Started by :mod:`benchmarks.processes` with a :class:`Case` as JSON; writes a :class:`Outcome` as JSON to a file.
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
    What to measure.

    :param subject: who waits, one of :data:`benchmarks.subjects.SUBJECTS`
    :param waits: how many wait
    :param interval: seconds between two looks, None for our default schedule
    :param spread: seconds over which the starts are spread evenly
    :param settle: seconds between the last start and the window in which CPU is measured
    :param window: seconds of that window; all runs end after it
    :param ending: seconds over which the ends of the runs are spread evenly
    :param grace: seconds that an end may come late before it counts as missed
    :param per_minute: ``[itwin] requests_per_minute``, 0 for no limit
    :param port: of the server
    :param certificate: file of its certificate
    :param processor: where this process stays
    :param profile: whether to find out where the CPU of the window goes
    :param trace: whether to find out where the memory goes, which makes everything slow
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
        """Seconds from the first start to the moment when all ends must have been seen."""
        return self.spread + self.settle + self.window + self.ending + self.grace

    def start_of(self, number: int) -> float:
        """Seconds from the first start to that of a wait."""
        return self.spread * number / self.waits


class Outcome(msgspec.Struct):
    """
    What came of it.

    Moments are of the monotonic clock, which the server shares.

    :param began: the first start; what is counted from there on leaves out the warm-up
    :param window_began: begin of the window
    :param window_ended: end of the window
    :param window_cpu: seconds of CPU in it, of all threads
    :param window_collecting: seconds of that in which the garbage collector looked through what the process holds
    :param idle_cpu: seconds of CPU that the process without waits takes in a second
    :param idle_memory: bytes of the process without waits
    :param peak_memory: most bytes while there were waits
    :param settled_memory: bytes at the end of the window
    :param lags: seconds that a ticker came late, each time, from the first start to the last end
    :param window_lags: the same in the window
    :param lateness: for each wait that ended, how long the run took, and seconds from its end to that of the wait
    :param wrong: ends that said the wrong thing
    :param missed: waits without an end
    :param failures: the first few texts of what was raised
    :param lookups: how often Airflow was asked for the connection, the warm-up included
    :param profile: where the CPU of the window went, if that was asked for
    :param memory: bytes that the waits hold by the lines that asked for them, if that was asked for
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
    """Wants to be woken every 50 ms, and notes how late it was."""

    def __init__(self) -> None:
        self.lags = array("d")
        self._task = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            due = time.monotonic() + TICK
            await asyncio.sleep(TICK)
            self.lags.append(max(0.0, time.monotonic() - due))

    def taken(self) -> list[float]:
        """Give what was noted so far, and begin anew."""
        taken, self.lags = list(self.lags), array("d")
        return taken

    def stop(self) -> None:
        """Tick no more."""
        self._task.cancel()


class _Collections:
    """Adds up the CPU of the garbage collector."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0
        gc.callbacks.append(self._hear)

    def _hear(self, phase: str, _: dict[str, int]) -> None:
        now = time.process_time()
        if phase == "start":
            self._began = now
        else:
            self.seconds += now - self._began


class _Ends:
    """Notes when each wait ended."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}
        self.wrong = 0
        self.expected = 0
        self.complete = asyncio.Event()

    def expect(self, number: int) -> None:
        """Begin anew, with so many to come."""
        self.at.clear()
        self.wrong = 0
        self.expected = number
        self.complete.clear()

    def hear(self, number: int, right: bool) -> None:
        """Note an end."""
        self.at[number] = time.monotonic()
        self.wrong += not right
        if len(self.at) >= self.expected:
            self.complete.set()

    async def all_come(self, seconds: float) -> bool:
        """Wait until all have come, or the time is up."""
        try:
            async with asyncio.timeout(seconds):
                await self.complete.wait()
        except TimeoutError:
            return False
        return True


async def measure(case: Case) -> Outcome:
    """Measure."""
    ends, ticker, collections = _Ends(), _Ticker(), _Collections()
    subject = SUBJECTS[case.subject](case.port, case.certificate, case.interval, ends.hear)
    await _warm_up(subject, ends)
    outcome = Outcome()
    await _look_at_idle(outcome, ticker)
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
    """Wait once for a run that has ended, so that everything is imported and every cache is filled."""
    ends.expect(1)
    subject.start(0, time.monotonic() - 1.0)
    if not await ends.all_come(_WARM_UP) or ends.wrong:
        raise RuntimeError(f"{type(subject).__name__} cannot wait for a single run: {subject.failures}")
    await asyncio.sleep(0.2)
    await subject.close()


async def _look_at_idle(outcome: Outcome, ticker: _Ticker) -> None:
    gc.collect()
    cpu, began = time.process_time(), time.monotonic()
    await asyncio.sleep(_IDLE)
    outcome.idle_cpu = (time.process_time() - cpu) / (time.monotonic() - began)
    ticker.taken()
    machine.forget_peak()
    outcome.idle_memory = machine.resident()


async def _start_all(subject: Subject, case: Case, began: float, finishes: list[float]) -> None:
    """Start all waits, evenly spread, and never more than 200 without letting the event loop have its turn."""
    for number in range(case.waits):
        pause = began + case.start_of(number) - time.monotonic()
        if pause > 0 or number % 200 == 0:
            await asyncio.sleep(max(0.0, pause))
        subject.start(number, finishes[number])


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


def main() -> None:
    """Measure the case of the first argument, and write what came of it to the file of the second."""
    case = msgspec.json.decode(sys.argv[1], type=Case)
    machine.pin(case.processor)
    from benchmarks.triggerer import log_as_the_triggerer_does

    log_as_the_triggerer_does()
    try:
        outcome = asyncio.run(measure(case))
    except Exception:
        # Not by way of the logs, which nobody reads.
        traceback.print_exc()
        raise
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
