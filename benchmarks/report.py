"""The report, for the screen and for ``benchmarks/results/bench.md``."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from benchmarks.criteria import judge
from benchmarks.figures import Figures, median, ratio
from benchmarks.hanging import INTERVAL, TIMEOUT
from benchmarks.results import Results

_NAMES = {
    "ours": "**this provider**",
    "floor": "floor",
    "naive": "floor without common ticks",
    "without portal": "this provider, Airflow's portal disabled",
    "idle": "triggers that send no requests",
}
_WORDS = {True: "met", False: "**not met**", None: "-"}


def report(results: Results) -> str:
    """Write the report."""
    parts = [
        _head(results),
        _criteria(results),
        _waits(results),
        _schedule(results),
        _other(results),
        _emulator(results),
        _transfers(results),
        _jobs(results),
        _troubles(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(results: Results) -> str:
    machine = "\n".join(f"- {name}: {value}" for name, value in results.machine.items())
    kind = "quick run, figures are not reliable" if results.quick else "full run, medians over repeats"
    return f"# The cost of waiting\n\n{results.when}, {kind}; duration {results.took / 60:.0f} minutes.\n\n{machine}"


def _criteria(results: Results) -> str:
    rows = [(one.requirement, one.figure, _WORDS[one.met]) for one in judge(results)]
    return "## Criteria\n\n" + _table(("criterion", "figure", ""), rows)


def _waits(results: Results) -> str:
    columns = (
        "waits",
        "interval",
        "subject",
        "CPU/poll, ms",
        "of which GC",
        "x floor",
        "memory/wait, KB",
        "connections",
        "tokens",
        "lag while waiting p50/p99/max, ms",
        "lag overall p99/max, ms",
        "late p99/max, s",
        "missed",
        "server busy",
    )
    rows = [
        _row(results, results.of(subject, waits), waits)
        for waits in results.sizes()
        for subject in results.subjects(waits)
    ]
    if not rows:
        return ""
    return (
        "## Waits over TLS on loopback\n\n"
        + _table(columns, rows)
        + "\n\nEach case has its own process and its own server, each on its own processor if there are two. Triggers run as in "
        "Airflow's triggerer, with its code and its portal, but without database and supervisor. CPU is that of the whole "
        "process in a window in which no wait starts or ends, minus that of the idle process, per poll that the server counted. "
        "GC is the part for garbage collection, which traverses everything that Airflow has loaded. The floor is one coroutine "
        "per wait over one session with one token, which polls at the same times and decodes two fields. Without common ticks, "
        "each coroutine polls at its own time, so fewer share a wake-up. Airflow 3.3 runs each trigger in a portal; it is "
        "disabled where AIRFLOW_DISABLE_GREENBACK_PORTAL is true. Memory is the peak above that of the process before the first "
        "wait. Late is the delay beyond the longest pause of the schedule. A provider without a row could not keep up: its polls "
        "would need more than one processor, or its memory gigabytes."
    )


def _row(results: Results, repeats: Sequence[Figures], waits: int) -> tuple[str, ...]:
    first = repeats[0]
    floor = ratio(repeats, results.of("floor", waits)) if first.subject != "floor" else None
    behind = "" if all(one.keeps_up for one in repeats) else " (cannot keep up)"
    again = "" if len(repeats) > 1 else " (1 repeat)"
    return (
        f"{waits:,}",
        "default" if first.interval is None else f"{first.interval:g} s",
        _NAMES.get(first.subject, first.subject) + behind + again,
        _figure(median(repeats, lambda one: one.cpu), 1000, "{:.3f}"),
        _figure(median(repeats, lambda one: one.collecting), 1000, "{:.3f}"),
        _figure(floor, 1, "{:.2f}"),
        _figure(median(repeats, lambda one: one.memory), 1 / 1024, "{:.1f}"),
        _figure(median(repeats, lambda one: one.connections), 1, "{:,.0f}"),
        _figure(median(repeats, lambda one: one.tokens), 1, "{:.0f}"),
        _medians([one.window_lag for one in repeats], 1000, "{:.1f}"),
        _medians([one.lag[1:] for one in repeats], 1000, "{:.0f}"),
        _medians([one.late for one in repeats], 1, "{:.2f}"),
        _figure(median(repeats, lambda one: one.missed + one.wrong), 1, "{:.0f}"),
        _figure(median(repeats, lambda one: one.server), 100, "{:.0f} %"),
    )


def _schedule(results: Results) -> str:
    columns = ("duration", "schedule", "requests", "requests per hour", "late mean/max, s")
    rows = [
        (
            f"{one.duration / 60:.0f} min",
            "default" if one.interval is None else f"{one.interval:.0f} s",
            f"{one.requests:.0f}",
            f"{one.an_hour:.0f}",
            f"{one.late[0]:.0f} / {one.late[1]:.1f}",
        )
        for one in results.schedule_figures
    ]
    return "## Poll schedule (computed)\n\n" + _table(columns, rows) if rows else ""


def _other(results: Results) -> str:
    lines = list(_sentences(results))
    return "## Other measurements\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _sentences(results: Results) -> Iterator[str]:
    for one in results.imports:
        yield (
            f"Importing the operators and sensors of {_NAMES.get(one.package, one.package)} takes "
            f"{one.seconds * 1000:.0f} ms of CPU and {one.modules} modules, in addition to Airflow's base classes."
        )
    for again in results.restarts:
        polled = "" if again.polled is None else f", each polled once after {again.polled:.1f} s"
        yield (
            f"A triggerer restarted with {again.waits:,} waits, {_NAMES.get(again.subject, again.subject)}: "
            f"{again.cpu_of_one * 1000:.2f} ms of CPU per wait{polled}; {again.lookups} lookups of the connection, "
            f"{again.tokens} token requests, {again.polls:,} polls; event loop lag {again.lag[0] * 1000:.0f} ms (p99), "
            f"{again.lag[1] * 1000:.0f} ms (max)."
        )
    for beside in results.hanging:
        yield (
            f"{beside.hanging:,} waits whose polls hang for {TIMEOUT:.0f} s, beside {beside.healthy} healthy ones polled every "
            f"{INTERVAL:.0f} s, simulated: at most {beside.longest_gap:.1f} s between two polls of a healthy run, each polled "
            f"for the first time within {beside.first:.1f} s; deadlines of healthy waits evaluated {beside.late_healthy:.1f} s "
            f"late at most, of hanging ones {beside.late_hanging:.1f} s."
        )
    if (found := results.decoding) is not None:
        yield (
            f"A response with {found.files:,} files ({found.size / 1e6:.1f} MB): state and result take "
            f"{found.summary * 1000:.2f} ms, the whole run {found.whole * 1000:.1f} ms, json.loads {found.plain * 1000:.1f} ms."
        )
    for answer in results.large:
        what = f"A run of {answer.files:,} files" if answer.files else "A response with 20 million JSON values"
        yield (
            f"{what} ({answer.size / 1e6:.2f} MB on the wire) is {answer.end} after {answer.seconds:.2f} s; the event loop "
            f"is blocked for {answer.stop * 1000:.0f} ms at most, and the process grows by {answer.memory / 1e6:.0f} MB."
        )
    for subject in ("ours", "floor"):
        cpu = median([one for one in results.big if one.subject == subject], lambda one: one.cpu)
        if cpu is not None:
            yield f"A complete poll of it, over TLS: {_NAMES[subject]} {cpu * 1000:.1f} ms of CPU."
    if (seen := results.throughput) is not None:
        yield (
            f"{seen.waits:,} waits with a budget of {seen.per_minute:.0f} requests per minute sent {seen.requests} in "
            f"{seen.seconds:.0f} s, and {seen.busiest} in the busiest minute."
        )
    if (night := results.night) is not None:
        yield (
            f"A night of {night.hours:.0f} h with {night.runs:,} runs, simulated through the poller: {night.requests:,} polls, "
            f"{night.ended:,} ends detected, {night.late[0]:.0f} s late in the median and {night.late[1]:.0f} s at most; "
            f"{night.cpu * 1e6:.0f} microseconds of CPU per poll without its request."
        )
    if (tight := results.tight_night) is not None:
        yield (
            f"{tight.hours:.0f} h with {tight.runs:,} runs with 500 requests per minute and 5,000 per hour, simulated through "
            f"the client: {tight.requests:,} requests, {tight.ended:,} ends detected, {tight.late[0] / 60:.0f} min late in the "
            f"median and {tight.late[1] / 60:.0f} min at most; each run polled {tight.fewest} to {tight.most} times."
        )


def _emulator(results: Results) -> str:
    columns = ("operation", "connections", "requests/s", "requests per CPU second")
    rows = [
        (rate.operation, f"{rate.connections:,}", f"{rate.asked:,.0f}", f"{rate.of_one_processor:,.0f}")
        for rate in results.rates
    ]
    if not rows:
        return ""
    return "## The emulator\n\n" + _table(columns, rows) + "\n\nEach connection has ten runs."


def _transfers(results: Results) -> str:
    if not results.transfers and not results.nights_of_files:
        return ""
    rows = [
        (one.direction, _NAMES.get(one.subject, one.subject), f"{one.rate / 2**20:.0f}", f"{one.memory / 2**20:.0f}")
        for one in results.transfers
    ]
    size = results.transfers[0].size / 2**20 if results.transfers else 0
    nights = [
        (one.what, f"{one.files:,}", f"{one.seconds:.1f}", f"{one.requests:,}") for one in results.nights_of_files
    ]
    return (
        f"## Uploads and downloads\n\nA file of {size:.0f} MiB, to and from the emulator on this machine. This provider also "
        "computes its SHA-256.\n\n"
        + _table(("direction", "subject", "MiB/s", "growth of memory, MiB"), rows)
        + "\n\n"
        + _table(("night", "files", "seconds", "requests"), nights)
    )


def _jobs(results: Results) -> str:
    if not results.jobs:
        return ""
    rows = [(one.subject, f"{one.waits:,}", f"{one.cpu * 1e6:.1f}", f"{one.memory:,.0f}") for one in results.jobs]
    columns = ("subject", "waits", "CPU per poll, \N{MICRO SIGN}s", "bytes per wait")
    return "## Jobs\n\nWaits for jobs of four APIs, beside waits for runs, without a network.\n\n" + _table(
        columns, rows
    )


def _troubles(results: Results) -> str:
    found = results.errors + sorted({failure for one in results.waits for failure in one.failures})
    return "## Errors\n\n" + "\n".join(f"- {one}" for one in found) if found else ""


def _medians(repeats: Sequence[Sequence[float]], factor: float, form: str) -> str:
    return " / ".join(form.format(statistics.median(values) * factor) for values in zip(*repeats, strict=True))


def _figure(value: float | None, factor: float, form: str) -> str:
    return "-" if value is None else form.format(value * factor)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
    lines = [columns, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
