"""
The pytest plugin: fixtures for tests against the emulator.

pytest loads it through its entry point; ``-p no:itwin_emulator`` disables it. The emulator is imported
only when a fixture is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from itwin_emulator.emulator import Emulator

AIRFLOW_CONNECTION_ID = "itwin_default"
DEFAULT_SPEED = 1_000_000.0
"""Emulated seconds per real second: a run of one hour takes 3.6 milliseconds."""
MARKER = "itwin_scenario"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(scenario=None, **options): the scenario of the fixture itwin_emulator (a built-in name, a path or a dict), "
        "and other parameters of Emulator, such as speed",
    )


@pytest.fixture
def itwin_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """
    Return a running emulator, a new one for each test. It has no connections unless a scenario is set.

    Set the scenario with ``@pytest.mark.itwin_scenario("demo")``, or with
    ``@pytest.mark.parametrize("itwin_emulator", ["demo"], indirect=True)``.
    """
    from itwin_emulator.emulator import Emulator

    with Emulator(**_options(request)) as emulator:
        yield emulator


@pytest.fixture
def itwin_airflow_connection(itwin_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment variable of the Airflow connection ``itwin_default`` to the emulator, and return the connection id."""
    connection = {
        "conn_type": "itwin",
        "host": itwin_emulator.url,
        "login": itwin_emulator.client_id,
        "password": itwin_emulator.client_secret,
    }
    monkeypatch.setenv(f"AIRFLOW_CONN_{AIRFLOW_CONNECTION_ID.upper()}", json.dumps(connection))
    return AIRFLOW_CONNECTION_ID


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the parameters of the emulator. The parameter of the fixture precedes the closest marker."""
    options: dict[str, Any] = {"speed": DEFAULT_SPEED}
    marker = request.node.get_closest_marker(MARKER)
    if marker is not None:
        if len(marker.args) > 1:
            raise ValueError(f"{MARKER} takes one positional argument, the scenario; got {len(marker.args)}")
        options |= marker.kwargs
        if marker.args:
            options["scenario"] = marker.args[0]
    if getattr(request, "param", None) is not None:
        options["scenario"] = request.param
    return options
