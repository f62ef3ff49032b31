"""Night after night: hundreds of connections synchronized through a service, and workers, that fail at random."""

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

from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.wait import models
from airflow_provider_itwin.exceptions import ITwinRunFailedError, ITwinTransientError
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from itwin_emulator.http import server
from tests.airflow.single_task import FakeStore, FakeTaskInstance

from .resource_growth import State, open_sessions, sockets
from .simulated_airflow import LOSSES, SimulatedAirflow, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    from .simulated_time import SimulatedClock, SimulatedLoop

_DAY = 86400.0
_AT_REST = 5
"""Sockets of a process in which nobody talks: the service's, and the event loop's own."""
_TRIES = 6
_FAULTS = ("status", "reset-before", "reset-after", "truncate", "invalid-json", "html", "empty")
_STATUSES = (500, 502, 503, 504, 429)
_OPERATIONS = ("get-storage-connection-run", "get-storage-connection", "run-storage-connection", "token")


@dataclass
class Night:
    """What came of a night."""

    number: int
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """What must not happen, and did."""
    peak_sessions: int = 0
    peak_sockets: int = 0
    state: State | None = None

    @property
    def line(self) -> str:
        """The night in a line."""
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
    strangers: set[str]
    created: list[str] = field(default_factory=list)
    consumed: list[str] = field(default_factory=list)
    tries: int = 0


class Soak:
    """
    Plays nights.

    :param connections: how many are synchronized each night
    :param seed: of all that is random
    """

    def __init__(
        self, emulator: Emulator, clock: SimulatedClock, loop: SimulatedLoop, connections: int, seed: int
    ) -> None:
        self._emulator, self._clock, self._connections = emulator, clock, connections
        self._chance = random.Random(seed)
        self.workshop = SimulatedAirflow(clock, loop, self._asked)
        self._jobs: dict[str, _Job] = {}
        self._night = Night(0)
        self._secret = emulator.client_secret

    async def night(self, number: int) -> Night:
        """Scenario one night, and check that no run was started twice and none was lost."""
        night = self._night = Night(number)
        began, requests = self._clock.now(), self.workshop.requests
        # Every fifth night there is no task state store, as before Airflow 3.3.
        stored = number % 5 != 4
        self._jobs = {
            job.connection_id: job for job in map(self._prepare, range(self._connections), [stored] * self._connections)
        }
        self._connect()
        self._script_faults()
        watch = asyncio.create_task(self._watch())
        failure = asyncio.create_task(self._disturb(number))
        try:
            await asyncio.gather(*(self._run(job) for job in self._jobs.values() if job.deferrable))
        finally:
            watch.cancel()
            failure.cancel()
            await asyncio.gather(watch, failure, return_exceptions=True)
        for job in self._jobs.values():
            if not job.deferrable:
                await self._run(job)
        for job in self._jobs.values():
            self._check(job)
        night.counts["requests"] = self.workshop.requests - requests
        self._tidy_up()
        await asyncio.sleep(max(0.0, began + _DAY - self._clock.now()))
        await _closed()
        night.state = State.now()
        return night

    def _prepare(self, number: int, stored: bool) -> _Job:
        chance, emulator = self._chance, self._emulator
        connection_id, imodel = f"connection-{number}", f"imodel-{number}"
        emulator.add_connection("storage", connection_id, imodel, files=["Tower.dgn", "Roof.rvt"])
        job = _Job(connection_id, number % 50 != 49, FakeStore() if stored else None, set())
        emulator.plan_run(connection_id, "Success", chance.uniform(60, 2400))
        fate = chance.random()
        if fate < 0.05:
            job.strangers.add(emulator.start_run(connection_id))
        elif fate < 0.10:
            rival = f"rival-{number}"
            emulator.add_connection("storage", rival, imodel, files=["Tower.dgn"])
            emulator.plan_run(rival, "Success", chance.uniform(60, 1200))
            emulator.start_run(rival)
        elif fate < 0.18:
            result = chance.choice(["Error", "PartialSuccess", "Canceled", "Skipped", "Undetermined"])
            failing = ["Roof.rvt"] if result == "Error" else []
            emulator.plan_run(connection_id, result, chance.uniform(5, 900), times=1, failing=failing)
        elif fate < 0.19:
            emulator.plan_run(connection_id, "Error", 120.0, failing=["Tower.dgn"])
        return job

    def _connect(self) -> None:
        emulator = self._emulator
        fields = {"conn_type": "itwin", "host": emulator.url, "login": emulator.client_id, "password": self._secret}
        os.environ["AIRFLOW_CONN_ITWIN_DEFAULT"] = json.dumps(fields)

    def _script_faults(self) -> None:
        """Let some forty requests of a thousand fail."""
        chance = self._chance
        for _ in range(max(4, self._connections)):
            kind = chance.choice(_FAULTS)
            status = chance.choice(_STATUSES) if kind == "status" else None
            self._emulator.fail(
                chance.choices(_OPERATIONS, weights=(20, 4, 4, 1))[0],
                chance.randint(1, 3),
                status,
                {"Retry-After": str(chance.randint(1, 90))} if status == 429 else None,
                kind=kind,  # type: ignore[arg-type]
                connection_id=f"connection-{chance.randrange(self._connections)}",
                after=chance.randint(0, 20),
            )

    async def _disturb(self, number: int) -> None:
        """Let things happen in the middle of the night."""
        await asyncio.sleep(self._chance.uniform(300, 900))
        self._emulator.revoke_tokens()
        await asyncio.sleep(self._chance.uniform(60, 300))
        self._night.counts["restarted"] += self.workshop.restart_triggerer()
        if number % 3 == 2:
            # Every ninth of these lasts longer than is tolerated.
            self._emulator.outage(1200.0 if number % 9 == 8 else self._chance.uniform(60, 600))
        await asyncio.sleep(self._chance.uniform(60, 300))
        if number % 7 == 6:
            self._secret = f"secret-of-night-{number}"
            self._emulator.add_client(self._emulator.client_id, self._secret, everywhere=True)
            self._connect()
            self._emulator.revoke_tokens()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(60)
            self._night.peak_sessions = max(self._night.peak_sessions, open_sessions())
            self._night.peak_sockets = max(self._night.peak_sockets, sockets())

    def _asked(self, url: str) -> Callable[[], None]:
        """Take note of what a request for a run does."""
        connection_id = url.rpartition("/")[0].rpartition("/")[2]
        job, known = self._jobs[connection_id], self._runs(connection_id)

        def done() -> None:
            created = [run for run in self._runs(connection_id) if run not in known]
            job.created += created
            self._night.counts["starts"] += len(created)

        return done

    def _runs(self, connection_id: str) -> list[str]:
        with self._emulator.platform.lock:
            return [run.id for run in self._emulator.platform.connections[connection_id].runs]

    async def _run(self, job: _Job) -> None:
        """Run a task with its retries to the end, as scheduler, worker and triggerer would between them."""
        if job.deferrable:
            await asyncio.sleep(self._chance.uniform(0, 600))
        operator = ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id=job.connection_id, wait_for_completion=True, deferrable=job.deferrable
        )
        for _ in range(_TRIES):
            job.tries += 1
            before = len(job.created)
            is_over = await self._try(job, operator)
            if len(job.created) > before + 1:
                self._night.wrong.append(f"{job.connection_id}: {len(job.created) - before} runs in one try")
            if is_over:
                return
            self._night.counts["retries"] += 1
            await asyncio.sleep(300)
        self._night.counts["retries"] -= 1
        self._night.counts["failures"] += 1

    async def _try(self, job: _Job, operator: Any) -> bool:
        """Run one try; True if the task has ended."""
        instance = FakeTaskInstance()
        context: dict[str, Any] = {"ti": instance, "task_instance": instance, "task_reschedule_count": 0}
        if job.store is not None:
            context |= {"task_state_store": job.store, "dag_run": SimpleNamespace(clear_number=0)}
        method, event = "execute", None
        began_with = set(job.created)
        try:
            while True:
                losing = self._chance.choice(LOSSES) if self._chance.random() < 0.03 else None
                try:
                    run = self.workshop.work(operator, method, event, context, losing)
                except TaskDeferred as deferred:
                    method, event = deferred.method_name, await self.workshop.fire(deferred.trigger)
                    if self._chance.random() < 0.01:
                        raise WorkerLostError from None
                    continue
                self._consumed(job, run, began_with)
                return True
        except WorkerLostError:
            self._night.counts["lost"] += 1
        except ITwinRunFailedError as error:
            self._consumed(job, (error.report or {})["ref"]["run_id"], began_with)
        except ITwinTransientError:
            self._night.counts["given up"] += 1
        except AirflowFailException as error:
            self._night.counts["failures"] += 1
            self._night.wrong.append(f"{job.connection_id}: {error}")
            return True
        return False

    def _consumed(self, job: _Job, run: str, began_with: set[str]) -> None:
        job.consumed.append(run)
        if run not in job.created or run in began_with:
            self._night.counts["adoptions"] += 1

    def _check(self, job: _Job) -> None:
        """Check that each run that was started has been reported once, and no other."""
        wrong = self._night.wrong
        if len(set(job.consumed)) != len(job.consumed):
            wrong.append(f"{job.connection_id}: the same run was reported twice: {job.consumed}")
        if not set(job.consumed) <= set(job.created):
            wrong.append(f"{job.connection_id}: reported {job.consumed}, of which somebody else has started some")
        if job.store is not None:
            if job.tries < _TRIES and sorted(job.consumed) != sorted(job.created):
                wrong.append(f"{job.connection_id}: started {job.created}, and reported {job.consumed}")
            kept = job.store.rows.get("itwin_run", {}).get("own")
            if kept and job.tries < _TRIES and kept["run_id"] != job.created[-1]:
                wrong.append(f"{job.connection_id}: the store is left with another run than the last, {kept}")

    def _tidy_up(self) -> None:
        """Let the service forget the night, so that what grows is ours."""
        platform = self._emulator.platform
        self._emulator.heal()
        self._emulator.journal.clear()
        with platform.lock:
            for connection in list(platform.connections.values()):
                platform.remove_connection(connection)
            # Which forgets the runs that have ended.
            platform.active_runs()
            platform.prints = type(platform.prints)()
        # These caches are bounded, but large enough for the runs of a whole month.
        endpoints.get_run_summary.cache_clear()
        models._ref.cache_clear()
        server._find_place.cache_clear()
        self._emulator.desk._known.clear()
        self._jobs = {}


async def _closed() -> None:
    """Let the ends of conversations that are over be closed, for five seconds of real time at most."""
    for _ in range(100):
        if sockets() <= _AT_REST:
            return
        threading.Event().wait(0.05)
        await asyncio.sleep(0)
