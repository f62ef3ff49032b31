"""The criteria for the cost of waiting, and whether they are met."""

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
    One criterion.

    :param figure: the measured value, as text
    :param met: whether it is met; None if it was not measured
    """

    requirement: str
    figure: str
    met: bool | None


def judge(results: Results) -> list[Criterion]:
    """Evaluate all criteria; those without figures count as not measured."""
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
        _transfers,
        _jobs,
    ]
    return [criterion for judged in judges for criterion in judged(results)]


def _cpu(results: Results) -> Iterator[Criterion]:
    ours, floor = results.of("ours", 1000), results.of("floor", 1000)
    found = ratio(ours, floor)
    naive = ratio(ours, results.of("naive", 1000))
    aside = "" if naive is None else f" ({naive:.2f} times a loop whose coroutines poll at different times)"
    yield _at_most("CPU per poll at 1,000 waits at most 1.3 times the floor", found, 1.3, "{:.2f} times" + aside)
    peers = {peer: median(results.of(peer, 1000), _cpu_of) for peer in PEERS}
    known = {peer: cpu for peer, cpu in peers.items() if cpu is not None}
    best = min(known, key=lambda peer: known[peer], default="")
    yield _at_most(
        "CPU per poll at 1,000 waits at most half of the best other provider's",
        ratio(ours, results.of(best, 1000)),
        0.5,
        "{:.2f} of that of " + best,
    )
    most, fewer = median(results.of("ours", 10_000), _cpu_of), median(ours, _cpu_of)
    yield _at_most(
        "CPU per poll at 10,000 waits at most 1.3 times that at 1,000",
        most / fewer if most and fewer else None,
        1.3,
        "{:.2f} times",
    )


def _memory(results: Results) -> Iterator[Criterion]:
    ours, idle, bare = (
        median(results.of(subject, 10_000), lambda one: one.memory / 1024)
        for subject in ("ours", "idle", "without portal")
    )
    aside = "" if idle is None else f", of which Airflow takes {idle:.1f} KB for a trigger that sends no requests"
    aside += "" if bare is None else f"; {bare:.1f} KB with its portal disabled"
    yield _at_most(
        "Peak memory at most 12 KB per wait at 10,000 waits, above the idle process", ours, 12.0, "{:.1f} KB" + aside
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
    aside = "" if whole is None else f"; {whole * 1000:.0f} ms including their starts and ends, each within ten seconds"
    yield _at_most(
        "Event loop lag p99 at most 50 ms with 10,000 waits and the default schedule",
        None if steady is None else steady * 1000,
        50.0,
        "{:.1f} ms" + aside,
    )
    missed = _most(ours, lambda one: one.missed + one.wrong + len(one.failures))
    yield _at_most("No missed and no wrong ends at 10,000 waits", missed, 0, "{:.0f} missed or wrong")


def _restart(results: Results) -> Iterator[Criterion]:
    ours = [one for one in results.restarts if one.subject == "ours" and one.waits == 10_000]
    idle = [one.cpu_of_one * 1000 for one in results.restarts if one.subject == "idle" and one.waits == 10_000]
    aside = f", {idle[0]:.2f} ms for triggers that send no requests" if idle else ""
    yield _at_most(
        "A restarted triggerer with 10,000 waits looks up its connection once",
        max((one.lookups for one in ours), default=None),
        1,
        "{:.0f}",
    )
    yield _at_most(
        "Each of them has been polled once within 20 s",
        max((inf if one.polled is None else one.polled for one in ours), default=None),
        20.0,
        "{:.1f} s",
    )
    yield _at_most(
        "at most 1.5 ms of CPU for each until then",
        max((one.cpu_of_one * 1000 for one in ours), default=None),
        1.5,
        "{:.2f} ms" + aside,
    )


def _hanging(results: Results) -> Iterator[Criterion]:
    most = [one for one in results.hanging if one.hanging == 1000]
    yield _at_most(
        "1,000 hanging polls delay the polls of healthy runs by at most 5 s",
        max((one.longest_gap - INTERVAL for one in most), default=None),
        5.0,
        "{:.1f} s",
    )
    yield _at_most(
        "1,000 hanging polls delay the deadlines of healthy waits by at most 2 s",
        max((one.late_healthy for one in most), default=None),
        2.0,
        "{:.1f} s",
    )
    yield _at_most(
        "Deadlines of hanging waits are evaluated at most 32 s late",
        max((one.late_hanging for one in most), default=None),
        32.0,
        "{:.1f} s",
    )


def _schedule(results: Results) -> Iterator[Criterion]:
    default = [one for one in results.schedule_figures if one.interval is None]
    hour = [one.requests for one in default if one.duration == HOUR]
    yield _at_most("A one-hour run costs at most 90 requests", hour[0] if hour else None, 90, "{:.0f}")
    beyond = [one.late[1] - min(LONGEST, max(SHORTEST, SHARE * one.duration * 1.02)) for one in default]
    yield _at_most(
        "The end of a run is detected at most 10 s or 5 % of its duration late, and at most 2 minutes",
        max(beyond, default=None),
        0.05,
        "{:.1f} s beyond that at most",
    )


def _budget(results: Results) -> Iterator[Criterion]:
    seen, night = results.throughput, results.tight_night
    yield _at_most(
        "1,000 waits send at most 500 requests in any minute, by the server's clock",
        seen.busiest if seen else None,
        500,
        "{:.0f} at most",
    )
    figure = f"{night.busiest_minute} and {night.busiest_hour} at most" if night else "not measured"
    met = night.busiest_minute <= 500 and night.busiest_hour <= 5000 if night else None
    yield Criterion("A simulated night has at most 500 requests in any minute and 5,000 in any hour", figure, met)


def _decoding(results: Results) -> Iterator[Criterion]:
    found = results.decoding
    yield _at_most(
        "Decoding state and result of a run with 5,000 files takes at most a fifth of json.loads",
        found.summary / found.plain if found else None,
        0.2,
        "{:.2f} of it",
    )


def _large_answers(results: Results) -> Iterator[Criterion]:
    by_files = {one.files: one for one in results.large}
    run, larger, hostile = by_files.get(20_000), by_files.get(100_000), by_files.get(0)
    yield _at_most(
        "A run of 20,000 files blocks the event loop for at most 100 ms at a time",
        run.stop * 1000 if run else None,
        100,
        "{:.0f} ms",
    )
    yield _at_most(
        "A run of 100,000 files is reported within 400 MB",
        None if larger is None else larger.memory / 1e6 if larger.end == "reported" else math.inf,
        400,
        "{:.0f} MB",
    )
    yield _at_most(
        "60 KB of gzip with 20 million JSON values are rejected within 2 s",
        None if hostile is None else hostile.seconds if hostile.end == "refused" else math.inf,
        2,
        "{:.2f} s",
    )
    yield _at_most(
        "They are rejected within 200 MB of memory", hostile.memory / 1e6 if hostile else None, 200, "{:.0f} MB"
    )
    yield _at_most(
        "They block the event loop for at most 100 ms", hostile.stop * 1000 if hostile else None, 100, "{:.0f} ms"
    )


def _emulator(results: Results) -> Iterator[Criterion]:
    empty, full = _by_operation(results, few=True), _by_operation(results, few=False)
    polls = empty.get("get a run")
    yield _at_least(
        "The emulator answers 2,000 polls per CPU second",
        1.0 / polls if polls else None,
        2000,
        "{:,.0f}",
    )
    slower = [cpu / empty[name] for name, cpu in full.items() if name in empty]
    yield _at_most(
        "With 10,000 connections and 100,000 runs, the emulator takes at most twice the time of an empty one",
        max(slower, default=None),
        2.0,
        "{:.2f} times at most",
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


def _at_most(requirement: str, found: float | None, limit: float, figure: str) -> Criterion:
    return (
        Criterion(requirement, figure.format(found), found <= limit) if found is not None else _unmeasured(requirement)
    )


def _at_least(requirement: str, found: float | None, limit: float, figure: str) -> Criterion:
    return (
        Criterion(requirement, figure.format(found), found >= limit) if found is not None else _unmeasured(requirement)
    )


def _unmeasured(requirement: str) -> Criterion:
    return Criterion(requirement, "not measured", None)


def _transfers(results: Results) -> Iterator[Criterion]:
    for direction in ("upload", "download"):
        rates = {one.subject: one.rate for one in results.transfers if one.direction == direction}
        ours = rates.pop("ours", None)
        found = ours / max(rates.values()) if ours and rates else None
        requirement = f"Rate of an {direction}" if direction == "upload" else f"Rate of a {direction}"
        figure = "not measured" if found is None else f"{found:.2f} times"
        yield Criterion(
            f"{requirement} at least 0.9 times that of the fastest other client",
            figure,
            None if found is None else found >= 0.9,
        )
    memory = max((one.memory for one in results.transfers if one.subject == "ours"), default=None)
    figure = "not measured" if memory is None else f"{memory / 2**20:.0f} MiB"
    yield Criterion(
        "Growth of memory in a transfer at most 64 MiB", figure, None if memory is None else memory <= 64 * 2**20
    )


def _jobs(results: Results) -> Iterator[Criterion]:
    found = {one.subject: one for one in results.jobs}
    runs, jobs = found.get("runs"), found.get("jobs")
    for what, share in (
        ("CPU per poll", jobs.cpu / runs.cpu if runs and jobs else None),
        ("Memory per wait", jobs.memory / runs.memory if runs and jobs else None),
    ):
        figure = "not measured" if share is None else f"{share:.2f} times"
        met = None if share is None else share <= 1.1
        yield Criterion(f"{what} of jobs at most 1.1 times that of runs", figure, met)
