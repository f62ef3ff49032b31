"""What it costs to look at the answer about a run of 5,000 files, against reading it whole."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import msgspec

from airflow_provider_itwin.api.models.resources import (
    RunEnvelope,
    RunSummaryEnvelope,
    decoded,
)
from benchmarks.bodies import itwin_run

FILES = 5000


class Decoding(msgspec.Struct):
    """
    Seconds of CPU, medians.

    :param size: bytes of the body
    :param summary: to read state and result, as each poll does
    :param whole: to read the whole run into objects, as is done once, at the end
    :param plain: for ``json.loads``
    """

    files: int
    size: int
    summary: float
    whole: float
    plain: float


def measure(repeats: int, files: int = FILES) -> Decoding:
    """Measure, taking turns."""
    body = itwin_run(finished=False, files=files)
    ways: list[Callable[[], object]] = [
        lambda: decoded(body, RunSummaryEnvelope),
        lambda: decoded(body, RunEnvelope),
        lambda: json.loads(body),
    ]
    seconds: list[list[float]] = [[], [], []]
    for _ in range(repeats):
        for way, found in zip(ways, seconds, strict=True):
            found.append(_cpu(way))
    return Decoding(files, len(body), *(statistics.median(found) for found in seconds))


def _cpu(way: Callable[[], object]) -> float:
    began = time.process_time()
    way()
    return time.process_time() - began
