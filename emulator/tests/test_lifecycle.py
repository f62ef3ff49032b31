from __future__ import annotations

import ast
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

import itwin_emulator as package
from itwin_emulator import Emulator, ManualClock
from platform_client import Api

FOLDER = Path(package.__file__).parent


def test_two_at_once(clock: ManualClock) -> None:
    with Emulator(clock=clock) as one, Emulator(clock=clock) as other:
        assert one.url != other.url
        assert Api(other.url, one.client_id, one.client_secret).ask_token().status_code == 200


def test_nothing_is_left_behind() -> None:
    before = threading.active_count()
    with Emulator() as emulator:
        url = emulator.url
    assert threading.active_count() == before
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=1)


def test_a_port_can_be_used_again_at_once() -> None:
    with Emulator() as first:
        port = first.port
        requests.get(first.url, timeout=5)
    with Emulator(port=port) as second:
        assert second.port == port
        assert requests.get(second.url, timeout=5).status_code == 200


def test_starting_twice_is_a_mistake() -> None:
    with Emulator() as emulator, pytest.raises(RuntimeError, match="already"):
        emulator.start()
    emulator.stop()


def test_no_business_on_a_network() -> None:
    with pytest.raises(ValueError, match="loopback"):
        Emulator(host="0.0.0.0")


def test_ipv6_and_names() -> None:
    for host in ("::1", "localhost"):
        try:
            with Emulator(host=host) as emulator:
                assert requests.get(f"{emulator.url}/emulator", timeout=5).status_code == 200
        except OSError as error:
            pytest.skip(f"no {host} here: {error}")


def test_a_clock_only_goes_forward() -> None:
    with pytest.raises(ValueError, match="back"):
        ManualClock().advance(-1)


def test_import_costs_little() -> None:
    code = (
        "import sys, itwin_emulator\n"
        "print([name for name in ('aiohttp', 'airflow', 'requests', 'msgspec') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"


def test_the_emulator_imports_only_aiohttp() -> None:
    for path in sorted(FOLDER.rglob("*.py")):
        # pytest is no dependency: only pytest itself loads the plugin.
        allowed = set(sys.stdlib_module_names) | {"pytest" if path.name == "pytest_plugin.py" else "aiohttp"}
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                own = name.startswith("itwin_emulator")
                assert own or name.partition(".")[0] in allowed, f"{path.name} imports {name}"


def test_modules_stay_small() -> None:
    assert {
        path.name: lines for path in FOLDER.rglob("*.py") if (lines := len(path.read_text().splitlines())) > 400
    } == {}


def test_functions_stay_short() -> None:
    assert {
        f"{path.name}:{node.name}": lines
        for path in FOLDER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > 60
    } == {}


def test_controls_are_thread_safe(emulator: Emulator, api: Api) -> None:
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                connection = emulator.add_connection(imodel_id=f"m{number % 3}")
                emulator.plan_run(connection, duration=1)
                emulator.start_run(connection)
                emulator.runs(connection)
                emulator.controls.dashboard()
                own = Api(emulator.url, emulator.client_id, emulator.client_secret)
                own._token = token
                assert own.start("storage", connection).status_code == 303
        except Exception as error:  # noqa: BLE001 -- raised by the test
            errors.append(error)

    token = api.token
    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(emulator.connection_ids()) == 120
