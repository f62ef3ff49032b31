"""Index of connections. Lookups cost the same for ten connections and for ten thousand."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter

from itwin_emulator.domain.entities import Connection
from itwin_emulator.domain.kinds import Kind
from itwin_emulator.domain.source_files import SourceFile

_IndexKey = tuple[str, str, Kind | None]
_serial = attrgetter("serial")


class Catalog(Mapping[str, Connection]):
    """All connections by id; also indexed by kind, iModel, iTwin and file."""

    def __init__(self) -> None:
        self._by_id: dict[str, Connection] = {}
        self._index: dict[_IndexKey, list[Connection]] = {}
        self._mapped: dict[tuple[str, Kind, str], int] = {}
        self._names: dict[str, str] = {}
        self._itwins: dict[str, str] = {}
        self._last_serial = 0

    def __getitem__(self, connection_id: str) -> Connection:
        return self._by_id[connection_id]

    def __contains__(self, connection_id: object) -> bool:
        return connection_id in self._by_id

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    # Connections

    def add(self, connection: Connection, itwin_id: str) -> None:
        """Add a connection. ``itwin_id`` is the iTwin of its iModel."""
        self._last_serial += 1
        connection.serial = self._last_serial
        self._by_id[connection.id] = connection
        self._itwins[connection.id] = itwin_id
        for key in self._index_keys(connection):
            self._index.setdefault(key, []).append(connection)
        for file in connection.files:
            self._count_file(connection, file, 1)

    def remove(self, connection: Connection) -> None:
        """Remove a connection."""
        for file in connection.files:
            self._count_file(connection, file, -1)
        for key in self._index_keys(connection):
            indexed = self._index[key]
            del indexed[bisect_left(indexed, connection.serial, key=_serial)]
            if not indexed:
                del self._index[key]
        del self._by_id[connection.id], self._itwins[connection.id]

    def of_kind(self, kind: Kind) -> Sequence[Connection]:
        """Return the connections of a kind, oldest first (as all lists here)."""
        return self._index.get(("kind", "", kind), ())

    def of_imodel(self, imodel_id: str, kind: Kind | None) -> Sequence[Connection]:
        """Return the connections of an iModel, of one kind or of all kinds (None)."""
        return self._index.get(("imodel", imodel_id, kind), ())

    def of_itwins(self, itwin_ids: Iterable[str], kind: Kind) -> Sequence[Connection]:
        """Return the connections of several iTwins."""
        parts = [part for key in itwin_ids if (part := self._index.get(("itwin", key, kind)))]
        if len(parts) < 2:
            return parts[0] if parts else ()
        return sorted(chain.from_iterable(parts), key=_serial)

    def _index_keys(self, connection: Connection) -> tuple[_IndexKey, ...]:
        return (
            ("kind", "", connection.kind),
            ("imodel", connection.imodel_id, None),
            ("imodel", connection.imodel_id, connection.kind),
            ("itwin", self._itwins[connection.id], connection.kind),
        )

    # Files

    def add_file(self, connection: Connection, file: SourceFile) -> None:
        """Add a file to a connection."""
        connection.files.append(file)
        self._count_file(connection, file, 1)

    def replace_file(self, connection: Connection, old: SourceFile, new: SourceFile) -> None:
        """Replace a file; past runs keep the old one."""
        connection.files[_position(connection.files, old)] = new
        self._count_file(connection, old, -1)
        self._count_file(connection, new, 1)

    def remove_file(self, connection: Connection, file: SourceFile) -> None:
        """Remove a file from a connection."""
        del connection.files[_position(connection.files, file)]
        self._count_file(connection, file, -1)

    def is_mapped(self, imodel_id: str, kind: Kind, file_id: str) -> bool:
        """Return whether a connection of this iModel and kind has the file."""
        return (imodel_id, kind, file_id) in self._mapped

    def last_known_name(self, file_id: str) -> str | None:
        """Return the last known name of a file in any connection."""
        return self._names.get(file_id)

    def _count_file(self, connection: Connection, file: SourceFile, by: int) -> None:
        key = (connection.imodel_id, connection.kind, file.file_id)
        count = self._mapped.get(key, 0) + by
        if count > 0:
            self._mapped[key] = count
        else:
            self._mapped.pop(key, None)
        if by > 0:
            self._names[file.file_id] = file.name


def _position(files: Sequence[SourceFile], wanted: SourceFile) -> int:
    return next(index for index, file in enumerate(files) if file is wanted)
