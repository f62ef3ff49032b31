"""Run all measurements, print a report and write it to a directory. See ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec

from airflow_provider_itwin.api.http.config import Limits
from benchmarks import (
    decoding,
    emulated,
    faketime,
    hanging,
    imports,
    jobs,
    large_answers,
    machine,
    plan,
    plots,
    restart,
    schedule,
    simulation,
    transfers,
)
from benchmarks.certificate import write_certificate
from benchmarks.criteria import judge
from benchmarks.figures import figures_of
from benchmarks.processes import MeasurementError, Server, run_case
from benchmarks.profiles import profile
from benchmarks.report import report
from benchmarks.results import Results, Throughput

RESULTS = Path(__file__).parent / "results"
PARTS = ("waits", "restart", "hanging", "files", "schedule", "imports", "nights", "emulator", "transfers", "jobs")


def write_line(text: str = "") -> None:
    """Write a line and flush it, also to a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Bench:
    """
    One run of the benchmark.

    :param directory: directory for temporary files
    :param quick: whether to run only a few small measurements
    """

    def __init__(self, directory: Path, quick: bool) -> None:
        self.directory = directory
        self.quick = quick
        self.results = Results(quick=quick)
        write_certificate(directory)

    def waits(self) -> None:
        """Measure the rows of the table."""
        for row in plan.rows(self.quick):
            for repeat, subject in row.turns():
                write_line(f"{row.waits:,} waits, {subject}, repeat {repeat + 1} ...")
                self._case(row, subject, lambda figures: self.results.waits.append(figures))

    def restart(self) -> None:
        """Measure a triggerer restart, where all waits start at once."""
        waits, window = (1000, 10.0) if self.quick else (10_000, 45.0)
        for subject in ("ours", "idle"):
            write_line(f"A triggerer with {waits:,} waits is restarted, {subject} ...")
            try:
                self.results.restarts.append(restart.measure(subject, waits, window, self.directory))
            except MeasurementError as error:
                self.results.errors.append(str(error))

    def hanging(self) -> None:
        """Simulate hanging polls beside healthy ones."""
        for waits in (60,) if self.quick else (60, 1000):
            write_line(f"{waits:,} waits whose polls hang ...")
            self.results.hanging.append(hanging.measure(waits))

    def files(self) -> None:
        """Measure the cost of large responses."""
        write_line("Responses with 5,000 files ...")
        self.results.decoding = decoding.measure(5 if self.quick else 25)
        write_line("Responses with 20,000 and 100,000 files, and a hostile one ...")
        self.results.large = large_answers.measure()
        row = plan.big_polls(self.quick)
        for _, subject in row.turns():
            self._case(row, subject, lambda figures: self.results.big.append(figures), decoding.FILES)

    def schedule(self) -> None:
        """Compute the poll schedule."""
        self.results.schedule_figures = schedule.schedule_figures(200 if self.quick else 2000)

    def imports(self) -> None:
        """Measure the cost of imports."""
        write_line("Imports ...")
        self.results.imports = imports.measure(self.directory, 1 if self.quick else 3)

    def nights(self) -> None:
        """Measure the request budget by the server's clock, and simulate nights at the same time."""
        with ThreadPoolExecutor(1) as pool:
            write_line("1,000 waits with a request budget, and simulated nights ...")
            watched: Future[Throughput] = pool.submit(self._throughput)
            self.results.tight_night = faketime.run(simulation.within_the_budget(1000, 2.0, Limits(500, 5000)))
            self.results.night = faketime.run(simulation.through_the_poller(500 if self.quick else 10_000, 2.0))
            self.results.throughput = watched.result()

    def emulator(self) -> None:
        """Measure the emulator."""
        for connections in (1, 500 if self.quick else 10_000):
            write_line(f"The emulator with {connections:,} connections ...")
            self.results.rates += emulated.measure(connections, 0.5 if self.quick else 3.0)

    def transfers(self) -> None:
        """Measure uploads and downloads beside other clients, and nights with many files."""
        write_line("Uploads and downloads ...")
        self.results.transfers, self.results.nights_of_files = transfers.measure(self.quick)

    def jobs(self) -> None:
        """Measure waits for jobs beside waits for runs."""
        write_line("Waits for jobs and for runs ...")
        self.results.jobs = jobs.measure(self.quick)

    def _case(self, row: plan.Row, subject: str, keep: Callable[..., None], files: int | None = None) -> None:
        case = row.case(subject)
        try:
            with Server(self.directory, *([] if files is None else [files])) as server:
                outcome = run_case(case, server, self.directory)
                whole = server.counts(outcome.began, outcome.ended)
                window = server.counts(outcome.window_began, outcome.window_ended)
        except MeasurementError as error:
            self.results.errors.append(str(error))
            write_line(f"  {error}")
            return
        figures = figures_of(case, outcome, whole, window)
        cpu = "" if figures.cpu is None else f"{figures.cpu * 1000:.3f} ms of CPU per poll, "
        write_line(f"  {cpu}{figures.memory / 1024:.1f} KB per wait")
        keep(figures)

    def _throughput(self) -> Throughput:
        case = plan.budget(self.quick)
        directory = self.directory / "budget"
        directory.mkdir()
        with Server(self.directory) as server:
            outcome = run_case(case, server, directory)
            moments = server.moments(outcome.began, outcome.ended)
        busiest = simulation.busiest(moments, 60.0)
        return Throughput(case.waits, case.per_minute, outcome.ended - outcome.began, len(moments), busiest)


def run(parts: list[str], bench: Bench) -> Iterator[str]:
    """Run the parts. A part that fails does not stop the others."""
    for name in parts:
        try:
            getattr(bench, name)()
        except Exception as error:  # noqa: BLE001 (it is reported, and the other parts continue)
            bench.results.errors.append(f"{name}: {type(error).__name__}: {error}")
            yield bench.results.errors[-1]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="run a small version to check that everything works")
    parser.add_argument("--only", choices=PARTS, action="append", help="run only this part (repeatable)")
    parser.add_argument("--profile", action="store_true", help="print CPU and memory profiles instead")
    parser.add_argument("--output", type=Path, help="directory for the results")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="itwin-bench-") as name:
        bench = Bench(Path(name), options.quick)
        machine.pin(machine.processors()[0])
        if options.profile:
            profile(bench.directory, options.quick, write_line)
            return
        for error in run([part for part in PARTS if part in (options.only or PARTS)], bench):
            write_line(error)
    bench.results.took = time.monotonic() - began
    partial = options.quick or options.only is not None
    write(bench.results, options.output or (RESULTS / "partial" if partial else RESULTS))


def write(results: Results, directory: Path) -> None:
    """Print the report, and write it with its figures and plots to a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    text = report(results)
    (directory / "bench.md").write_text(text, encoding="utf-8")
    data = msgspec.to_builtins(results) | {"criteria": msgspec.to_builtins(judge(results))}
    (directory / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")
    plots.draw(results, directory)
    write_line("\n" + text)
    write_line(f"Written to {directory}")


if __name__ == "__main__":
    main()
