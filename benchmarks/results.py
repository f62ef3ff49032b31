"""What was measured, as a page to read, as data, and as plots."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.decoding import Decoding
from benchmarks.emulated import Rate
from benchmarks.figures import Figures, median, ratio
from benchmarks.imports import Imports
from benchmarks.schedule import Course
from benchmarks.simulation import Night

Line = tuple[str, ...]


class Results(msgspec.Struct):
    """Everything that one run of the bench has found."""

    machine: dict[str, str]
    quick: bool
    seconds: float = 0.0
    waits: list[Figures] = []
    imports: list[Imports] = []
    decoding: Decoding | None = None
    courses: list[Course] = []
    night: Night | None = None
    budgeted: Night | None = None
    rates: list[Rate] = []
    failures: list[str] = []


def write(results: Results, directory: Path) -> str:
    """Write the page, the data and the plots, and give the page."""
    directory.mkdir(exist_ok=True)
    name = "quick" if results.quick else "full"
    page = "\n".join(_page(results))
    (directory / f"{name}.md").write_text(page, encoding="utf-8")
    (directory / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    _plot(results, directory, name)
    return page


def _page(results: Results) -> Iterator[str]:
    yield f"# What waiting costs, {datetime.now(UTC):%Y-%m-%d}\n"
    yield f"{'A quick run' if results.quick else 'A full run'} of {results.seconds / 60:.0f} minutes, on:\n"
    yield from (f"- {what}: {value}" for what, value in results.machine.items())
    yield "\n## Waits, over TLS on loopback\n"
    yield from _table(
        ("waits", "who", "repeats", "ms CPU a poll", "of the floor", "KB a wait", "connections", "tokens",
         "lag p50, p99, max ms", "late p99, max s", "missed, wrong", "keeps up"),
        _wait_lines(results.waits),
    )  # fmt: skip
    yield "\n## Criteria\n"
    yield from _table(("what", "wanted", "found", "met"), _criteria(results))
    if results.decoding is not None:
        read = results.decoding
        yield f"\n## Reading an answer of {read.files} files, {read.size / 1e6:.1f} MB\n"
        lines = (("a poll", read.glance), ("the whole run, once", read.whole), ("json.loads", read.plain))
        yield from _table(("what", "ms CPU"), ((what, f"{cpu * 1000:.2f}") for what, cpu in lines))
    yield "\n## Requests and delay, by schedule\n"
    yield from _table(
        ("run of", "interval", "requests", "an hour", "late mean, most s"),
        (
            (f"{course.duration / 60:.0f} min", _interval(course.interval), f"{course.requests:.0f}",
             f"{course.an_hour:.0f}", f"{course.late[0]:.0f}, {course.late[1]:.0f}")
            for course in results.courses
        ),
    )  # fmt: skip
    yield "\n## The emulator, on one processor\n"
    yield from _table(
        ("operation", "connections", "requests a second", "us CPU a request", "of one processor"),
        (
            (
                rate.operation,
                str(rate.connections),
                f"{rate.asked:.0f}",
                f"{rate.cpu * 1e6:.0f}",
                f"{rate.of_one_processor:.0f}",
            )
            for rate in results.rates
        ),
    )
    yield "\n## Importing operators and sensors, over Airflow's own\n"
    yield from _table(
        ("package", "ms CPU", "modules"),
        ((found.package, f"{found.seconds * 1000:.0f}", str(found.modules)) for found in results.imports),
    )
    if results.failures:
        yield "\n## Without figures\n"
        yield from (f"- {failure}" for failure in results.failures)
    yield ""


def _table(head: Line, lines: Any) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for line in lines:
        yield "| " + " | ".join(line) + " |"


def _wait_lines(found: list[Figures]) -> Iterator[Line]:
    for waits, group in groupby(found, key=lambda figures: figures.waits):
        by_subject = _by_subject(list(group))
        for subject, repeats in by_subject.items():
            cpu = median(repeats, lambda figures: figures.cpu)
            share = ratio(repeats, by_subject.get("floor", []))
            lags = [statistics.median(figures.lag[place] for figures in repeats) for place in range(3)]
            late = [statistics.median(figures.late[place] for figures in repeats) for place in range(2)]
            yield (
                str(waits), subject, str(len(repeats)),
                "" if cpu is None else f"{cpu * 1000:.3f}",
                "" if share is None else f"{share:.2f}",
                f"{_median(repeats, lambda figures: figures.memory) / 1024:.1f}",
                f"{_median(repeats, lambda figures: figures.connections):.0f}",
                f"{_median(repeats, lambda figures: figures.tokens):.0f}",
                ", ".join(f"{lag * 1000:.0f}" for lag in lags),
                ", ".join(f"{seconds:.1f}" for seconds in late),
                f"{sum(figures.missed for figures in repeats)}, {sum(figures.wrong for figures in repeats)}",
                "yes" if all(figures.keeps_up for figures in repeats) else "no",
            )  # fmt: skip


def _by_subject(found: list[Figures]) -> dict[str, list[Figures]]:
    subjects: dict[str, list[Figures]] = {}
    for figures in found:
        subjects.setdefault(figures.subject, []).append(figures)
    return subjects


def _median(repeats: list[Figures], what: Callable[[Figures], float | None]) -> float:
    return median(repeats, what) or 0.0


def _criteria(results: Results) -> Iterator[Line]:
    at = {waits: _by_subject(list(group)) for waits, group in groupby(results.waits, key=lambda figures: figures.waits)}
    thousand, most = at.get(1000, {}), at.get(max(at, default=0), {})
    ours = median(thousand.get("ours", []), lambda figures: figures.cpu)
    share = ratio(thousand.get("ours", []), thousand.get("floor", []))
    peers = [
        cpu
        for peer in ("databricks", "dbt-cloud")
        if (cpu := median(thousand.get(peer, []), lambda figures: figures.cpu))
    ]
    yield _criterion("CPU a poll at 1,000 waits, of the floor", 1.3, share)
    yield _criterion("CPU a poll at 1,000 waits, of the best peer", 0.5, ours / min(peers) if ours and peers else None)
    if (many := median(most.get("ours", []), lambda figures: figures.cpu)) and ours and most is not thousand:
        yield _criterion(f"CPU a poll at {max(at)} waits, of that at 1,000", 1.3, many / ours)
    if mine := most.get("ours", []):
        yield _criterion(f"KB a wait at {max(at)} waits", 12, _median(mine, lambda figures: figures.memory) / 1024)
        yield _criterion(f"connections for {max(at)} waits", 32, _median(mine, lambda figures: figures.connections))
        yield _criterion(f"token requests for {max(at)} waits", 1, _median(mine, lambda figures: figures.tokens))
        yield _criterion(f"lag p99 in ms at {max(at)} waits", 50, _median(mine, lambda figures: figures.lag[1]) * 1000)
        yield _criterion("waits missed or wrong", 0, sum(figures.missed + figures.wrong for figures in mine))
    for course in results.courses:
        if course.interval is None and course.duration == 3600.0:
            yield _criterion("requests for a run of an hour", 90, course.requests)
    if results.night is not None:
        yield _criterion("seconds late beyond what the schedule promises", 0.5, results.night.late_beyond)
    if results.budgeted is not None:
        yield _criterion("requests in the busiest minute, of 500", 500, results.budgeted.busiest_minute)
        yield _criterion("requests in the busiest hour, of 5,000", 5000, results.budgeted.busiest_hour)
    if results.decoding is not None:
        yield _criterion("reading a big poll, of json.loads", 0.2, results.decoding.glance / results.decoding.plain)
    if results.rates:
        slowest = min(rate.of_one_processor for rate in results.rates if rate.operation == "get a run")
        yield (
            "run polls a second on one processor, emulator",
            "at least 2000",
            f"{slowest:.0f}",
            _met(slowest >= 2000),
        )
        yield _criterion("emulator full against empty, CPU", 2, _slowed(results.rates))


def _criterion(what: str, wanted: float, found: float | None) -> Line:
    return (
        what,
        f"at most {wanted:g}",
        "not measured" if found is None else f"{found:.3g}",
        "" if found is None else _met(found <= wanted),
    )


def _met(is_met: bool) -> str:
    return "yes" if is_met else "NO"


def _slowed(rates: list[Rate]) -> float:
    fewest = min(rate.connections for rate in rates)
    empty = {rate.operation: rate.cpu for rate in rates if rate.connections == fewest}
    return max(rate.cpu / empty[rate.operation] for rate in rates)


def _interval(interval: float | None) -> str:
    return "default" if interval is None else f"{interval:.0f} s"


def _plot(results: Results, directory: Path, name: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    plots: dict[str, Callable[[Figures], float | None]] = {
        "ms of CPU for a poll": lambda figures: None if figures.cpu is None else figures.cpu * 1000,
        "event loop lag, p99, in ms": lambda figures: figures.lag[1] * 1000,
    }
    for title, what in plots.items():
        figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
        for subject, found in _by_subject(results.waits).items():
            sizes = sorted({figures.waits for figures in found})
            values = [median([one for one in found if one.waits == size], what) for size in sizes]
            axes.plot(sizes, [value or float("nan") for value in values], marker="o", label=subject)
        axes.set(xscale="log", yscale="log", xlabel="waits", ylabel=title)
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
        figure.savefig(directory / f"{name}-{'cpu' if 'CPU' in title else 'lag'}.png", dpi=110)
        pyplot.close(figure)
