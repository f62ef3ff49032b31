"""The emulator as a Python object: starts a platform on loopback, in a thread of its own."""

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
from itwin_emulator.admin.controls import Steering
from itwin_emulator.admin.state_file import StateFile
from itwin_emulator.admin.state_writer import Keeper
from itwin_emulator.domain.clock import Clock
from itwin_emulator.domain.entities import Client

DEFAULT_CLIENT_ID = "service-emulator"
DEFAULT_CLIENT_SECRET = "emulator+secret/of=nobody"  # noqa: S105 -- guards nothing; its signs tell who forgot to encode
START_LIMIT = 30.0


class Emulator(Steering):
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
    :param tier: rate-limit tier (``"community"``, ``"standard"`` ...); None: no limit
    :param clock: another clock, e.g. a ``ManualClock`` for tests that do not sleep; ``speed`` and ``clock_skew`` are then its
    :param journal_file: append every request to this file too, one JSON object a line
    :param state_file: keep the state in this file; if it exists, it is gone on with, and the scenario is not looked at
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
        journal_file: str | Path | None = None,
        state_file: str | Path | None = None,
        allow_remote: bool = False,
    ) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.loopback_only = is_loopback(host)
        if not self.loopback_only and not allow_remote:
            raise ValueError(f"{host!r} is not a loopback address; the emulator has no business on a network")
        super().__init__(clock or Clock(speed, clock_skew), token_lifetime, tier)
        self._host = host
        self._port = port
        self._journal_file = None if journal_file is None else Path(journal_file)
        self._keeper = None if state_file is None else Keeper(StateFile(Path(state_file)), self.platform, self.desk)
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None
        resumed = self._keeper is not None and self._keeper.load()
        if scenario is not None and not resumed:
            loaded, where = scenarios.load(scenario)
            loaded.apply(self.platform, where)
            self.use_tier(tier or loaded.tier)
        self.platform.clients[client_id] = Client(client_id, client_secret, everywhere=True)
        self.changed()

    def changed(self) -> None:
        """Keep the state, if it is to be kept."""
        if self._keeper is not None:
            self._keeper.changed()

    # Life

    def start(self) -> Self:
        """Serve; returns when requests are answered."""
        if self._thread is not None:
            raise RuntimeError("the emulator has been started already")
        if self._journal_file is not None:
            self.journal.record_to(self._journal_file)
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
        """Stop serving; returns when the thread has ended and the state is kept."""
        if self._thread is not None:
            if self._loop is not None and self._stopping is not None:
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(START_LIMIT)
            self._thread = None
            self.journal.close()
        if self._keeper is not None:
            self._keeper.close()

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

        from itwin_emulator.admin.routes import Control
        from itwin_emulator.http.server import Gateway

        gateway = Gateway(self.platform, self.desk, self._faults, self.limiter, self.journal, Control(self))
        runner = web.ServerRunner(web.Server(gateway, access_log=None, logger=_logger()), shutdown_timeout=0.2)
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


def _logger() -> logging.Logger:
    """Give a logger for what goes wrong here; what goes wrong in a client, it has been told."""
    from aiohttp.http_exceptions import HttpProcessingError

    logger = logging.getLogger(__name__)
    if not logger.filters:
        logger.addFilter(lambda record: not isinstance((record.exc_info or (None, None))[1], HttpProcessingError))
    return logger


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
