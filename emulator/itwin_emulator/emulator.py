"""The emulator as a Python object: serves an emulated iTwin Platform from a thread."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from itwin_emulator.admin import scenario as scenarios
from itwin_emulator.admin.controls import Controls
from itwin_emulator.admin.state_file import StateFile, StateWriter
from itwin_emulator.admin.storage_state import blob_folder
from itwin_emulator.api.json_cache import RunJsonCache
from itwin_emulator.domain.clock import Clock
from itwin_emulator.domain.entities import Client
from itwin_emulator.domain.quirks import Quirks
from itwin_emulator.domain.store import Store
from itwin_emulator.http.faults import FaultRegistry
from itwin_emulator.http.oauth import TokenService
from itwin_emulator.http.rate_limit import RateLimiter
from itwin_emulator.http.request_log import RequestLog

DEFAULT_CLIENT_ID = "service-emulator"
DEFAULT_CLIENT_SECRET = "emulator+secret/of=nobody"  # noqa: S105 -- not a secret; its characters detect missing encoding
START_TIMEOUT = 30.0


class Emulator:
    """
    An emulated iTwin Platform on loopback.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. All methods are thread-safe. The methods of
    :class:`~itwin_emulator.admin.controls.Controls` are available as methods of the emulator: ``emulator.plan_run(...)`` is
    ``emulator.controls.plan_run(...)``.

    :param speed: emulated seconds of work per real second: at speed 60, a run planned for 600 seconds takes ten
    :param scenario: the entities at the start: a built-in name (``"demo"``), the path of a TOML file, or its content as a dict
    :param port: port to listen on; 0: any free port
    :param clock_skew: seconds by which the service's clock is ahead of this machine's
    :param host: address to listen on; must be loopback unless ``allow_remote`` is set
    :param client_id: id of the service client that has access to everything
    :param client_secret: its secret
    :param token_lifetime: lifetime of tokens in real seconds
    :param tier: rate-limit tier (``"community"``, ``"standard"`` ...); None: no limit
    :param clock: another clock, e.g. a ``ManualClock``; it replaces ``speed`` and ``clock_skew``
    :param request_log_file: append every request to this file, as JSON lines
    :param state_file: keep the state in this file, and stored files in a folder beside it; if it exists, its state is
        restored and the scenario is ignored
    :param allow_remote: allow a host that is not a loopback address
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
        tier: str | None = None,
        clock: Clock | None = None,
        request_log_file: str | Path | None = None,
        state_file: str | Path | None = None,
        allow_remote: bool = False,
    ) -> None:
        if not is_loopback(host) and not allow_remote:
            raise ValueError(f"refusing to bind to non-loopback address {host!r}; pass allow_remote=True")
        self.client_id = client_id
        self.client_secret = client_secret
        self.clock = clock or Clock(speed, clock_skew)
        self.store = Store(self.clock)
        self.json_cache = RunJsonCache()
        self.tokens = TokenService(self.clock, self.store.clients, token_lifetime)
        self.faults = FaultRegistry()
        self.rate_limiter = RateLimiter()
        self.request_log = RequestLog()
        self._host = host
        self._port = port
        self._request_log_file = None if request_log_file is None else Path(request_log_file)
        if state_file is not None:
            self.store.storage.folder.keep_in(blob_folder(Path(state_file)))
        self._state_writer = (
            None if state_file is None else StateWriter(StateFile(Path(state_file)), self.store, self.tokens)
        )
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self.controls = Controls(
            store=self.store,
            tokens=self.tokens,
            faults=self.faults,
            rate_limiter=self.rate_limiter,
            request_log=self.request_log,
            get_url=lambda: self.url,
            on_change=self._save_state,
        )
        self._expose_controls()
        self.set_tier(tier)
        restored = self._state_writer is not None and self._state_writer.load()
        if scenario is not None and not restored:
            loaded, name = scenarios.load(scenario)
            loaded.apply(self.store, name)
            self.set_tier(tier or loaded.tier)
        self.store.clients[client_id] = Client(client_id, client_secret, everywhere=True)
        self._save_state()

    def _expose_controls(self) -> None:
        """Make the controls available as methods of the emulator, for short test code."""
        controls = self.controls
        self.add_client = controls.add_client
        self.make_token = controls.make_token
        self.set_role = controls.set_role
        self.sign_in = controls.sign_in
        self.add_itwin = controls.add_itwin
        self.add_imodel = controls.add_imodel
        self.add_connection = controls.add_connection
        self.connection_ids = controls.connection_ids
        self.plan_run = controls.plan_run
        self.start_run = controls.start_run
        self.finish_run = controls.finish_run
        self.runs = controls.runs
        self.push_changesets = controls.imodels.push_changesets
        self.changesets = controls.imodels.changesets
        self.add_named_version = controls.imodels.add_named_version
        self.named_versions = controls.imodels.named_versions
        self.plan_job = controls.jobs.plan_job
        self.finish_job = controls.jobs.finish_job
        self.jobs = controls.jobs.jobs
        self.add_transformation_configuration = controls.jobs.add_configuration
        self.fail = controls.fail
        self.add_fault = controls.add_fault
        self.outage = controls.outage
        self.clear_faults = controls.clear_faults
        self.revoke_tokens = controls.revoke_tokens
        self.set_tier = controls.set_tier
        self.limit_rate = controls.limit_rate
        self.token_leaks = controls.token_leaks
        self.add_folder = controls.storage.add_folder
        self.add_file = controls.storage.add_file
        self.set_file_content = controls.storage.set_file_content
        self.stored_files = controls.storage.stored_files

    @property
    def quirks(self) -> Quirks:
        """The quirks; assign to their attributes to switch them."""
        return self.store.quirks

    @property
    def url(self) -> str:
        """Origin of the API, the token endpoint and the dashboard."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def port(self) -> int:
        """The port; the actual one after the start."""
        return self._port

    def start(self) -> Self:
        """
        Start serving. Returns when the emulator accepts requests.

        :raises RuntimeError: the emulator is running already, or does not start in time
        :raises OSError: the address is in use or not available
        """
        if self._thread is not None:
            raise RuntimeError("the emulator is running already")
        if self._request_log_file is not None:
            self.request_log.write_to(self._request_log_file)
        self._ready.clear()
        self._thread = threading.Thread(target=self._serve, name="itwin-emulator", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT):
            raise RuntimeError("the emulator did not start in time")
        failure = self._take_failure()
        if failure is not None:
            self._thread.join()
            self._thread = None
            raise failure
        return self

    def stop(self) -> None:
        """Stop serving. Returns when the thread has ended and the state is saved."""
        if self._thread is not None:
            if self._loop is not None and self._stopping is not None:
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(START_TIMEOUT)
            self._thread = None
            self.request_log.close()
        if self._state_writer is not None:
            self._state_writer.close()

    def __enter__(self) -> Self:
        """Start serving."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self.stop()

    def _save_state(self) -> None:
        if self._state_writer is not None:
            self._state_writer.changed()

    def _take_failure(self) -> BaseException | None:
        failure, self._failure = self._failure, None
        return failure

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 -- raised in the thread that called start()
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        # Imported here, so that importing the emulator does not import the web server.
        from aiohttp import web

        from itwin_emulator.admin.routes import ControlRoutes
        from itwin_emulator.http.blobs import BlobEndpoint
        from itwin_emulator.server import Server

        server = Server(
            store=self.store,
            json_cache=self.json_cache,
            tokens=self.tokens,
            faults=self.faults,
            rate_limiter=self.rate_limiter,
            request_log=self.request_log,
            control=ControlRoutes(self.controls, loopback_only=is_loopback(self._host)),
            blobs=BlobEndpoint(self.store, self.faults, self.request_log, self._save_state),
            get_url=lambda: self.url,
            on_change=self._save_state,
        )
        runner = web.ServerRunner(web.Server(server, access_log=None, logger=_logger()), shutdown_timeout=0.2)
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


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _logger() -> logging.Logger:
    """Return a logger for errors of the server. Malformed requests are not logged; the client gets a 400."""
    from aiohttp.http_exceptions import HttpProcessingError

    logger = logging.getLogger(__name__)
    if not logger.filters:
        logger.addFilter(lambda record: not isinstance((record.exc_info or (None, None))[1], HttpProcessingError))
    return logger
