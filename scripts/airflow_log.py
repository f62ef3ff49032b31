"""Follow the JSON log of an Airflow process, and write a plain-text copy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OMITTED = {"timestamp", "level", "event", "logger", "filename", "lineno", "exception", "error_detail"}


@dataclass(frozen=True)
class LogEntry:
    """One log entry."""

    moment: datetime
    level: str
    logger: str
    event: str
    more: dict[str, Any]

    @classmethod
    def read(cls, line: str) -> LogEntry:
        """Parse a line. A line that is not JSON (the output of a task) becomes an entry without a logger."""
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        if not isinstance(values, dict):
            values = {"event": line}
        moment = datetime.fromisoformat(values["timestamp"]) if "timestamp" in values else datetime.now(UTC)
        more = {name: value for name, value in values.items() if name not in ("timestamp", "level", "event", "logger")}
        return cls(
            moment, str(values.get("level", "info")), str(values.get("logger", "")), str(values.get("event", "")), more
        )

    def __str__(self) -> str:
        if not self.logger:
            return self.event
        rest = [f"{name}={value}" for name, value in self.more.items() if name not in _OMITTED]
        text = " ".join(
            [f"{self.moment:%Y-%m-%dT%H:%M:%S.%fZ}", f"{self.level:<8}", f"{self.logger}:", self.event, *rest]
        )
        return "\n".join([text, *self._tracebacks()])

    def _tracebacks(self) -> Iterator[str]:
        for error in self.more.get("exception") or self.more.get("error_detail") or ():
            for frame in error.get("frames", ()):
                yield f'    File "{frame["filename"]}", line {frame["lineno"]}, in {frame["name"]}'
            yield f"  {error.get('exc_type')}: {error.get('exc_value')}"


class LogFollower:
    """
    Reads a JSON log while it is written.

    :param source: the log; it may not exist yet
    :param readable: file for the plain-text copy
    """

    def __init__(self, source: Path, readable: Path) -> None:
        self._source = source
        self._readable = readable
        self._position = 0

    def new_entries(self) -> list[LogEntry]:
        """Return the complete lines that were written since the last call."""
        try:
            with self._source.open("rb") as file:
                file.seek(self._position)
                chunk = file.read()
        except FileNotFoundError:
            return []
        whole = chunk[: chunk.rfind(b"\n") + 1]
        self._position += len(whole)
        entries = [LogEntry.read(line) for line in whole.decode("utf-8", "replace").splitlines()]
        with self._readable.open("a", encoding="utf-8") as file:
            file.writelines(f"{entry}\n" for entry in entries)
        return entries
