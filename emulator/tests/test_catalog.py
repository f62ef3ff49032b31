from __future__ import annotations

import random

import pytest

from itwin_emulator import Emulator, ManualClock
from itwin_emulator.domain.entities import Client
from itwin_emulator.domain.kinds import KINDS
from itwin_emulator.domain.source_files import SourceFile
from itwin_emulator.domain.store import NewestFirst
from platform_client import STORAGE, Api


def test_lists_equal_a_scan_of_all_connections(emulator: Emulator) -> None:
    store, chance = emulator.store, random.Random(1)
    for number in range(9):
        emulator.add_imodel(f"m-{number}", f"t-{number % 3}")
    guest = Client("guest", "secret")
    for itwin in ("t-0", "t-2"):
        store.itwins[itwin].members[guest.id] = "reader"
    everybody = store.clients[emulator.client_id]
    for _ in range(300):
        if len(store.connections) > 40 or (store.connections and chance.random() < 0.3):
            store.remove_connection(chance.choice(list(store.connections.values())))
        else:
            emulator.add_connection(chance.choice(list(KINDS)), imodel_id=f"m-{chance.randrange(9)}", files=1)
        kind, imodel = chance.choice(list(KINDS)), f"m-{chance.randrange(9)}"
        for client in (everybody, guest):
            seen = [one for one in store.connections.values() if store.role(client, one.imodel_id)]
            assert list(store.list_connections(client, kind, None)) == [one for one in seen if one.kind == kind]
            of_imodel = [one for one in seen if one.imodel_id == imodel]
            assert list(store.list_connections(client, None, imodel)) == of_imodel
            assert list(store.list_connections(client, kind, imodel)) == [one for one in of_imodel if one.kind == kind]


def test_which_files_are_mapped(emulator: Emulator) -> None:
    catalog = emulator.store.connections
    one = catalog[emulator.add_connection(imodel_id="m", files=[])]
    other = catalog[emulator.add_connection(imodel_id="m", files=[])]
    file, twin, new = SourceFile("f", "a.dgn"), SourceFile("f", "b.dgn"), SourceFile("g", "c.dgn")
    catalog.add_file(one, file)
    catalog.add_file(other, twin)
    assert catalog.is_mapped("m", "storage", "f")
    assert not catalog.is_mapped("m", "manifest", "f")
    assert not catalog.is_mapped("n", "storage", "f")
    assert catalog.last_known_name("f") == "b.dgn"
    catalog.remove_file(one, file)
    assert catalog.is_mapped("m", "storage", "f")
    catalog.replace_file(other, twin, new)
    assert not catalog.is_mapped("m", "storage", "f")
    assert catalog.is_mapped("m", "storage", "g")
    emulator.store.remove_connection(other)
    assert not catalog.is_mapped("m", "storage", "g")
    assert (one.files, other.files) == ([], [new])


def test_a_file_can_go_where_it_was_removed(api: Api, emulator: Emulator) -> None:
    file = {"storageFileId": "f", "connectorType": "MSTN"}
    one, other = (emulator.add_connection(imodel_id="m", files=[]) for _ in range(2))
    added = api.post(f"{STORAGE}/{one}/sourcefiles", file).json()["sourceFile"]
    assert api.post(f"{STORAGE}/{other}/sourcefiles", file).status_code == 409
    api.call("DELETE", f"{STORAGE}/{one}/sourcefiles/{added['id']}")
    assert api.post(f"{STORAGE}/{other}/sourcefiles", file).status_code == 201
    api.call("DELETE", f"{STORAGE}/{other}")
    assert api.post(f"{STORAGE}/{one}/sourcefiles", file).status_code == 201


def test_a_deleted_connection_keeps_its_imodel_busy(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    one, other = (emulator.add_connection(imodel_id="m") for _ in range(2))
    location = api.start("storage", one).headers["Location"]
    api.call("DELETE", f"{STORAGE}/{one}")
    assert api.get(location).status_code == 404
    assert api.start("storage", other).status_code == 303
    assert emulator.controls.dashboard()["active"] == 1
    clock.advance(3000)
    assert emulator.controls.dashboard()["active"] == 0


@pytest.mark.parametrize("part", [slice(0, 3), slice(2, 100), slice(9, 3), slice(None), slice(-2, None)])
def test_newest_first(emulator: Emulator, clock: ManualClock, part: slice) -> None:
    connection = emulator.store.connections[emulator.add_connection()]
    runs = [
        emulator.store.new_run(connection, (), connection.default_plan, clock.now() + number) for number in range(7)
    ]
    backwards = NewestFirst(runs, 5)
    assert list(backwards) == runs[4::-1]
    assert backwards[part] == runs[4::-1][part]
    assert backwards[-1] is runs[0]
