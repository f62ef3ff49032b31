"""Profiles of our trigger and of the floor: CPU per poll and memory per wait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.processes import Server, run_case
from benchmarks.waits import Case

WAITS = 1000


def profile(directory: Path, quick: bool, write_line: Callable[[str], None]) -> None:
    """
    Profile 1,000 waits of each subject and print the results.

    Runs are polled once per second, five times as often as in the table, to collect enough samples.
    """
    window = 5.0 if quick else 30.0
    costs: dict[str, dict[str, float]] = {}
    for subject in ("ours", "floor"):
        case = Case(subject, WAITS, 1.0, 1.0, 2.0, window, 2.0, 20.0, profile=True)
        with Server(directory) as server:
            outcome = run_case(case, server, directory)
            polls = server.counts(outcome.window_began, outcome.window_ended).polls
        found = outcome.profile
        if found is None or not found.samples:
            write_line(f"{subject}: no samples")
            continue
        for_one = 1e6 * outcome.window_cpu / polls / found.samples
        costs[subject] = {module: samples * for_one for module, samples in found.modules.items()}
        write_line(f"\n{subject}: {for_one * found.samples:.0f} microseconds of CPU per poll, {found.samples} samples")
        for title, parts in (("own time", found.own), ("cumulative time", found.whole)):
            write_line(f"  {title}")
            for name, samples in list(parts.items())[:40]:
                write_line(f"    {samples * for_one:7.1f}  {name}")
    _compare(costs, write_line)
    for subject in ("ours", "idle"):
        _trace(subject, directory, write_line)


def _compare(costs: dict[str, dict[str, float]], write_line: Callable[[str], None]) -> None:
    ours, floor = costs.get("ours", {}), costs.get("floor", {})
    modules = sorted({*ours, *floor}, key=lambda module: floor.get(module, 0.0) - ours.get(module, 0.0))
    write_line("\nmicroseconds per poll by package or module: ours, floor, difference")
    for module in modules:
        mine, theirs = ours.get(module, 0.0), floor.get(module, 0.0)
        if max(mine, theirs) >= 0.5:
            write_line(f"  {mine:7.1f} {theirs:7.1f} {mine - theirs:+7.1f}  {module}")


def _trace(subject: str, directory: Path, write_line: Callable[[str], None]) -> None:
    case = Case(subject, WAITS, 30.0, 10.0, 2.0, 1.0, 2.0, 40.0, trace=True)
    with Server(directory) as server:
        outcome = run_case(case, server, directory)
    names = {"ours": "our trigger", "idle": "a trigger that sends no requests"}
    write_line(f"\nbytes per wait at {WAITS:,} waits, by the allocating line: {names[subject]}")
    for place, size in outcome.memory.items():
        write_line(f"  {size / WAITS:7.0f}  {place}")
