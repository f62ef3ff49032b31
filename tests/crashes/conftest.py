"""One Airflow for all crash tests; scenarios that do not stop any of its components run in it concurrently."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .crash_deployment import SHORT_TIMEOUTS, CrashDeployment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    Scenario = Callable[[CrashDeployment], None]

HERE = Path(__file__).parent
MAX_CONCURRENT = 6
SCENARIO_TIMEOUT = 600.0


@pytest.fixture(scope="package")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashDeployment]:
    with CrashDeployment(
        tmp_path_factory.mktemp("airflow"), sorted((HERE / "dags").glob("*.py")), SHORT_TIMEOUTS
    ) as deployment:
        yield deployment


@pytest.fixture(scope="package")
def scenarios(deployment: CrashDeployment, request: pytest.FixtureRequest) -> Iterator[dict[Scenario, Future[None]]]:
    """All selected scenarios, started."""
    parameters: list[dict[str, Any]] = [
        item.callspec.params
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path.parent == HERE and hasattr(item, "callspec")
    ]
    selected: list[Scenario] = [values["scenario"] for values in parameters if "scenario" in values]
    pool = ThreadPoolExecutor(MAX_CONCURRENT)
    try:
        yield {scenario: pool.submit(scenario, deployment) for scenario in selected}
    finally:
        # After an interrupt, scenarios that have not started must not start.
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def finish(scenarios: dict[Scenario, Future[None]]) -> Callable[[Scenario], None]:
    """Return a function that waits for a scenario to end, and raises the error of the scenario."""
    return lambda scenario: scenarios[scenario].result(SCENARIO_TIMEOUT)


@pytest.fixture(scope="package")
def idle_deployment(deployment: CrashDeployment, scenarios: dict[Scenario, Future[None]]) -> CrashDeployment:
    """The Airflow, after all scenarios have ended."""
    wait(scenarios.values(), SCENARIO_TIMEOUT)
    return deployment


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    for name in ("deployment", "idle_deployment"):
        deployment = getattr(item, "funcargs", {}).get(name)
        if report.failed and isinstance(deployment, CrashDeployment):
            report.sections.append(("Airflow's processes", deployment.last_output()))
    return report
