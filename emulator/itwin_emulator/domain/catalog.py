"""
The connections of the platform, filed under whatever they are asked for by.

So an answer costs the same among ten of them and among ten thousand.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter

from itwin_emulator.domain.entities import Connection, SourceFile
from itwin_emulator.domain.kinds import Kind

_Drawer = tuple[str, str, Kind | None]
_serial = attrgetter("serial")


class Catalog(Mapping[str, Connection]):
    """All connections by their ids; also by kind, by iModel, by iTwin, and by the files that they have."""

    def __init__(self) -> None:
        self._by_id: dict[str, Connection] = {}
        self._drawers: dict[_Drawer, list[Connection]] = {}
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
        """File a connection whose iModel belongs to an iTwin."""
        self._last_serial += 1
        connection.serial = self._last_serial
        self._by_id[connection.id] = connection
        self._itwins[connection.id] = itwin_id
        for drawer in self._drawers_of(connection):
            self._drawers.setdefault(drawer, []).append(connection)
        for file in connection.files:
            self._note(connection, file, 1)

    def remove(self, connection: Connection) -> None:
        """Take a connection out."""
        for file in connection.files:
            self._note(connection, file, -1)
        for drawer in self._drawers_of(connection):
            filed = self._drawers[drawer]
            del filed[bisect_left(filed, connection.serial, key=_serial)]
            if not filed:
                del self._drawers[drawer]
        del self._by_id[connection.id], self._itwins[connection.id]

    def of_kind(self, kind: Kind) -> Sequence[Connection]:
        """Give the connections of a kind, oldest first, as all the lists here are."""
        return self._drawers.get(("kind", "", kind), ())

    def of_imodel(self, imodel_id: str, kind: Kind | None) -> Sequence[Connection]:
        """Give the connections of an iModel, of one kind or of all."""
        return self._drawers.get(("imodel", imodel_id, kind), ())

    def of_itwins(self, itwin_ids: Iterable[str], kind: Kind) -> Sequence[Connection]:
        """Give the connections of some iTwins."""
        parts = [part for key in itwin_ids if (part := self._drawers.get(("itwin", key, kind)))]
        if len(parts) < 2:
            return parts[0] if parts else ()
        return sorted(chain.from_iterable(parts), key=_serial)

    def _drawers_of(self, connection: Connection) -> tuple[_Drawer, ...]:
        return (
            ("kind", "", connection.kind),
            ("imodel", connection.imodel_id, None),
            ("imodel", connection.imodel_id, connection.kind),
            ("itwin", self._itwins[connection.id], connection.kind),
        )

    # Files

    def add_file(self, connection: Connection, file: SourceFile) -> None:
        """Give a connection another file."""
        connection.files.append(file)
        self._note(connection, file, 1)

    def replace_file(self, connection: Connection, old: SourceFile, new: SourceFile) -> None:
        """Put a file in the place of another; past runs go on telling of the old one."""
        connection.files[_position(connection.files, old)] = new
        self._note(connection, old, -1)
        self._note(connection, new, 1)

    def remove_file(self, connection: Connection, file: SourceFile) -> None:
        """Take a file away from a connection."""
        del connection.files[_position(connection.files, file)]
        self._note(connection, file, -1)

    def is_mapped(self, imodel_id: str, kind: Kind, file_id: str) -> bool:
        """Tell whether a connection of the iModel, of the same kind, has the file."""
        return (imodel_id, kind, file_id) in self._mapped

    def last_known_name(self, file_id: str) -> str | None:
        """Give the name of a file under which it was seen last, in whatever connection."""
        return self._names.get(file_id)

    def _note(self, connection: Connection, file: SourceFile, by: int) -> None:
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
