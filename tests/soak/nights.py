"""Simulated nights: hundreds of connections are synchronized while the service and the workers fail at random."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.wait import models
from airflow_provider_itwin.exceptions import ITwinRunFailedError, ITwinTransientError
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from itwin_emulator.spec import router
from tests.airflow.sdk import AirflowFailException, TaskDeferred
from tests.airflow.single_task import FakeStore, FakeTaskInstance

from .resource_growth import State, open_sessions, sockets
from .simulated_airflow import LOSSES, SimulatedAirflow, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    from .simulated_time import SimulatedClock, SimulatedLoop

_DAY = 86400.0
_IDLE_SOCKETS = 5
"""Sockets of an idle process: those of the emulator and of the event loop."""
_MAX_ATTEMPTS = 6
_FAULTS = ("status", "reset-before", "reset-after", "truncate", "invalid-json", "html", "empty")
_STATUSES = (500, 502, 503, 504, 429)
_OPERATIONS = ("get-storage-connection-run", "get-storage-connection", "run-storage-connection", "token")


@dataclass
class Night:
    """The outcome of a night."""

    number: int
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    """What happened although it must not."""
    peak_sessions: int = 0
    peak_sockets: int = 0
    state: State | None = None

    @property
    def line(self) -> str:
        """The outcome in one line."""
        counts, state = self.counts, self.state
        assert state is not None
        return (
            f"night {self.number:2}: {counts['starts']:4} starts {counts['adoptions']:3} adoptions {counts['retries']:4} retries "
            f"{counts['lost']:3} lost workers {counts['failures']:3} failures {counts['requests']:6} requests; "
            f"at most {self.peak_sessions} sessions {self.peak_sockets} sockets; left: {state.line}"
        )


@dataclass
class _Job:
    """One task of one night."""

    connection_id: str
    deferrable: bool
    store: FakeStore | None
    foreign: set[str]
    started: list[str] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)
    attempts: int = 0


class Soak:
    """
    Runs nights.

    :param connections: number of connections that are synchronized each night
    :param seed: seed of everything random
    """

    def __init__(
        self, emulator: Emulator, clock: SimulatedClock, loop: SimulatedLoop, connections: int, seed: int
    ) -> None:
        self._emulator, self._clock, self._connections = emulator, clock, connections
        self._random = random.Random(seed)
        self.airflow = SimulatedAirflow(clock, loop, self._on_start)
        self._jobs: dict[str, _Job] = {}
        self._night = Night(0)
        self._secret = emulator.client_secret

    async def night(self, number: int) -> Night:
        """Run one night, and check that no run was started twice and none was lost."""
        night = self._night = Night(number)
        began, requests = self._clock.now(), self.airflow.requests
        # Every fifth night there is no task state store, as before Airflow 3.3.
        stored = number % 5 != 4
        self._jobs = {
            job.connection_id: job for job in map(self._prepare, range(self._connections), [stored] * self._connections)
        }
        self._connect()
        self._script_faults()
        monitor = asyncio.create_task(self._monitor())
        disturbance = asyncio.create_task(self._disturb(number))
        try:
            await asyncio.gather(*(self._run(job) for job in self._jobs.values() if job.deferrable))
        finally:
            monitor.cancel()
            disturbance.cancel()
            await asyncio.gather(monitor, disturbance, return_exceptions=True)
        for job in self._jobs.values():
            if not job.deferrable:
                await self._run(job)
        for job in self._jobs.values():
            self._check(job)
        night.counts["requests"] = self.airflow.requests - requests
        self._reset_service()
        await asyncio.sleep(max(0.0, began + _DAY - self._clock.now()))
        await _sockets_closed()
        night.state = State.now()
        return night

    def _prepare(self, number: int, stored: bool) -> _Job:
        rng, emulator = self._random, self._emulator
        connection_id, imodel = f"connection-{number}", f"imodel-{number}"
        emulator.add_connection("storage", connection_id, imodel, files=["Tower.dgn", "Roof.rvt"])
        job = _Job(connection_id, number % 50 != 49, FakeStore() if stored else None, set())
        emulator.plan_run(connection_id, "Success", rng.uniform(60, 2400))
        draw = rng.random()
        if draw < 0.05:
            job.foreign.add(emulator.start_run(connection_id))
        elif draw < 0.10:
            rival = f"rival-{number}"
            emulator.add_connection("storage", rival, imodel, files=["Tower.dgn"])
            emulator.plan_run(rival, "Success", rng.uniform(60, 1200))
            emulator.start_run(rival)
        elif draw < 0.18:
            result = rng.choice(["Error", "PartialSuccess", "Canceled", "Skipped", "Undetermined"])
            failing = ["Roof.rvt"] if result == "Error" else []
            emulator.plan_run(connection_id, result, rng.uniform(5, 900), times=1, failing=failing)
        elif draw < 0.19:
            emulator.plan_run(connection_id, "Error", 120.0, failing=["Tower.dgn"])
        return job

    def _connect(self) -> None:
        emulator = self._emulator
        fields = {"conn_type": "itwin", "host": emulator.url, "login": emulator.client_id, "password": self._secret}
        os.environ["AIRFLOW_CONN_ITWIN_DEFAULT"] = json.dumps(fields)

    def _script_faults(self) -> None:
        """Script faults for about 4 % of the requests."""
        rng = self._random
        for _ in range(max(4, self._connections)):
            kind = rng.choice(_FAULTS)
            status = rng.choice(_STATUSES) if kind == "status" else None
            self._emulator.fail(
                rng.choices(_OPERATIONS, weights=(20, 4, 4, 1))[0],
                rng.randint(1, 3),
                status,
                {"Retry-After": str(rng.randint(1, 90))} if status == 429 else None,
                kind=kind,  # type: ignore[arg-type]
                connection_id=f"connection-{rng.randrange(self._connections)}",
                after=rng.randint(0, 20),
            )

    async def _disturb(self, number: int) -> None:
        """Revoke tokens, restart the triggerer, stop the service, change the secret during the night."""
        await asyncio.sleep(self._random.uniform(300, 900))
        self._emulator.revoke_tokens()
        await asyncio.sleep(self._random.uniform(60, 300))
        self._night.counts["restarted"] += self.airflow.restart_triggerer()
        if number % 3 == 2:
            # The outage of every ninth night is longer than the outage tolerance.
            self._emulator.outage(1200.0 if number % 9 == 8 else self._random.uniform(60, 600))
        await asyncio.sleep(self._random.uniform(60, 300))
        if number % 7 == 6:
            self._secret = f"secret-of-night-{number}"
            self._emulator.add_client(self._emulator.client_id, self._secret, everywhere=True)
            self._connect()
            self._emulator.revoke_tokens()

    async def _monitor(self) -> None:
        while True:
            await asyncio.sleep(60)
            self._night.peak_sessions = max(self._night.peak_sessions, open_sessions())
            self._night.peak_sockets = max(self._night.peak_sockets, sockets())

    def _on_start(self, url: str) -> Callable[[], None]:
        """Return a function that records which run a start request has started."""
        connection_id = url.rpartition("/")[0].rpartition("/")[2]
        job, known = self._jobs[connection_id], self._runs(connection_id)

        def done() -> None:
            started = [run for run in self._runs(connection_id) if run not in known]
            job.started += started
            self._night.counts["starts"] += len(started)

        return done

    def _runs(self, connection_id: str) -> list[str]:
        with self._emulator.store.lock:
            return [run.id for run in self._emulator.store.connections[connection_id].runs]

    async def _run(self, job: _Job) -> None:
        """Run a task with its retries to its end, as scheduler, worker and triggerer do."""
        if job.deferrable:
            await asyncio.sleep(self._random.uniform(0, 600))
        operator = ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id=job.connection_id, wait_for_completion=True, deferrable=job.deferrable
        )
        for _ in range(_MAX_ATTEMPTS):
            job.attempts += 1
            before = len(job.started)
            has_ended = await self._attempt(job, operator)
            if len(job.started) > before + 1:
                self._night.violations.append(f"{job.connection_id}: {len(job.started) - before} runs in one attempt")
            if has_ended:
                return
            self._night.counts["retries"] += 1
            await asyncio.sleep(300)
        self._night.counts["retries"] -= 1
        self._night.counts["failures"] += 1

    async def _attempt(self, job: _Job, operator: Any) -> bool:
        """Run one attempt; return whether the task has ended."""
        instance = FakeTaskInstance()
        context: dict[str, Any] = {"ti": instance, "task_instance": instance, "task_reschedule_count": 0}
        if job.store is not None:
            context |= {"task_state_store": job.store, "dag_run": SimpleNamespace(clear_number=0)}
        method, event = "execute", None
        began_with = set(job.started)
        try:
            while True:
                loss = self._random.choice(LOSSES) if self._random.random() < 0.03 else None
                try:
                    run = self.airflow.work(operator, method, event, context, loss)
                except TaskDeferred as deferred:
                    method, event = deferred.method_name, await self.airflow.fire(deferred.trigger)
                    if self._random.random() < 0.01:
                        raise WorkerLostError from None
                    continue
                self._note_reported(job, run, began_with)
                return True
        except WorkerLostError:
            self._night.counts["lost"] += 1
        except ITwinRunFailedError as error:
            report: Any = error.report
            self._note_reported(job, report["ref"]["run_id"], began_with)
        except ITwinTransientError:
            self._night.counts["gave up"] += 1
        except AirflowFailException as error:
            self._night.counts["failures"] += 1
            self._night.violations.append(f"{job.connection_id}: {error}")
            return True
        return False

    def _note_reported(self, job: _Job, run: str, began_with: set[str]) -> None:
        job.reported.append(run)
        if run not in job.started or run in began_with:
            self._night.counts["adoptions"] += 1

    def _check(self, job: _Job) -> None:
        """Check that each run that was started has been reported once, and no other."""
        violations = self._night.violations
        if len(set(job.reported)) != len(job.reported):
            violations.append(f"{job.connection_id}: the same run was reported twice: {job.reported}")
        if not set(job.reported) <= set(job.started):
            violations.append(
                f"{job.connection_id}: reported {job.reported}, including a run that the task did not start"
            )
        if job.store is not None:
            if job.attempts < _MAX_ATTEMPTS and sorted(job.reported) != sorted(job.started):
                violations.append(f"{job.connection_id}: started {job.started}, and reported {job.reported}")
            stored_run = job.store.rows.get("itwin_run", {}).get("own")
            if stored_run and job.attempts < _MAX_ATTEMPTS and stored_run["run_id"] != job.started[-1]:
                violations.append(f"{job.connection_id}: the store has another run than the last one, {stored_run}")

    def _reset_service(self) -> None:
        """Delete the night's data in the emulator, so that only the provider can grow."""
        store = self._emulator.store
        self._emulator.clear_faults()
        self._emulator.request_log.clear()
        with store.lock:
            for connection in list(store.connections.values()):
                store.remove_connection(connection)
            # This deletes the runs that have ended.
            store.active_runs()
            self._emulator.json_cache.clear()
        # These caches are bounded, but large enough for the runs of a month.
        endpoints.get_run_summary.cache_clear()
        models._ref.cache_clear()
        router.find_route.cache_clear()
        router.find_route.cache_clear()
        self._emulator.tokens._verified_claims.clear()
        self._jobs = {}


async def _sockets_closed() -> None:
    """Wait until the sockets of finished requests are closed, for at most five seconds of real time."""
    for _ in range(100):
        if sockets() <= _IDLE_SOCKETS:
            return
        threading.Event().wait(0.05)
        await asyncio.sleep(0)
