"""
What a wait for a job costs, compared with a wait for a run: CPU for each poll, and memory for each wait.

Both use the real poller and the real client with a fake clock and without a network. Each measurement is a process of its own
(``python -m benchmarks.jobs SUBJECT WAITS``), and the subjects take turns.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, Literal, Self, get_args

import msgspec

from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.config import Account, Environment, Limits
from airflow_provider_itwin.api.http.messages import Request, Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.wait.job_wait import JobWaitSpec
from airflow_provider_itwin.api.wait.models import WaitSpec
from benchmarks import faketime

Subject = Literal["runs", "jobs"]

_DURATION = 1800.0


class JobFigures(msgspec.Struct):
    """
    The cost of waits of one kind.

    :param subject: ``runs``, or ``jobs`` of four APIs in equal parts
    :param cpu: CPU seconds per poll
    :param memory: bytes per wait, without responses
    """

    subject: Subject
    waits: int
    cpu: float
    memory: float


class _OfflineClient(AsyncITwinClient):
    """The asynchronous client with a service in which everything ends after half an hour."""

    polls = 0

    async def __aenter__(self) -> Self:
        return self

    async def _send(self, request: Request) -> Response:
        if request.url.endswith("/connect/token"):
            return Response(200, {}, b'{"access_token":"token","expires_in":3600,"token_type":"Bearer"}')
        self.polls += 1
        is_over = self.account.clock() >= _DURATION
        return Response(200, {}, _body(request.url, is_over))


def _body(url: str, is_over: bool) -> bytes:
    if "/transformations/" in url:
        status = "Succeeded" if is_over else "Started"
        return f'{{"transformation":{{"id":"x","status":"{status}","processedElementCount":4,"totalElementCount":9}}}}'.encode()
    if "/changedelements/" in url:
        return f'{{"job":{{"jobId":"x","status":"{"Completed" if is_over else "Started"}"}}}}'.encode()
    if "/extractions/" in url:
        return f'{{"extraction":{{"id":"x","state":"{"Succeeded" if is_over else "Running"}"}},"logs":[]}}'.encode()
    if "/reality-modeling/" in url:
        return f'{{"progress":{{"state":"{"Success" if is_over else "Active"}","percentage":40}},"job":{{}}}}'.encode()
    return b'{"run":{"state":"Completed","result":"Success"}}' if is_over else b'{"run":{"state":"Executing"}}'


def measure(quick: bool) -> list[JobFigures]:
    """Measure waits of both kinds, in turns; return the medians."""
    waits, repeats = (500, 1) if quick else (10_000, 5)
    found: dict[str, list[JobFigures]] = {subject: [] for subject in get_args(Subject)}
    for _ in range(repeats):
        for subject, figures in found.items():
            command = [sys.executable, "-m", "benchmarks.jobs", subject, str(waits)]
            answer = subprocess.run(command, check=True, capture_output=True, timeout=600)  # noqa: S603 (our own module)
            figures.append(msgspec.json.decode(answer.stdout, type=JobFigures))
    return [
        JobFigures(
            figures[0].subject,
            waits,
            statistics.median(one.cpu for one in figures),
            statistics.median(one.memory for one in figures),
        )
        for figures in found.values()
    ]


async def _measure_here(subject: Subject, waits: int) -> JobFigures:
    loop = asyncio.get_running_loop()
    account = Account(
        Environment("https://api.bentley.com", "https://ims.bentley.com"),
        ClientCredentials("bench", "secret"),
        limits=Limits(0, 0),
        clock=loop.time,
        wall=loop.time,
        chance=lambda: 0.5,
    )
    # As a triggerer reads them.
    stored = [msgspec.json.encode(one) for one in _stored(subject, waits)]
    read: Callable[[Any], Any] = WaitSpec.from_dict if subject == "runs" else JobWaitSpec.from_dict
    async with _OfflineClient(account) as client:
        gc.collect()
        tracemalloc.start()
        tasks = [asyncio.create_task(client.wait(read(msgspec.json.decode(one)))) for one in stored]
        await asyncio.sleep(60.0)
        gc.collect()
        memory = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        before, polls = time.process_time(), client.polls
        await asyncio.sleep(_DURATION - 120.0)
        cpu, polls = time.process_time() - before, client.polls - polls
        results = await asyncio.gather(*tasks)
    if any(result.end is None or result.error is not None for result in results):
        raise RuntimeError("Not every wait has ended")
    return JobFigures(subject, waits, cpu / polls, memory / waits)


def _stored(subject: Subject, waits: int) -> Iterator[dict[str, Any]]:
    # Imports of Airflow's operators stay out of the measurement of runs, too: both read only JSON.
    from airflow_provider_itwin.api.jobs.ref import JobRef
    from airflow_provider_itwin.jobs import DIFF, EXTRACTION, REALITY_MODELING, TRANSFORMATION

    definitions = (TRANSFORMATION, DIFF, EXTRACTION, REALITY_MODELING)
    for number in range(waits):
        if subject == "runs":
            yield WaitSpec(ConnectionKind.STORAGE, "bench", f"run-{number}", is_known=True).as_dict()
            continue
        definition = definitions[number % len(definitions)]
        inputs = dict.fromkeys(definition.stored_inputs, "bench")
        yield JobWaitSpec(definition, JobRef(definition.name, f"job-{number}", inputs), is_known=True).as_dict()


if __name__ == "__main__":
    # Every wait logs its states, which would be most of the cost.
    logging.disable(logging.INFO)
    chosen: Any = sys.argv[1]
    sys.stdout.buffer.write(msgspec.json.encode(faketime.run(_measure_here(chosen, int(sys.argv[2])))))
