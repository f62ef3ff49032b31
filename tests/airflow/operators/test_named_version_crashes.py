"""A worker is lost before, during or after any request: the state of the run gets one name, and no other state gets it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.operators.itwin import ITwinCreateNamedVersionOperator
from tests.airflow.crash_simulation import WorkerLostError
from tests.airflow.operators.run_operators import RIVAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_itwin.api.http.messages import NoResponse, Request, Response
    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock
    from tests.airflow.single_task import Outcome

MOMENTS = ("before the request", "before the response")
"""When a worker is lost: the service has not received the request, or it has answered."""

BETWEEN = ("nothing", "another run pushes", "a person pushes", "the state gets another name")
"""What happens before the next attempt."""

FAULTS = ("none", "reset-before", "reset-after")
"""Faults of the request that creates the named version."""

MOST_REQUESTS = 12


class LossyWorker:
    """
    Sends the requests of a worker, and loses the worker at one of them.

    :param patch: undone at the end of the test
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        from airflow_provider_itwin.api import client

        self.lost_at: tuple[int, str] | None = None
        self._number = 0
        factory: Any = client.ITwinClient
        real_send = factory.func._send

        def send(this: Any, request: Request) -> Response | NoResponse:
            self._number += 1
            assert self._number <= MOST_REQUESTS
            self._lose(MOMENTS[0])
            response: Response | NoResponse = real_send(this, request)
            self._lose(MOMENTS[1])
            return response

        patch.setattr(factory.func, "_send", send)

    def begin(self, lost_at: tuple[int, str] | None) -> None:
        """Begin an attempt; `lost_at` is the number of a request, from 1, and one of `MOMENTS`."""
        self._number, self.lost_at = 0, lost_at

    def _lose(self, moment: str) -> None:
        if self.lost_at == (self._number, moment):
            raise WorkerLostError


_numbers = itertools.count(1)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("task_id", ["task", "null"])
def test_losing_the_worker_at_any_request_leaves_one_name_on_the_state_of_the_run(
    emulator: Emulator,
    clock: FakeClock,
    run_task: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    task_id: Any,
    between: str,
    fault: Any,
) -> None:
    emulator.quirks.changeset_task_id = task_id
    worker = LossyWorker(monkeypatch)
    lost = 0
    for number, moment in itertools.product(range(1, MOST_REQUESTS), MOMENTS):
        lost += _play(emulator, clock, run_task, worker, (number, moment), between, fault)

    assert lost >= 2 * 5, "token, connection, run, changesets, named version"


def _play(
    emulator: Emulator,
    clock: FakeClock,
    run_task: Callable[..., Outcome],
    worker: LossyWorker,
    lost_at: tuple[int, str],
    between: str,
    fault: Any,
) -> bool:
    """Run the task until it ends; return whether its first attempt was lost."""
    imodel_id, connection_id, rival_id = (f"{name}-{next(_numbers)}" for name in ("imodel", "night", RIVAL))
    for one in (connection_id, rival_id):
        emulator.add_connection(connection_id=one, imodel_id=imodel_id, files=["Tower.dgn"])
        emulator.plan_run(one, "Success", 60, changesets=2)
    emulator.start_run(rival_id)
    clock.sleep(300)
    run_id = emulator.start_run(connection_id)
    clock.sleep(300)
    wanted = emulator.changesets(imodel_id)[-1]["id"]
    emulator.clear_faults()
    if fault != "none":
        emulator.fail("create-imodel-named-version", kind=fault, times=1)
    task = ITwinCreateNamedVersionOperator(
        task_id="name", run_ref=f"storage/{connection_id}/{run_id}", name="Nightly", if_named="use"
    )

    is_lost = False
    worker.begin(lost_at)
    try:
        outcome = run_task(task)
    except WorkerLostError:
        is_lost = True
        _happen(emulator, clock, between, imodel_id, rival_id, wanted)
        worker.begin(None)
        outcome = run_task(task)

    plan = f"{lost_at}, {between}, {fault}"
    assert outcome.state == "success", f"{plan}: {outcome.text}"
    assert outcome.value["changeset_id"] == wanted, plan
    [version] = emulator.named_versions(imodel_id)
    assert (version["changesetId"], version["id"]) == (wanted, outcome.value["id"]), plan
    assert version["name"] == outcome.value["name"], plan
    return is_lost


def _happen(emulator: Emulator, clock: FakeClock, between: str, imodel_id: str, rival_id: str, wanted: str) -> None:
    if between == "another run pushes":
        emulator.start_run(rival_id)
    elif between == "a person pushes":
        emulator.push_changesets(imodel_id, 3)
    elif between == "the state gets another name" and not emulator.named_versions(imodel_id):
        emulator.add_named_version(imodel_id, "Milestone", wanted)
    clock.sleep(300)
