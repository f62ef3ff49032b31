"""What a process holds on to, and whether that grows."""

from __future__ import annotations

import asyncio
import contextlib
import gc
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
"""Part by which memory may have grown: caches fill, and numbers get longer."""


def open_sessions() -> int:
    """Count the clients that are lent."""
    return sum(len(leases) for leases in client_pool._leases.values())


def sockets() -> int:
    """Count the TCP sockets of this process, on which it talks to itself: two for each conversation."""
    return sum(target.startswith("socket:") for target in _descriptors())


def _descriptors() -> list[str]:
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        # The one with which the folder is read is gone by the time that it is asked about.
        with contextlib.suppress(FileNotFoundError):
            targets.append(str(descriptor.readlink()))
    return targets


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20


@dataclass(frozen=True)
class State:
    """What is left when everybody has gone home."""

    blocks: int
    """Blocks of memory that Python has allocated."""
    objects: int
    sessions: int
    """Sessions of either HTTP library, and clients that are lent."""
    sockets: int
    files: int
    threads: int
    tasks: int
    rss: int
    """MiB that the process has in memory."""

    @classmethod
    def now(cls) -> Self:
        """Take stock."""
        gc.collect()
        gc.collect()
        things = gc.get_objects()
        # Not isinstance: what only stands for something to be imported later would import it when asked.
        held = sum(issubclass(type(thing), aiohttp.ClientSession | requests.Session) for thing in things)
        count = len(things)
        del things
        return cls(
            blocks=sys.getallocatedblocks(),
            objects=count,
            sessions=held + open_sessions(),
            sockets=sockets(),
            files=len(_descriptors()),
            threads=threading.active_count(),
            tasks=len(asyncio.all_tasks()),
            rss=_resident(),
        )

    @property
    def line(self) -> str:
        """The state in a line."""
        return f"{self.objects:,} objects {self.blocks:,} blocks {self.sessions} sessions {self.sockets} sockets {self.rss} MiB"

    def drift_since(self, settled: State) -> list[str]:
        """Say what has grown since, in words; nothing if nothing has."""
        grown = []
        for name in ("blocks", "objects"):
            before, after = getattr(settled, name), getattr(self, name)
            if after > before * (1 + _GROWTH):
                grown.append(f"{name}: {before:,} became {after:,}")
        for name in ("sessions", "sockets", "files", "threads", "tasks"):
            before, after = getattr(settled, name), getattr(self, name)
            # One conversation of the night may have left its two ends to be closed.
            if after > before + (2 if name in ("sockets", "files") else 0):
                grown.append(f"{name}: {before} became {after}")
        return grown
