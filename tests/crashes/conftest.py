"""One Airflow for all crash tests; the scenes that leave it alone are played in it side by side."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .crash_deployment import IMPATIENT, CrashDeployment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    Scene = Callable[[CrashDeployment], None]

HERE = Path(__file__).parent
AT_ONCE = 6
LONGEST = 600.0


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashDeployment]:
    with CrashDeployment(tmp_path_factory.mktemp("airflow"), sorted((HERE / "dags").glob("*.py")), IMPATIENT) as stage:
        yield stage


@pytest.fixture(scope="package")
def scenes(stage: CrashDeployment, request: pytest.FixtureRequest) -> Iterator[dict[Scene, Future[None]]]:
    """All scenes that were asked for, in play."""
    parameters: list[dict[str, Any]] = [
        item.callspec.params
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path.parent == HERE and hasattr(item, "callspec")
    ]
    wanted: list[Scene] = [given["scene"] for given in parameters if "scene" in given]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield {scene: pool.submit(scene, stage) for scene in wanted}
    finally:
        # Whoever interrupts the tests does not want to see the scenes that have not begun.
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def play(scenes: dict[Scene, Future[None]]) -> Callable[[Scene], None]:
    """Watch a scene to its end, and fail if it has."""
    return lambda scene: scenes[scene].result(LONGEST)


@pytest.fixture(scope="package")
def quiet_stage(stage: CrashDeployment, scenes: dict[Scene, Future[None]]) -> CrashDeployment:
    """The Airflow, when no scene is in play any more."""
    wait(scenes.values(), LONGEST)
    return stage


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    for name in ("stage", "quiet_stage"):
        stage = getattr(item, "funcargs", {}).get(name)
        if report.failed and isinstance(stage, CrashDeployment):
            report.sections.append(("Airflow's processes", stage.last_words()))
    return report
