"""Our trigger beside the floor, in detail: where the processor's time for a poll goes, and the memory for a wait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.processes import Server, run_case
from benchmarks.waits import Case

WAITS = 1000


def profile(directory: Path, quick: bool, say: Callable[[str], None]) -> None:
    """
    Measure 1,000 waits of each, and say what was found.

    Polls come once a second, five times as often as in the table, so that there are enough samples.
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
            say(f"{subject}: no samples")
            continue
        for_one = 1e6 * outcome.window_cpu / polls / found.samples
        costs[subject] = {room: samples * for_one for room, samples in found.rooms.items()}
        say(f"\n{subject}: {for_one * found.samples:.0f} microseconds of CPU for a poll, {found.samples} samples")
        for title, parts in (("own time of", found.own), ("time in and below", found.whole)):
            say(f"  {title}")
            for name, samples in list(parts.items())[:40]:
                say(f"    {samples * for_one:7.1f}  {name}")
    _compare(costs, say)
    for subject in ("ours", "idle"):
        _trace(subject, directory, say)


def _compare(costs: dict[str, dict[str, float]], say: Callable[[str], None]) -> None:
    ours, floor = costs.get("ours", {}), costs.get("floor", {})
    rooms = sorted({*ours, *floor}, key=lambda room: floor.get(room, 0.0) - ours.get(room, 0.0))
    say("\nmicroseconds for a poll by package or module: ours, floor, difference")
    for room in rooms:
        mine, theirs = ours.get(room, 0.0), floor.get(room, 0.0)
        if max(mine, theirs) >= 0.5:
            say(f"  {mine:7.1f} {theirs:7.1f} {mine - theirs:+7.1f}  {room}")


def _trace(subject: str, directory: Path, say: Callable[[str], None]) -> None:
    case = Case(subject, WAITS, 30.0, 10.0, 2.0, 1.0, 2.0, 40.0, trace=True)
    with Server(directory) as server:
        outcome = run_case(case, server, directory)
    names = {"ours": "our trigger", "idle": "a trigger that asks nobody"}
    say(f"\nbytes that {WAITS:,} waits hold, for each, by the line that asked for them: {names[subject]}")
    for place, size in outcome.memory.items():
        say(f"  {size / WAITS:7.0f}  {place}")
