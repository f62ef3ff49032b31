"""No run is started twice and none is lost: every point of losing a worker, combined with everything that can follow."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_itwin.api.runs.active_run_policy import IfActive
from tests.airflow.crash_simulation import BEFORE, BETWEEN, FAULTS, POINTS, CrashPlan, CrashSimulation, Loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock
    from tests.airflow.single_task import Outcome


@pytest.fixture
def simulation(
    emulator: Emulator, clock: FakeClock, run_task: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> CrashSimulation:
    """The simulation that runs the plans."""
    return CrashSimulation(emulator, clock, run_task, monkeypatch)


@pytest.mark.parametrize("stored", [True, False], ids=["store", "no-store"])
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize("kind", ["storage", "export"])
def test_losing_one_worker_at_any_point_keeps_the_invariants(
    simulation: CrashSimulation, kind: str, deferrable: bool, stored: bool
) -> None:
    # The way to wait hardly affects what happens in between, so deferred tasks get a selection.
    for point, between, then in itertools.product(POINTS, BETWEEN[: 2 if deferrable else None], ("retry", "clear")):
        simulation.run(CrashPlan((Loss(point, between, then),), kind, "queue", deferrable, stored))  # type: ignore[arg-type]


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("policy", list(IfActive))
def test_every_policy_keeps_the_invariants_at_every_point(
    simulation: CrashSimulation, policy: str, before: str
) -> None:
    for point in POINTS:
        simulation.run(CrashPlan((Loss(point),), if_active=policy, before=before))


@pytest.mark.parametrize("failure", FAULTS)
@pytest.mark.parametrize("kind", ["storage", "export"])
def test_every_fault_of_the_start_request_keeps_the_invariants(
    simulation: CrashSimulation, kind: str, failure: str
) -> None:
    for before, stored in itertools.product(BEFORE, (True, False)):
        simulation.run(CrashPlan((), kind, stored=stored, before=before, failure=failure))  # type: ignore[arg-type]


LOSSES = st.builds(
    Loss, st.sampled_from(POINTS), st.sampled_from(BETWEEN), st.sampled_from(["retry", "retry", "retry", "clear"])
)
PLANS = st.builds(
    CrashPlan,
    st.lists(LOSSES, min_size=2, max_size=4).map(tuple),
    st.sampled_from(["storage", "export"]),
    st.sampled_from(list(map(str, IfActive))),
    st.booleans(),
    st.booleans(),
    st.sampled_from(BEFORE),
    st.sampled_from(FAULTS),
)


def test_any_sequence_of_losses_keeps_the_invariants(simulation: CrashSimulation) -> None:
    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(PLANS)
    def run(plan: CrashPlan) -> None:
        simulation.run(plan)

    run()
