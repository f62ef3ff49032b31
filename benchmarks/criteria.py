"""What waiting may cost at most, and whether it does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from math import inf

import msgspec

from airflow_provider_itwin.api.wait.schedule import (
    LONGEST,
    SHARE,
    SHORTEST,
)
from benchmarks.figures import Figures, median, ratio
from benchmarks.hanging import INTERVAL
from benchmarks.plan import PEERS
from benchmarks.results import Results

HOUR = 3600.0


class Criterion(msgspec.Struct):
    """
    One demand.

    :param figure: what was found, in words
    :param met: None if it was not measured
    """

    demand: str
    figure: str
    met: bool | None


def judge(results: Results) -> list[Criterion]:
    """Judge all demands; one that cannot be judged says so."""
    judges: list[Callable[[Results], Iterator[Criterion]]] = [
        _cpu,
        _memory,
        _connections,
        _lag,
        _restart,
        _hanging,
        _schedule,
        _budget,
        _decoding,
        _large_answers,
        _emulator,
    ]
    return [criterion for judged in judges for criterion in judged(results)]


def _cpu(results: Results) -> Iterator[Criterion]:
    ours, floor = results.of("ours", 1000), results.of("floor", 1000)
    found = ratio(ours, floor)
    naive = ratio(ours, results.of("naive", 1000))
    aside = "" if naive is None else f" ({naive:.2f} times a loop whose coroutines each ask at a moment of their own)"
    yield _at_most("CPU for a poll at 1,000 waits at most 1.3 times the floor", found, 1.3, "{:.2f} times" + aside)
    peers = {peer: median(results.of(peer, 1000), _cpu_of) for peer in PEERS}
    known = {peer: cpu for peer, cpu in peers.items() if cpu is not None}
    best = min(known, key=lambda peer: known[peer], default="")
    yield _at_most(
        "CPU for a poll at 1,000 waits at most half of the best peer's",
        ratio(ours, results.of(best, 1000)),
        0.5,
        "{:.2f} of that of " + best,
    )
    most, fewer = median(results.of("ours", 10_000), _cpu_of), median(ours, _cpu_of)
    yield _at_most(
        "CPU for a poll at 10,000 waits at most 1.3 times that at 1,000",
        most / fewer if most and fewer else None,
        1.3,
        "{:.2f} times",
    )


def _memory(results: Results) -> Iterator[Criterion]:
    ours, idle, bare = (
        median(results.of(subject, 10_000), lambda one: one.memory / 1024)
        for subject in ("ours", "idle", "without portal")
    )
    aside = "" if idle is None else f", of which Airflow takes {idle:.1f} KB for a trigger that asks nobody"
    aside += "" if bare is None else f"; {bare:.1f} KB where its portal is switched off"
    yield _at_most(
        "Peak memory at most 12 KB for each of 10,000 waits, over the idle process", ours, 12.0, "{:.1f} KB" + aside
    )


def _connections(results: Results) -> Iterator[Criterion]:
    ours = results.of("ours", 10_000)
    yield _at_most(
        "At most 32 TCP connections for 10,000 waits", _most(ours, lambda one: one.connections), 32, "{:.0f}"
    )
    yield _at_most("At most 1 token request for 10,000 waits", _most(ours, lambda one: one.tokens), 1, "{:.0f}")


def _lag(results: Results) -> Iterator[Criterion]:
    ours = results.of("ours", 10_000)
    steady, whole = median(ours, lambda one: one.window_lag[1]), median(ours, lambda one: one.lag[1])
    aside = "" if whole is None else f"; {whole * 1000:.0f} ms with their starts and ends, all within ten seconds each"
    yield _at_most(
        "Event loop lag p99 at most 50 ms while 10,000 wait under the default schedule",
        None if steady is None else steady * 1000,
        50.0,
        "{:.1f} ms" + aside,
    )
    missed = _most(ours, lambda one: one.missed + one.wrong + len(one.failures))
    yield _at_most("Nothing missed, nothing wrong at 10,000 waits", missed, 0, "{:.0f} missed or wrong")


def _restart(results: Results) -> Iterator[Criterion]:
    ours = [one for one in results.restarts if one.subject == "ours" and one.waits == 10_000]
    idle = [one.cpu_of_one * 1000 for one in results.restarts if one.subject == "idle" and one.waits == 10_000]
    aside = f", {idle[0]:.2f} ms for triggers that ask nobody" if idle else ""
    yield _at_most(
        "A triggerer restarted with 10,000 waits looks its connection up once",
        max((one.lookups for one in ours), default=None),
        1,
        "{:.0f}",
    )
    yield _at_most(
        "It has polled each of them once within 20 s",
        max((inf if one.polled is None else one.polled for one in ours), default=None),
        20.0,
        "{:.1f} s",
    )
    yield _at_most(
        "and takes at most 1.5 ms of CPU for each",
        max((one.cpu_of_one * 1000 for one in ours), default=None),
        1.5,
        "{:.2f} ms" + aside,
    )


def _hanging(results: Results) -> Iterator[Criterion]:
    most = [one for one in results.hanging if one.hanging == 1000]
    yield _at_most(
        "1,000 polls that hang delay those of healthy runs by at most 5 s",
        max((one.longest_gap - INTERVAL for one in most), default=None),
        5.0,
        "{:.1f} s",
    )
    yield _at_most(
        "and their deadlines by at most 2 s",
        max((one.late_healthy for one in most), default=None),
        2.0,
        "{:.1f} s",
    )
    yield _at_most(
        "Deadlines of waits that hang are judged at most 32 s late",
        max((one.late_hanging for one in most), default=None),
        32.0,
        "{:.1f} s",
    )


def _schedule(results: Results) -> Iterator[Criterion]:
    default = [course for course in results.courses if course.interval is None]
    hour = [course.requests for course in default if course.duration == HOUR]
    yield _at_most("A one-hour run costs at most 90 requests", hour[0] if hour else None, 90, "{:.0f}")
    beyond = [course.late[1] - min(LONGEST, max(SHORTEST, SHARE * course.duration * 1.02)) for course in default]
    yield _at_most(
        "A finished run is seen at most 10 s or 5 % of its duration late, never above 2 minutes",
        max(beyond, default=None),
        0.05,
        "{:.1f} s beyond that at worst",
    )


def _budget(results: Results) -> Iterator[Criterion]:
    seen, night = results.throughput, results.tight_night
    yield _at_most(
        "1,000 waits never exceed 500 requests in any minute, by the server's clock",
        seen.busiest if seen else None,
        500,
        "{:.0f} at most",
    )
    figure = f"{night.busiest_minute} and {night.busiest_hour} at most" if night else "not measured"
    met = night.busiest_minute <= 500 and night.busiest_hour <= 5000 if night else None
    yield Criterion("Nor 500 in any minute or 5,000 in any hour of a simulated night", figure, met)


def _decoding(results: Results) -> Iterator[Criterion]:
    found = results.decoding
    yield _at_most(
        "A look at the answer about 5,000 files costs at most a fifth of json.loads",
        found.summary / found.plain if found else None,
        0.2,
        "{:.2f} of it",
    )


def _large_answers(results: Results) -> Iterator[Criterion]:
    by_files = {one.files: one for one in results.large}
    run, larger, hostile = by_files.get(20_000), by_files.get(100_000), by_files.get(0)
    yield _at_most(
        "A run of 20,000 files stops the event loop for at most 100 ms at a time",
        run.stop * 1000 if run else None,
        100,
        "{:.0f} ms",
    )
    yield _at_most(
        "A run of 100,000 files gives its report, within 400 MB",
        None if larger is None else larger.memory / 1e6 if larger.end == "reported" else math.inf,
        400,
        "{:.0f} MB",
    )
    yield _at_most(
        "60 KB of gzip with 20 million JSON values are refused within 2 s",
        None if hostile is None else hostile.seconds if hostile.end == "refused" else math.inf,
        2,
        "{:.2f} s",
    )
    yield _at_most("... and within 200 MB of memory", hostile.memory / 1e6 if hostile else None, 200, "{:.0f} MB")
    yield _at_most(
        "... and stop the event loop for at most 100 ms", hostile.stop * 1000 if hostile else None, 100, "{:.0f} ms"
    )


def _emulator(results: Results) -> Iterator[Criterion]:
    empty, full = _by_operation(results, few=True), _by_operation(results, few=False)
    polls = empty.get("get a run")
    yield _at_least(
        "The emulator answers 2,000 polls in a second of one processor",
        1.0 / polls if polls else None,
        2000,
        "{:,.0f}",
    )
    slower = [cpu / empty[name] for name, cpu in full.items() if name in empty]
    yield _at_most(
        "With 10,000 connections and 100,000 runs it answers within twice the time of an empty one",
        max(slower, default=None),
        2.0,
        "{:.2f} times at worst",
    )


def _by_operation(results: Results, *, few: bool) -> dict[str, float]:
    sizes = {rate.connections for rate in results.rates}
    if len(sizes) < 2:
        return {}
    size = min(sizes) if few else max(sizes)
    return {rate.operation: rate.cpu for rate in results.rates if rate.connections == size}


def _cpu_of(one: Figures) -> float | None:
    return one.cpu


def _most(repeats: list[Figures], what: Callable[[Figures], float]) -> float | None:
    return max(map(what, repeats), default=None)


def _at_most(demand: str, found: float | None, limit: float, figure: str) -> Criterion:
    return Criterion(demand, figure.format(found), found <= limit) if found is not None else _unmeasured(demand)


def _at_least(demand: str, found: float | None, limit: float, figure: str) -> Criterion:
    return Criterion(demand, figure.format(found), found >= limit) if found is not None else _unmeasured(demand)


def _unmeasured(demand: str) -> Criterion:
    return Criterion(demand, "not measured", None)
