"""
Uploads and downloads: throughput and memory beside plain loops and another client, and the requests of a night.

The emulator runs in a process of its own (``python -m benchmarks.transfers serve``), and each subject in another one
(``python -m benchmarks.transfers SUBJECT JOB``). All subjects transfer the same files, and take turns.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import requests

from airflow_provider_itwin.api.client import ITwinClient
from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.config import Account, Environment, Network
from airflow_provider_itwin.api.storage import endpoints
from airflow_provider_itwin.api.storage.blob_transport import BlobTransport
from airflow_provider_itwin.api.storage.download import Download
from airflow_provider_itwin.api.storage.local_target import LocalTarget
from airflow_provider_itwin.api.storage.upload import Uploader
from airflow_provider_itwin.hooks.upload_sources import list_sources
from benchmarks.processes import ROOT, MeasurementError, end

SUBJECTS = ("ours", "requests", "aiohttp", "azure")
_MIB = 1024 * 1024
_BLOCK = 8 * _MIB
_BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}
_FOLDER = 100_000


class Transfer(msgspec.Struct):
    """
    One subject, with medians over the repeats.

    :param direction: ``upload`` or ``download``
    :param rate: bytes a second
    :param memory: largest growth of the process in bytes
    """

    direction: str
    subject: str
    size: int
    rate: float
    memory: int


class NightOfFiles(msgspec.Struct):
    """
    A night in which few of many files have changed.

    :param what: what was done
    :param files: files of the source, or entries of the folder
    :param seconds: duration
    :param requests: requests to the service
    """

    what: str
    files: int
    seconds: float
    requests: int


class Job(msgspec.Struct):
    """What a subject does, and where."""

    direction: str
    url: str
    client_id: str
    client_secret: str
    folder_id: str
    path: str
    size: int
    file_id: str = ""

    def client(self) -> ITwinClient:
        """Return a client."""
        return ITwinClient(
            Account(
                Environment.of(self.url), ClientCredentials(self.client_id, self.client_secret), Network(timeout=60.0)
            )
        )


def measure(quick: bool) -> tuple[list[Transfer], list[NightOfFiles]]:
    """Measure transfers and nights."""
    size, repeats = (16 * _MIB, 1) if quick else (400 * _MIB, 3)
    with _served() as hello, tempfile.TemporaryDirectory(prefix="itwin-transfers-") as name:
        source = Path(name, "Large.dgn")
        _fill(source, size)
        transfers = [*_transfers(hello, source, size, repeats)]
        return transfers, _nights(hello, Path(name, "many"), 200 if quick else 5000)


def _transfers(hello: dict[str, str], source: Path, size: int, repeats: int) -> Iterator[Transfer]:
    outcomes: dict[tuple[str, str], list[dict[str, float]]] = {}
    stored = ""
    for repeat in range(repeats):
        for direction in ("upload", "download"):
            for subject in SUBJECTS[repeat % 4 :] + SUBJECTS[: repeat % 4]:
                job = Job(direction, **hello, path=str(source), size=size, file_id=stored)
                outcome = _run(subject, job)
                stored = str(outcome.get("file_id") or stored)
                outcomes.setdefault((direction, subject), []).append(outcome)
    for (direction, subject), found in outcomes.items():
        seconds, memory = median(one["seconds"] for one in found), median(one["memory"] for one in found)
        yield Transfer(direction, subject, size, size / seconds, int(memory))


def _nights(hello: dict[str, str], folder: Path, files: int) -> list[NightOfFiles]:
    job = Job("upload", **hello, path=str(folder), size=0)
    found = []
    for number in range(files):
        path = folder / f"{number % 50:02d}" / f"file-{number:05d}.dgn"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content {number}")
    found.append(_night("all files are new", job, files))
    for number in range(3):
        (folder / "00" / f"file-{number * 50:05d}.dgn").write_text("changed")
    found.append(_night("three files have changed", job, files))
    one = folder / "one"
    one.mkdir()
    (one / "file-00000.dgn").write_text("x")
    large = Job("upload", **{**hello, "folder_id": "large-folder"}, path=str(one), size=0)
    found.append(_night("one file in a folder of many", large, _FOLDER if files > 200 else 1000))
    return found


def _night(what: str, job: Job, files: int) -> NightOfFiles:
    log = f"{job.url}/emulator/requests"
    requests.delete(log, timeout=30).raise_for_status()
    began = time.monotonic()
    with job.client() as client:
        summary = Uploader(client, retry_budget=60.0).upload(list_sources(job.path), job.folder_id)
    seconds = time.monotonic() - began
    if summary.failed:
        raise MeasurementError(str(summary.failed[0].error))
    entries = requests.get(log, {"limit": 1_000_000}, timeout=120).json()["entries"]
    return NightOfFiles(what, files, seconds, len(entries))


@contextmanager
def _served() -> Iterator[dict[str, str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.transfers", "serve"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None  # noqa: S101 (it was started with pipes)
    assert process.stdout is not None  # noqa: S101
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        end(process)
        process.stdout.close()


def _run(subject: str, job: Job) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.transfers", subject, msgspec.json.encode(job).decode()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603
    if done.returncode:
        raise MeasurementError(f"{subject}: {done.stderr[-500:]}")
    outcome: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def _fill(path: Path, size: int) -> None:
    block = bytes(range(256)) * 4096
    with path.open("wb") as stream:
        for _ in range(size // len(block)):
            stream.write(block)


def serve() -> None:
    """Run an emulator until stdin ends."""
    from itwin_emulator import Emulator

    with Emulator(speed=1.0) as emulator:
        itwin_id = emulator.add_itwin("bench-itwin")
        storage, now = emulator.store.storage, emulator.clock.now()
        root = storage.root(itwin_id, now)
        large = storage.add_folder(itwin_id, root.id, "Large", "bench", now, folder_id="large-folder")
        shared: Any = None
        for number in range(_FOLDER):
            file = storage.add_file(large, f"other-{number:06d}.dgn", "bench", now, description=None, file_id=None)
            if shared is None:
                storage.set_content(file, storage.folder.write(b"content"), "bench", now)
                shared = file.content
            file.content = shared
        hello = {
            "url": emulator.url,
            "client_id": emulator.client_id,
            "client_secret": emulator.client_secret,
            "folder_id": root.id,
        }
        _say(hello)
        sys.stdin.read()


def _say(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _blocks(path: str, size: int) -> Iterator[tuple[str, bytes]]:
    with Path(path).open("rb") as stream:
        for number in range(-(-size // _BLOCK)):
            yield f"{number:08d}", stream.read(_BLOCK)


def _list_of(names: list[str]) -> bytes:
    return f"<BlockList>{''.join(f'<Latest>{name}</Latest>' for name in names)}</BlockList>".encode()


def upload_with_ours(job: Job, client: ITwinClient) -> str:
    """Upload as the operator does."""
    uploader = Uploader(client, retry_budget=60.0, change_detection="always")
    return uploader.upload(list_sources(job.path), job.folder_id).files[0].id


def upload_with_requests(job: Job, url: str) -> None:
    """Upload with a plain loop: blocks, one after the other."""
    names = []
    with requests.Session() as session:
        session.trust_env = False
        for name, part in _blocks(job.path, job.size):
            names.append(name)
            session.put(f"{url}&comp=block&blockid={name}", data=part, timeout=60).raise_for_status()
        session.put(f"{url}&comp=blocklist", data=_list_of(names), timeout=60).raise_for_status()


async def upload_with_aiohttp(job: Job, url: str) -> None:
    """Upload with four coroutines that take the next block in turn."""
    import aiohttp
    from yarl import URL

    names: list[str] = []
    blocks = _blocks(job.path, job.size)

    async def send(session: aiohttp.ClientSession) -> None:
        for name, part in blocks:
            names.append(name)
            async with session.put(URL(f"{url}&comp=block&blockid={name}", encoded=True), data=part) as response:
                response.raise_for_status()

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(send(session) for _ in range(4)))
        async with session.put(URL(f"{url}&comp=blocklist", encoded=True), data=_list_of(sorted(names))) as response:
            response.raise_for_status()


def upload_with_azure(job: Job, url: str) -> None:
    """Upload with ``azure-storage-blob``."""
    from azure.storage.blob import BlobClient

    with (
        BlobClient.from_blob_url(url, max_block_size=_BLOCK, max_single_put_size=_BLOCK) as blob,
        Path(job.path).open("rb") as stream,
    ):
        blob.upload_blob(stream, overwrite=True, max_concurrency=4, length=job.size)


def download_with_ours(job: Job, client: ITwinClient, target: Path) -> None:
    """Download as the operator does."""
    with closing(BlobTransport(client.account)) as blobs:
        Download(client, blobs, job.file_id, lambda name, file_id: LocalTarget(target), retry_budget=60.0).run()


def download_with_requests(job: Job, url: str, target: Path) -> None:
    """Download with a plain loop."""
    with requests.get(url, stream=True, timeout=60) as response, target.open("wb") as stream:
        for part in response.iter_content(_MIB):
            stream.write(part)


async def download_with_aiohttp(job: Job, url: str, target: Path) -> None:
    """Download with a plain loop."""
    import aiohttp
    from yarl import URL

    async with aiohttp.ClientSession() as session, session.get(URL(url, encoded=True)) as response:
        with target.open("wb") as stream:
            async for part in response.content.iter_chunked(_MIB):
                stream.write(part)


def download_with_azure(job: Job, url: str, target: Path) -> None:
    """Download with ``azure-storage-blob``."""
    from azure.storage.blob import BlobClient

    with BlobClient.from_blob_url(url) as blob, target.open("wb") as stream:
        blob.download_blob(max_concurrency=4).readinto(stream)


def transfer(subject: str, job: Job) -> dict[str, Any]:
    """Transfer the file once, and return the figures."""
    with job.client() as client, tempfile.TemporaryDirectory(prefix="itwin-transfer-") as name:
        target = Path(name, "file")
        before = _peak()
        began = time.monotonic()
        file_id = job.file_id
        if job.direction == "upload":
            file_id = _upload(subject, job, client)
        elif subject == "ours":
            download_with_ours(job, client, target)
        else:
            url = client.call(endpoints.download_file(job.file_id))
            if subject == "aiohttp":
                asyncio.run(download_with_aiohttp(job, url, target))
            else:
                (download_with_requests if subject == "requests" else download_with_azure)(job, url, target)
        seconds = time.monotonic() - began
        if job.direction == "download" and target.stat().st_size != job.size:
            raise MeasurementError(f"{subject} received {target.stat().st_size} bytes")
        return {"seconds": seconds, "memory": _peak() - before, "file_id": file_id}


def _upload(subject: str, job: Job, client: ITwinClient) -> str:
    if subject == "ours":
        return upload_with_ours(job, client)
    upload = client.call(endpoints.create_file(job.folder_id, f"{subject}-{time.time_ns()}.dgn"))
    if subject == "aiohttp":
        asyncio.run(upload_with_aiohttp(job, upload.url))
    else:
        (upload_with_requests if subject == "requests" else upload_with_azure)(job, upload.url)
    return client.call(endpoints.complete_file(upload.file_id)).file.id or ""


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        _say(transfer(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Job)))
