from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_metadata import DISTRIBUTION, write_metadata

pytest_plugins = ["pytester"]

TEST = """
    import os
    import urllib.request
    import pytest

    def test_it(itwin_emulator, itwin_airflow_connection):
        assert itwin_airflow_connection == "itwin_default"
        assert itwin_emulator.url in os.environ["AIRFLOW_CONN_ITWIN_DEFAULT"]
        assert itwin_emulator.connection_ids() == []
        urllib.request.urlopen(f"{itwin_emulator.url}/openapi.json").close()

    def test_each_test_has_its_own(itwin_emulator):
        itwin_emulator.add_connection(connection_id="c")

    def test_each_test_has_its_own_again(itwin_emulator):
        assert itwin_emulator.connection_ids() == []
        assert "AIRFLOW_CONN_ITWIN_DEFAULT" not in os.environ
"""
SCENARIOS = """
    import pytest

    ONE = {"connection": [{"id": "one"}]}

    @pytest.mark.itwin_scenario("demo", speed=7, tier="community")
    def test_marker(itwin_emulator):
        assert "demo-storage-connection" in itwin_emulator.connection_ids()
        assert itwin_emulator.clock.speed == 7
        assert itwin_emulator.rate_limiter.tier == "community"

    @pytest.mark.parametrize("itwin_emulator", ["demo", ONE, None], indirect=True, ids=str)
    def test_parameter(itwin_emulator, request):
        expected = {"demo": 8, str(ONE): 1, "None": 0}[request.node.callspec.id]
        assert len(itwin_emulator.connection_ids()) == expected

    @pytest.mark.itwin_scenario("queue")
    @pytest.mark.parametrize("itwin_emulator", [ONE], indirect=True)
    def test_parameter_precedes_marker(itwin_emulator):
        assert itwin_emulator.connection_ids() == ["one"]
"""


@pytest.fixture
def session(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A pytest session of its own, in an environment in which the distribution is installed."""
    paths = (write_metadata(tmp_path / "metadata"), DISTRIBUTION)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("AIRFLOW_CONN_ITWIN_DEFAULT", raising=False)
    return pytester


def test_fixtures(session: pytest.Pytester) -> None:
    session.makepyfile(TEST)
    session.runpytest_subprocess("--strict-markers").assert_outcomes(passed=3)


def test_scenarios(session: pytest.Pytester) -> None:
    session.makepyfile(SCENARIOS)
    session.runpytest_subprocess("--strict-markers").assert_outcomes(passed=5)


@pytest.mark.parametrize(
    ("marker", "error"),
    [("'demo', 'queue'", "one positional argument"), ("'nope'", "no scenario file 'nope'")],
)
def test_invalid_scenario(session: pytest.Pytester, marker: str, error: str) -> None:
    session.makepyfile(
        f"import pytest\n@pytest.mark.itwin_scenario({marker})\ndef test_it(itwin_emulator):\n    pass\n"
    )
    result = session.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    assert error in result.stdout.str()


def test_can_be_disabled(session: pytest.Pytester) -> None:
    session.makepyfile("def test_it(itwin_emulator):\n    pass\n")
    result = session.runpytest_subprocess("-p", "no:itwin_emulator")
    result.assert_outcomes(errors=1)
    assert "fixture 'itwin_emulator' not found" in result.stdout.str()


def test_is_registered_once(session: pytest.Pytester) -> None:
    session.makepyfile("def test_it():\n    pass\n")
    output = session.runpytest_subprocess("--trace-config").stdout.str()
    assert output.count("PLUGIN registered: <module 'itwin_emulator.pytest_plugin'") == 1
    assert session.runpytest_subprocess("--markers").stdout.str().count("@pytest.mark.itwin_scenario(") == 1


def test_import_is_cheap() -> None:
    code = "import sys, itwin_emulator.pytest_plugin; print(*sorted(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(DISTRIBUTION)}
    modules = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert [name for name in modules if name.startswith("itwin_emulator")] == [
        "itwin_emulator",
        "itwin_emulator.pytest_plugin",
    ]
    assert not {"aiohttp", "airflow", "asyncio"} & set(modules)


def test_public_names_are_imported_on_first_use() -> None:
    import itwin_emulator

    assert all(getattr(itwin_emulator, name) for name in itwin_emulator.__all__)
    assert set(itwin_emulator._MODULES) == set(itwin_emulator.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        _ = itwin_emulator.Nope
