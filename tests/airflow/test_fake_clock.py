"""Each test has its own clock, also when two tests use the same Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.hooks.itwin import ITwinHook

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.airflow.fake_clock import FakeClock


@pytest.mark.parametrize("turn", [1, 2])
def test_an_account_has_the_clock_of_its_test(clock: FakeClock, connection: Callable[..., None], turn: int) -> None:
    # Emulators of two tests can have the same port. An account with the clock of an earlier test would wait for ever.
    connection(host="http://127.0.0.1:9", login="a", password="secret-of-nobody")
    account = ITwinHook().get_conn().account
    before = account.clock()
    clock.sleep(1000.0 * turn)
    assert account.clock() - before == pytest.approx(1000.0 * turn, abs=60)
