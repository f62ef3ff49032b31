"""
A month of nights in simulated time: ``python -m tests.soak --nights 30 --connections 500``.

Real operators, triggers, clients and sockets; an emulated service that fails at random, workers that are lost, a triggerer
that is restarted. Prints a line for each night, and fails if a run was started twice or lost, or if anything grows.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nights import Night

_START = 1_790_000_000.0


def main() -> int:
    """Run the nights; return 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_", "ITWIN_"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="itwin-soak-") as home:
        # Airflow reads these as soon as it is imported.
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # Logs of single runs would be millions of lines.
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
            "AIRFLOW__ITWIN__REQUESTS_PER_MINUTE": "5000",
            "AIRFLOW__ITWIN__REQUESTS_PER_HOUR": "0",
        }
        return soak(arguments.nights, arguments.connections, arguments.seed)


def soak(nights: int, connections: int, seed: int) -> int:
    """Run the nights in this process."""
    from itwin_emulator import Emulator

    from .nights import Soak
    from .simulated_time import SimulatedClock, SimulatedLoop

    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    clock = SimulatedClock(_START)
    finished: list[Night] = []

    async def run_nights() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        with Emulator(clock=clock) as emulator:
            soak = Soak(emulator, clock, loop, connections, seed)
            with soak.airflow.open():
                for number in range(1, nights + 1):
                    night = await soak.night(number)
                    finished.append(night)
                    print(night.line, flush=True)
                    for violation in night.violations:
                        print(f"          WRONG: {violation}", flush=True)

    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(clock)) as runner:
        runner.run(run_nights())
    return _print_summary(finished, connections, time.monotonic() - began)


def _print_summary(finished: list[Night], connections: int, seconds: float) -> int:
    total: Counter[str] = sum((night.counts for night in finished), Counter())
    settled, last = finished[min(4, len(finished) // 3)], finished[-1]
    assert settled.state is not None
    assert last.state is not None
    drift = last.state.drift_since(settled.state)
    violations = sum(len(night.violations) for night in finished)
    print(
        f"{len(finished)} nights of {connections} connections in {seconds:.0f} s: {total['starts']:,} starts, "
        f"{total['adoptions']:,} adoptions, {total['retries']:,} retries, {total['lost']:,} lost workers, "
        f"{total['restarted']:,} triggers restarted, {total['gave up']:,} gave up in an outage, {total['failures']:,} failures, "
        f"{total['requests']:,} requests; {violations} violations"
    )
    print(f"drift since night {settled.number}: " + ("; ".join(drift) or "none"))
    return 1 if violations or drift else 0


if __name__ == "__main__":
    sys.exit(main())
