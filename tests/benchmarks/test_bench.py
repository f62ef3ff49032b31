"""The benchmark measures, evaluates and reports; the figures do not matter here."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import pytest

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS
from benchmarks import decoding, schedule
from benchmarks.certificate import write_certificate
from benchmarks.criteria import judge
from benchmarks.figures import Figures, figures_of
from benchmarks.plan import Row, rows
from benchmarks.processes import Server, run_case
from benchmarks.report import report
from benchmarks.results import Results

pytestmark = pytest.mark.skipif(
    not AIRFLOW_V_3_3_PLUS, reason="the bench runs triggers as the triggerer of Airflow 3.3 does"
)

SMALL = Row(20, 0.5, {"ours": 1, "floor": 1}, spread=0.5, settle=0.5, window=2.0, ending=0.5)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Results:
    directory = tmp_path_factory.mktemp("bench")
    write_certificate(directory)
    results = Results(quick=True, decoding=decoding.measure(1), schedule_figures=schedule.schedule_figures(20))
    for _, subject in SMALL.turns():
        case = SMALL.case(subject)
        with Server(directory) as server:
            outcome = run_case(case, server, directory)
            whole = server.counts(outcome.began, outcome.ended)
            window = server.counts(outcome.window_began, outcome.window_ended)
        results.waits.append(figures_of(case, outcome, whole, window))
    return results


@pytest.mark.parametrize("subject", ["ours", "floor"])
def test_every_wait_ends_without_an_error(measured: Results, subject: str) -> None:
    (figures,) = measured.of(subject, 20)
    assert (figures.missed, figures.wrong, figures.failures, figures.tokens) == (0, 0, [], 1)
    assert figures.polls >= 20
    assert figures.cpu is not None
    assert figures.cpu > 0


def test_the_report_lists_every_criterion_even_if_not_measured(measured: Results) -> None:
    text = report(measured)
    for criterion in judge(measured):
        assert criterion.requirement in text
    assert "| 20 " in text
    assert re.search(r"CPU per poll at 1,000 waits at most 1.3 times the floor +\| not measured", text)


def test_a_criterion_that_is_not_met_is_marked(measured: Results) -> None:
    def repeats(subject: str, cpu: float) -> list[Figures]:
        return [_changed(measured.of("ours", 20)[0], subject, 1000, cpu)] * 3

    results = Results(waits=[*repeats("ours", 0.002), *repeats("floor", 0.001), *repeats("databricks", 0.003)])
    met = {criterion.requirement: criterion.met for criterion in judge(results)}
    assert met["CPU per poll at 1,000 waits at most 1.3 times the floor"] is False
    assert met["CPU per poll at 1,000 waits at most half of the best other provider's"] is False
    assert "**not met**" in report(results)


def test_the_full_run_has_three_repeats_of_every_evaluated_subject() -> None:
    repeats = {(row.waits, subject): count for row in rows(quick=False) for subject, count in row.subjects.items()}
    for judged in [(1000, "ours"), (1000, "floor"), (1000, "databricks"), (1000, "dbt-cloud"), (10_000, "ours")]:
        assert repeats[judged] >= 3


def test_subjects_of_a_row_alternate() -> None:
    row = replace(SMALL, subjects={"ours": 2, "floor": 2, "idle": 1})
    assert list(row.turns()) == [(0, "ours"), (0, "floor"), (0, "idle"), (1, "ours"), (1, "floor")]


def _changed(figures: Figures, subject: str, waits: int, cpu: float) -> Figures:
    return msgspec.structs.replace(figures, subject=subject, waits=waits, cpu=cpu)
