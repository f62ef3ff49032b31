"""The cost of decoding the response for a run of 5,000 files: state and result only, or the whole run."""

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
    Median CPU seconds.

    :param size: bytes of the body
    :param summary: decoding of state and result, done by each poll
    :param whole: decoding of the whole run, done once at the end
    :param plain: ``json.loads``
    """

    files: int
    size: int
    summary: float
    whole: float
    plain: float


def measure(repeats: int, files: int = FILES) -> Decoding:
    """Measure the three alternately."""
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
