"""When to write the state file: at once as long as that is quick, and from time to time once the state is large."""

from __future__ import annotations

import threading
import time

from itwin_emulator.admin.state_file import StateFile
from itwin_emulator.domain.store import Platform
from itwin_emulator.http.oauth import TokenDesk

QUICK = 0.05
"""Seconds that a request may be kept waiting because the state is being written."""
PATIENCE = 20.0
"""Writing may take the twentieth part of the time."""


class Keeper:
    """Keeps the state of an emulator in a file."""

    def __init__(self, file: StateFile, platform: Platform, desk: TokenDesk) -> None:
        self._file = file
        self._platform = platform
        self._desk = desk
        self._cost = 0.0
        self._failure: OSError | None = None
        self._lock = threading.Lock()
        self._dirty = threading.Event()
        self._enough = threading.Event()
        self._thread: threading.Thread | None = None

    def load(self) -> bool:
        """Go on with what the file says, and tell whether there is any."""
        if not self._file.exists():
            return False
        self._file.load(self._platform, self._desk)
        return True

    def changed(self) -> None:
        """Hear that something worth keeping has changed."""
        with self._lock:
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
            if self._cost < QUICK:
                self._save()
                return
            self._dirty.set()
            if self._thread is None:
                self._enough.clear()
                self._thread = threading.Thread(target=self._go_on_saving, name="itwin-emulator-state", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write what has not been written yet."""
        self._enough.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._dirty.is_set():
            self._save()

    def _go_on_saving(self) -> None:
        while not self._enough.wait(max(1.0, PATIENCE * self._cost)):
            if not self._dirty.is_set():
                continue
            try:
                self._save()
            except OSError as error:
                # Told to whoever changes something next.
                self._failure = error

    def _save(self) -> None:
        # Before, since what changes meanwhile may be told or not.
        self._dirty.clear()
        began = time.monotonic()
        try:
            self._file.save(self._platform, self._desk)
        except BaseException:
            self._dirty.set()
            raise
        self._cost = time.monotonic() - began
