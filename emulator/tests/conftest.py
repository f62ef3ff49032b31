from __future__ import annotations

from collections.abc import Iterator

import pytest

from itwin_emulator import Emulator, ManualClock
from platform_client import Api
from storage_client import StorageApi


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(speed=60)


@pytest.fixture
def emulator(clock: ManualClock) -> Iterator[Emulator]:
    with Emulator(clock=clock) as running:
        yield running


@pytest.fixture
def api(emulator: Emulator) -> Api:
    return Api(emulator.url, emulator.client_id, emulator.client_secret)


@pytest.fixture
def demo(clock: ManualClock) -> Iterator[Emulator]:
    with Emulator(clock=clock, scenario="demo") as running:
        yield running


@pytest.fixture
def storage(emulator: Emulator, api: Api) -> StorageApi:
    return StorageApi(api, emulator.add_itwin("itwin"))
