"""Fixtures of the tests of the client; hypothesis uses the same examples each time and has no deadline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.api.drivers import DRIVERS, Driver, World, driver

settings.register_profile(
    "api",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("api")


@pytest.fixture
def world() -> Iterator[World]:
    """An iTwin Platform of its own for each test."""
    world = World()
    with world.emulator:
        yield world


@pytest.fixture(params=DRIVERS)
def client(request: pytest.FixtureRequest, world: World) -> Iterator[Driver]:
    """Each of the two clients in turn."""
    with driver(request.param, world) as made:
        yield made
