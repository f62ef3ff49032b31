"""Resources that a process holds, and whether they grow."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import resource
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
import requests

from airflow_provider_itwin.api import client_pool

_GROWTH = 0.01
"""Allowed relative growth of memory: caches fill, and numbers get longer."""


def open_sessions() -> int:
    """Count the leased clients."""
    return sum(len(leases) for leases in client_pool._leases.values())


def sockets() -> int:
    """Count the TCP sockets of this process; a connection to the emulator has two, since both ends are in this process."""
    return sum(target.startswith("socket:") for target in _descriptors())


def _descriptors() -> list[str]:
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        # The descriptor that reads the folder is closed by now.
        with contextlib.suppress(FileNotFoundError):
            targets.append(str(descriptor.readlink()))
    return targets


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20


@dataclass(frozen=True)
class State:
    """The resources of the process at the end of a night."""

    blocks: int
    """Blocks of memory that Python has allocated."""
    objects: int
    sessions: int
    """Sessions of both HTTP libraries, and leased clients."""
    sockets: int
    files: int
    threads: int
    tasks: int
    rss: int
    """Resident memory in MiB."""

    @classmethod
    def now(cls) -> Self:
        """Measure the current state."""
        gc.collect()
        gc.collect()
        everything = gc.get_objects()
        # Not isinstance: a lazy import proxy would import its target.
        held = sum(issubclass(type(item), aiohttp.ClientSession | requests.Session) for item in everything)
        count = len(everything)
        del everything
        return cls(
            blocks=sys.getallocatedblocks(),
            objects=count,
            sessions=held + open_sessions(),
            sockets=sockets(),
            files=len(_descriptors()),
            # An executor starts its threads when it needs them, so their number grows up to its limit.
            threads=sum(
                not re.match(r"asyncio_\d+|ThreadPoolExecutor-", thread.name) for thread in threading.enumerate()
            ),
            tasks=len(asyncio.all_tasks()),
            rss=_resident(),
        )

    @property
    def line(self) -> str:
        """The state in one line."""
        return f"{self.objects:,} objects {self.blocks:,} blocks {self.sessions} sessions {self.sockets} sockets {self.rss} MiB"

    def drift_since(self, settled: State) -> list[str]:
        """Describe what has grown since `settled`."""
        grown = []
        for name in ("blocks", "objects"):
            before, after = getattr(settled, name), getattr(self, name)
            if after > before * (1 + _GROWTH):
                grown.append(f"{name}: {before:,} became {after:,}")
        for name in ("sessions", "sockets", "files", "threads", "tasks"):
            before, after = getattr(settled, name), getattr(self, name)
            # One connection of the night may not be closed yet; it has two sockets.
            if after > before + (2 if name in ("sockets", "files") else 0):
                grown.append(f"{name}: {before} became {after}")
        return grown
