"""The emulator as a Python object: starts a platform on loopback, in a thread of its own, and steers it."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow_provider_itwin.emulator import scenario as scenarios
from airflow_provider_itwin.emulator import schema
from airflow_provider_itwin.emulator.clock import Clock
from airflow_provider_itwin.emulator.faults import Fault, FaultBox, FaultKind
from airflow_provider_itwin.emulator.journal import Journal
from airflow_provider_itwin.emulator.kinds import Kind
from airflow_provider_itwin.emulator.model import Client, SourceFile, invent_files
from airflow_provider_itwin.emulator.oddities import Oddities
from airflow_provider_itwin.emulator.plans import FailingFile, RunError, RunPlan
from airflow_provider_itwin.emulator.platform import Platform
from airflow_provider_itwin.emulator.scenario import FileSpec
from airflow_provider_itwin.emulator.tokens import TokenDesk

DEFAULT_CLIENT_ID = "service-emulator"
DEFAULT_CLIENT_SECRET = "emulator+secret/of=nobody"  # noqa: S105 -- guards nothing; its signs tell who forgot to encode
START_LIMIT = 30.0

FileLike = str | Mapping[str, Any] | FileSpec


class Emulator:
    """
    An iTwin Platform on loopback.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. Everything may be called from any thread while it
    serves. With ``speed=60`` a run planned for 600 emulated seconds takes ten real ones.

    :param speed: emulated seconds that a run advances per real second
    :param scenario: what exists at the start: a built-in name (``"demo"``), the path of a TOML file, or the same as a dict
    :param port: 0 for a free one
    :param clock_skew: seconds by which the service's clock is ahead of this machine's
    :param host: address to listen on; loopback unless ``allow_remote`` is set
    :param client_id: the service client that has access to everything
    :param token_lifetime: real seconds that a token is good for
    :param clock: another clock, e.g. a ``ManualClock`` for tests that do not sleep; ``speed`` and ``clock_skew`` are then its
    :param journal_file: append every request to this file too, one JSON object a line
    """

    def __init__(
        self,
        speed: float = 60.0,
        scenario: str | Path | Mapping[str, Any] | None = None,
        port: int = 0,
        clock_skew: float = 0.0,
        *,
        host: str = "127.0.0.1",
        client_id: str = DEFAULT_CLIENT_ID,
        client_secret: str = DEFAULT_CLIENT_SECRET,
        token_lifetime: float = 3600.0,
        clock: Clock | None = None,
        journal_file: str | Path | None = None,
        allow_remote: bool = False,
    ) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.loopback_only = is_loopback(host)
        if not self.loopback_only and not allow_remote:
            raise ValueError(f"{host!r} is not a loopback address; the emulator has no business on a network")
        self.clock = clock or Clock(speed, clock_skew)
        self.platform = Platform(self.clock)
        self.journal = Journal()
        self.desk = TokenDesk(self.clock, self.platform.clients, token_lifetime)
        self._faults = FaultBox()
        self._host = host
        self._port = port
        self._journal_file = None if journal_file is None else Path(journal_file)
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self.platform.clients[client_id] = Client(client_id, client_secret, everywhere=True)
        if scenario is not None:
            loaded, where = scenarios.load(scenario)
            loaded.apply(self.platform, where)

    # Life

    def start(self) -> Self:
        """Serve; returns when requests are answered."""
        if self._thread is not None:
            raise RuntimeError("the emulator has been started already")
        self._ready.clear()
        self._thread = threading.Thread(target=self._serve, name="itwin-emulator", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_LIMIT):
            raise RuntimeError("the emulator did not start in time")
        failure = self._taken_failure()
        if failure is not None:
            self._thread.join()
            self._thread = None
            raise failure
        return self

    def _taken_failure(self) -> BaseException | None:
        failure, self._failure = self._failure, None
        return failure

    def stop(self) -> None:
        """Stop serving; returns when the thread has ended."""
        if self._thread is None:
            return
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_LIMIT)
        self._thread = None
        self.journal.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def url(self) -> str:
        """Origin of the service, of its token endpoint and of its web page."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def port(self) -> int:
        """The port, once it is known."""
        return self._port

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 -- handed over to the thread that waits
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        # Only now: who merely imports the emulator should not pay for a web server.
        from aiohttp import web

        from airflow_provider_itwin.emulator.control import Control
        from airflow_provider_itwin.emulator.server import Gateway

        if self._journal_file is not None:
            self.journal.record_to(self._journal_file)
        gateway = Gateway(self.platform, self.desk, self._faults, self.journal, Control(self))
        runner = web.ServerRunner(web.Server(gateway, access_log=None), shutdown_timeout=0.2)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port, backlog=1024)
            await site.start()
            self._port = runner.addresses[0][1]
            self._loop = asyncio.get_running_loop()
            self._stopping = asyncio.Event()
            self._ready.set()
            await self._stopping.wait()
        finally:
            await runner.cleanup()

    # What exists

    def add_connection(
        self,
        kind: Kind = "storage",
        connection_id: str | None = None,
        imodel_id: str | None = None,
        display_name: str | None = None,
        authentication_type: str = "Service",
        files: int | Iterable[FileLike] | None = None,
    ) -> str:
        """
        Add a connection and give its id.

        :param imodel_id: the iModel, made if there is none with this id; None: one of its own
        :param files: names, or dicts with ``name``, ``connector_type``, ``file_id``, ``id``; a number: so many invented
            files; None: three
        """
        made = _source_files(files)
        return self.platform.add_connection(kind, connection_id, imodel_id, display_name, authentication_type, made).id

    def connection_ids(self) -> list[str]:
        """Give the ids of all connections."""
        with self.platform.lock:
            return list(self.platform.connections)

    # Runs

    def plan_run(
        self,
        connection_id: str,
        result: str = "Success",
        duration: float = 600.0,
        *,
        times: int | None = None,
        phase: str = "MasterFile",
        error: RunError | Mapping[str, str] | None = None,
        failing: Iterable[FailingFile | Mapping[str, Any] | str | int] = (),
        warnings: int = 0,
        errors: int = 0,
        other_issues: int = 0,
        invent_files: int | None = None,
        states: Iterable[tuple[str, float]] | None = None,
    ) -> None:
        """
        Say how the next runs of a connection go.

        :param duration: emulated seconds from the start to Completed
        :param times: for so many runs, after those that are planned like that already; None: for all runs from now on
        :param error: error of the run as a whole: ``errorKey``, ``description``
        :param failing: files that fail: a name, or a dict with ``file`` and the fields of the error
        :param warnings: warnings in the reports of the files that do not fail, all together; so ``errors``, ``other_issues``
        :param invent_files: work on so many invented files instead of those of the connection
        :param states: states before Completed, each with its share of the duration
        """
        data: dict[str, Any] = {
            "result": result,
            "duration": duration,
            "phase": phase,
            "error": error,
            "failing": [{"file": one} if isinstance(one, str | int) else one for one in failing],
            "warnings": warnings,
            "errors": errors,
            "other_issues": other_issues,
            "invent_files": invent_files,
        }
        if states is not None:
            data["states"] = list(states)
        plan = schema.build(RunPlan, data, "plan")
        with self.platform.lock:
            connection = self.platform.connection(connection_id)
            if times is None:
                connection.usual_plan = plan
                connection.next_plans.clear()
                connection.planned = True
            else:
                connection.next_plans.extend([plan] * times)

    def start_run(self, connection_id: str) -> str:
        """Start a run as somebody else would; gives the id of the active run if the iModel is busy."""
        with self.platform.lock:
            run, _ = self.platform.begin_run(self.platform.connection(connection_id))
            return run.id

    def finish_run(self, connection_id: str, run_id: str | None = None, result: str | None = "Success") -> None:
        """End a run now; None for the newest run, and None for the result that was planned."""
        with self.platform.lock:
            connection = self.platform.connection(connection_id)
            for run in reversed(connection.runs):
                if run_id is None or run.id == run_id:
                    run.finish(self.clock.now(), result)
                    return
            raise LookupError(f"connection {connection_id!r} has no run {run_id!r}")

    def runs(self, connection_id: str) -> list[dict[str, Any]]:
        """Give the runs of a connection as the API would show them in full, oldest first."""
        with self.platform.lock:
            show = self.platform.show(self.url)
            return [show.run(run) for run in self.platform.connection(connection_id).runs]

    # Trouble

    @property
    def oddities(self) -> Oddities:
        """Switches for liberties that the service takes with its documentation."""
        return self.platform.oddities

    def fail(
        self,
        operation: str = "*",
        times: int | None = 1,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        kind: FaultKind | None = None,
        *,
        seconds: float = 0.0,
        location: str | None = None,
        size: int | None = None,
        connection_id: str | None = None,
        after: int = 0,
        lasting: float | None = None,
        processed: bool | None = None,
    ) -> None:
        """
        Script a fault; what the kinds do is said in ``emulator.faults.KIND_NOTES``.

        :param operation: id of an operation (``get-storage-connection-run``), ``token``, ``discovery``, or a pattern with ``*``
        :param times: for so many requests; None: until :meth:`heal`
        :param status: answer with this status (503), its documented body if none is given
        :param body: bytes or text as they are, anything else as JSON
        :param connection_id: only for requests about this connection
        :param after: let so many requests pass first
        :param lasting: heal by itself after so many real seconds
        :param processed: process the request although the answer is bad
        """
        self.script(
            Fault(
                operation=operation,
                times=times,
                kind=kind or "status",
                status=status,
                headers=dict(headers or {}),
                body=body,
                seconds=seconds,
                location=location,
                size=size,
                connection_id=connection_id,
                after=after,
                lasting=lasting,
                processed=processed,
            )
        )

    def script(self, fault: Fault) -> None:
        """Script a fault that is made already."""
        self._faults.add(replace(fault), self.clock.now())

    def heal(self, operation: str | None = None) -> int:
        """Drop the faults that wait, all or those of one operation; gives their number."""
        return self._faults.heal(operation)

    def revoke_tokens(self) -> None:
        """Make every token issued so far worthless."""
        self.desk.revoke_all()

    def overview(self) -> dict[str, Any]:
        """Give what there is, without secrets."""
        with self.platform.lock:
            return {
                "url": self.url,
                "speed": self.clock.speed,
                "clockSkew": self.clock.skew,
                "clientId": self.client_id,
                "tokenLifetime": self.desk.lifetime,
                "requests": len(self.journal),
                "oddities": asdict(self.oddities),
                "faults": [asdict(fault) for fault in self._faults.pending()],
                "connections": [
                    {
                        "id": one.id,
                        "kind": one.kind,
                        "displayName": one.display_name,
                        "iModelId": one.imodel_id,
                        "authenticationType": one.authentication_type,
                        "files": len(one.files),
                        "runs": len(one.runs),
                    }
                    for one in self.platform.connections.values()
                ],
            }


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _source_files(files: int | Iterable[FileLike] | None) -> list[SourceFile] | None:
    if files is None:
        return None
    if isinstance(files, int):
        return invent_files(files)
    specs = []
    for index, one in enumerate(files):
        data = {"name": one} if isinstance(one, str) else one
        specs.append(schema.convert(FileSpec, data, f"files[{index}]"))
    return [spec.source_file() for spec in specs]
