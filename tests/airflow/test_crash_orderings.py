"""Never twice, never lost: every moment at which a worker can be lost, against every thing that can come after."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_itwin.api.runs.active_run_policy import IfActive

from .crash_simulation import BEFORE, BETWEEN, MOMENTS, TROUBLES, CrashPlan, CrashSimulation, Loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    from .fake_clock import FakeClock
    from .single_task import Outcome


@pytest.fixture
def theatre(
    emulator: Emulator, clock: FakeClock, run_task: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> CrashSimulation:
    """What plays plots."""
    return CrashSimulation(emulator, clock, run_task, monkeypatch)


@pytest.mark.parametrize("stored", [True, False], ids=["store", "no-store"])
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize("kind", ["storage", "export"])
def test_every_moment_of_one_loss(theatre: CrashSimulation, kind: str, deferrable: bool, stored: bool) -> None:
    # How a task waits matters little to what comes between, so not all of that is gone through twice.
    for moment, between, then in itertools.product(MOMENTS, BETWEEN[: 2 if deferrable else None], ("retry", "clear")):
        theatre.play(CrashPlan((Loss(moment, between, then),), kind, "queue", deferrable, stored))  # type: ignore[arg-type]


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("policy", list(IfActive))
def test_every_policy_at_every_moment(theatre: CrashSimulation, policy: str, before: str) -> None:
    for moment in MOMENTS:
        theatre.play(CrashPlan((Loss(moment),), if_active=policy, before=before))


@pytest.mark.parametrize("failure", TROUBLES)
@pytest.mark.parametrize("kind", ["storage", "export"])
def test_every_trouble_on_the_way(theatre: CrashSimulation, kind: str, failure: str) -> None:
    for before, stored in itertools.product(BEFORE, (True, False)):
        theatre.play(CrashPlan((), kind, stored=stored, before=before, failure=failure))  # type: ignore[arg-type]


LOSSES = st.builds(
    Loss, st.sampled_from(MOMENTS), st.sampled_from(BETWEEN), st.sampled_from(["retry", "retry", "retry", "clear"])
)
PLOTS = st.builds(
    CrashPlan,
    st.lists(LOSSES, min_size=2, max_size=4).map(tuple),
    st.sampled_from(["storage", "export"]),
    st.sampled_from(list(map(str, IfActive))),
    st.booleans(),
    st.booleans(),
    st.sampled_from(BEFORE),
    st.sampled_from(TROUBLES),
)


def test_any_order_of_losses(theatre: CrashSimulation) -> None:
    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(PLOTS)
    def play(plot: CrashPlan) -> None:
        theatre.play(plot)

    play()
