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
    """Scenario the nights; give 0 if all was well."""
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
            # What is told of single runs is of no interest here, and there are millions of lines of it.
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
            "AIRFLOW__ITWIN__REQUESTS_PER_MINUTE": "5000",
            "AIRFLOW__ITWIN__REQUESTS_PER_HOUR": "0",
        }
        return soak(arguments.nights, arguments.connections, arguments.seed)


def soak(nights: int, connections: int, seed: int) -> int:
    """Scenario the nights in this process."""
    from itwin_emulator import Emulator

    from .nights import Soak
    from .simulated_time import SimulatedClock, SimulatedLoop

    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    clock = SimulatedClock(_START)
    played: list[Night] = []

    async def play() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        with Emulator(clock=clock) as emulator:
            soak = Soak(emulator, clock, loop, connections, seed)
            with soak.workshop.open():
                for number in range(1, nights + 1):
                    night = await soak.night(number)
                    played.append(night)
                    print(night.line, flush=True)
                    for wrong in night.wrong:
                        print(f"          WRONG: {wrong}", flush=True)

    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(clock)) as runner:
        runner.run(play())
    return _sum_up(played, connections, time.monotonic() - began)


def _sum_up(played: list[Night], connections: int, seconds: float) -> int:
    total: Counter[str] = sum((night.counts for night in played), Counter())
    settled, last = played[min(4, len(played) // 3)], played[-1]
    assert settled.state is not None
    assert last.state is not None
    drift = last.state.drift_since(settled.state)
    wrong = sum(len(night.wrong) for night in played)
    print(
        f"{len(played)} nights of {connections} connections in {seconds:.0f} s: {total['starts']:,} starts, "
        f"{total['adoptions']:,} adoptions, {total['retries']:,} retries, {total['lost']:,} lost workers, "
        f"{total['restarted']:,} triggers restarted, {total['given up']:,} outages given up, {total['failures']:,} failures, "
        f"{total['requests']:,} requests; {wrong} things that must not happen"
    )
    print(f"drift since night {settled.number}: " + ("; ".join(drift) or "none"))
    return 1 if wrong or drift else 0


if __name__ == "__main__":
    sys.exit(main())
