"""
Mistakes that people make, and the sentence with which each is refused.

``mistakes.txt`` has, for each mistake, the code, when it is refused, and the sentence. With ``REWRITE=1`` in the environment,
these tests rewrite it: then read the difference.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS
from tests.airflow.mistakes import MISTAKES, consequence, read_expected, write_expected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from itwin_emulator import Emulator
    from tests.airflow.single_task import Outcome

EXPECTED = read_expected()

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="some of the sentences are those of Airflow 3.3")


@pytest.fixture(scope="module")
def observed() -> Iterator[dict[str, tuple[str, str]]]:
    """What comes of each mistake; written to the file if it is to be rewritten."""
    refusals: dict[str, tuple[str, str]] = {}
    yield refusals
    if os.environ.get("REWRITE") and len(refusals) == len(MISTAKES):
        write_expected(refusals)


@pytest.mark.parametrize("code", MISTAKES)
def test_a_mistake_is_refused(
    emulator: Emulator,
    connection: Callable[..., None],
    run_task: Callable[..., Outcome],
    observed: dict[str, tuple[str, str]],
    code: str,
) -> None:
    observed[code] = consequence(code, emulator, connection, run_task)
    assert observed[code] == EXPECTED.get(code)


def test_the_table_is_complete() -> None:
    assert list(EXPECTED) == list(MISTAKES)


def test_every_mistake_is_refused() -> None:
    for refusal in EXPECTED.values():
        when, sentence = refusal
        assert when in ("when the DAG file is parsed", "when the task runs, before any request", "when the task runs")
        assert len(sentence) > 20
