"""A small soak test, in a process of its own so that only its resources are counted; ``make soak`` runs a large one."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak.resource_growth import State

ROOT = Path(__file__).resolve().parents[2]
SETTLED = State(blocks=700_000, objects=200_000, sessions=0, sockets=5, files=20, threads=3, tasks=1, rss=150)


def test_no_run_is_lost_or_started_twice_and_no_resource_leaks_in_three_nights() -> None:
    soak = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--nights", "3", "--connections", "40"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert "0 violations" in soak.stdout
    assert "drift since night 2: none" in soak.stdout
    summary = soak.stdout.splitlines()[-2].replace(",", "")
    counts = {name: int(count) for count, name in re.findall(r"(\d+) (starts|retries|lost)", summary)}
    # Without retries and losses the test would prove nothing.
    assert counts["starts"] >= 3 * 40
    assert counts["retries"] > 0
    assert counts["lost"] > 0


@pytest.mark.parametrize(
    ("grown", "descriptions"),
    [
        ({"blocks": 720_000}, ["blocks: 700,000 became 720,000"]),
        ({"blocks": 705_000, "objects": 201_000, "sockets": 7}, []),
        ({"sessions": 1, "threads": 4}, ["sessions: 0 became 1", "threads: 3 became 4"]),
        ({"sockets": 9}, ["sockets: 5 became 9"]),
        ({"tasks": 2}, ["tasks: 1 became 2"]),
    ],
)
def test_drift_is_a_growth_beyond_the_tolerance(grown: dict[str, int], descriptions: list[str]) -> None:
    assert replace(SETTLED, **grown).drift_since(SETTLED) == descriptions
