"""
Measure what waiting costs, beside the floor and published providers, and print it: ``make bench``.

    python -m benchmarks [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from airflow_provider_itwin.api.account import Limits
from benchmarks import decoding, emulated, faketime, imports, machine, schedule, simulation
from benchmarks.certificate import write_certificate
from benchmarks.figures import Figures, figures_of
from benchmarks.plan import Row, rows
from benchmarks.processes import MeasurementError, Server, run_case
from benchmarks.results import Results, write

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure everything, print it as it comes, and write it down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small version, in about three minutes")
    quick: bool = parser.parse_args().quick
    began = time.monotonic()
    results = Results(machine=machine.describe(), quick=quick)
    with tempfile.TemporaryDirectory(prefix="itwin-bench-") as name:
        directory = Path(name)
        write_certificate(directory)
        _say("Importing operators and sensors, over what Airflow loads itself")
        results.imports = imports.measure(directory, 1 if quick else 3)
        _say("Reading the answer to a poll of a run with 5,000 files")
        results.decoding = decoding.measure(5 if quick else 15)
        _say("The default schedule against fixed intervals")
        results.courses = schedule.courses(200 if quick else 2000)
        _say(
            "A night of 10,000 runs in a time that leaps" if not quick else "A night of 1,000 runs in a time that leaps"
        )
        results.night = faketime.run(simulation.through_the_poller(1000 if quick else 10_000, 2.0))
        results.budgeted = faketime.run(simulation.within_the_budget(1000, 1.2 if quick else 2.0, Limits(500, 5000)))
        _say("The emulator, small and with 10,000 connections and 100,000 runs")
        results.rates = emulated.measure(10, 1.0) + emulated.measure(500 if quick else 10_000, 1.0 if quick else 3.0)
        for row in rows(quick):
            results.waits += _measured(row, directory, results)
    results.seconds = time.monotonic() - began
    text = write(results, RESULTS)
    print(text)  # noqa: T201 (this is what the command is for)


def _measured(row: Row, directory: Path, results: Results) -> list[Figures]:
    found = []
    for repeat, subject in row.turns():
        _say(f"{row.waits} waits, {subject}, repeat {repeat + 1}")
        case = row.case(subject)
        try:
            with Server(directory, files=12) as server:
                outcome = run_case(case, server, directory)
                whole = server.counts(outcome.began, outcome.ended)
                window = server.counts(outcome.window_began, outcome.window_ended)
        except MeasurementError as error:
            results.failures.append(str(error))
            _say(f"  no figures: {error}")
            continue
        found.append(figures_of(case, outcome, whole, window))
    return found


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 (progress)


if __name__ == "__main__":
    main()
