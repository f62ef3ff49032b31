"""What the tests of downloads share: an API that knows one file, and a download from a blob storage on loopback."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.api.http import stopping
from airflow_provider_itwin.api.http.auth import ReadyToken
from airflow_provider_itwin.api.http.config import Account, Environment, Network
from airflow_provider_itwin.api.models.storage import StorageItem
from airflow_provider_itwin.api.storage.blob_transport import BlobTransport
from airflow_provider_itwin.api.storage.download import Download, DownloadedFile
from airflow_provider_itwin.api.storage.local_target import LocalTarget

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from airflow_provider_itwin.api.storage.targets import Target
    from tests.api.storage.blob_server import BlobServer

CONTENT = random.Random(7).randbytes(3 * 1024 * 1024 + 17)
FILE_ID = "file-7"
NAME = "tower.ifc"
TOKEN = "the-bearer-token-of-nobody"


class FakeTime:
    """A clock that only pauses advance."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, stopped: threading.Event, seconds: float) -> None:
        """Advance the clock, unless the task was stopped."""
        if not stopped.is_set():
            self.pauses.append(seconds)
            self.now += seconds


@dataclass
class World:
    """One file in iTwin Storage, with its content in a blob storage."""

    blob: BlobServer
    time: FakeTime
    timeout: float = 20.0
    file: StorageItem = field(default_factory=StorageItem)
    links: int = 0
    looks: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    before_look: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        environment = Environment(self.blob.url, self.blob.url)
        network = Network(timeout=self.timeout)
        self.account = Account(environment, ReadyToken(TOKEN), network, clock=self.time, chance=lambda: 1.0)
        self.describe(self.blob.content)

    def describe(self, content: bytes, modified: str = "2026-01-01T00:00:00.0000000Z", **fields: Any) -> None:
        """Set what the service knows of the file."""
        known: dict[str, Any] = {"display_name": NAME, "size": len(content), "last_modified_date_time": modified}
        self.file = StorageItem(id=FILE_ID, **(known | fields))

    def call(self, call: Any, retry_budget: float = 0.0) -> Any:
        """Perform a call of the API."""
        if call.operation == "get-file":
            self.looks += 1
            if self.before_look is not None:
                self.before_look(self.looks)
            return self.file
        assert call.operation == "download-file"
        self.links += 1
        return f"{self.blob.url}/container/blob?sv=1&sig=signature-{self.links}"

    def run_flow(self, flow: Any) -> Any:
        """Run a flow: downloads have none."""
        raise AssertionError(flow)

    def download(self, target: Target | Path, *, overwrite: bool = True, retry_budget: float = 60.0) -> DownloadedFile:
        """Download the file."""
        chosen = LocalTarget(target) if isinstance(target, Path) else target
        blobs = BlobTransport(self.account)
        try:
            return Download(
                self,
                blobs,
                FILE_ID,
                lambda name, file_id: chosen,
                overwrite=overwrite,
                retry_budget=retry_budget,
                stopped=self.stopped,
            ).run()
        finally:
            blobs.close()


def use_fake_time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """Make downloads wait in simulated time."""
    time = FakeTime()
    monkeypatch.setattr(stopping, "pause", time.pause)
    return time
