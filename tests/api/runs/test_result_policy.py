"""What the result of a finished run means, for every result and every policy."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_itwin.api.models.enums import ExecutionResult
from airflow_provider_itwin.api.runs.result_policy import (
    DEFAULT_FAIL_ON,
    Outcome,
    ResultPolicy,
)

PASS, WARN, SKIP, FAIL = Outcome.PASS, Outcome.WARN, Outcome.SKIP, Outcome.FAIL
RESULTS = ("Success", "PartialSuccess", "Skipped", "Error", "TimedOut", "Canceled", "Undetermined", "Exploded", None)

POLICIES: dict[str, tuple[ResultPolicy, tuple[Outcome, ...]]] = {
    "usual": (ResultPolicy.of(), (PASS, WARN, WARN, FAIL, FAIL, FAIL, FAIL, FAIL, FAIL)),
    "nothing fails": (ResultPolicy.of(()), (PASS, WARN, WARN, WARN, WARN, WARN, WARN, FAIL, FAIL)),
    "partial fails": (
        ResultPolicy.of((*DEFAULT_FAIL_ON, "PartialSuccess")),
        (PASS, FAIL, WARN, FAIL, FAIL, FAIL, FAIL, FAIL, FAIL),
    ),
    "skipped skips": (
        ResultPolicy.of(skip_on=("Skipped",)),
        (PASS, WARN, SKIP, FAIL, FAIL, FAIL, FAIL, FAIL, FAIL),
    ),
    "all skip": (ResultPolicy.of((), list(ExecutionResult)), (SKIP,) * 7 + (FAIL, FAIL)),
    "even success fails": (ResultPolicy.of("Success"), (FAIL, WARN, WARN, WARN, WARN, WARN, WARN, FAIL, FAIL)),
    "success skips": (ResultPolicy.of((), "success"), (SKIP, WARN, WARN, WARN, WARN, WARN, WARN, FAIL, FAIL)),
}


@pytest.mark.parametrize(
    ("policy", "result", "outcome"),
    [
        pytest.param(policy, result, outcome, id=f"{name}-{result}")
        for name, (policy, outcomes) in POLICIES.items()
        for result, outcome in zip(RESULTS, outcomes, strict=True)
    ],
)
def test_each_policy_has_an_outcome_for_every_result(
    policy: ResultPolicy, result: str | None, outcome: Outcome
) -> None:
    assert policy.judge(result).outcome is outcome


@pytest.mark.parametrize("result", ["Cancelled", "canceled", "CANCELLED", "Canceled"])
def test_canceled_is_read_in_either_spelling_and_any_case(result: str) -> None:
    assert ResultPolicy.of().judge(result).outcome is FAIL
    assert ResultPolicy.of(fail_on="Canceled").judge(result).reason == "its result is Canceled"
    assert ResultPolicy.of((), (result,)).judge("Canceled").outcome is SKIP


@pytest.mark.parametrize("result", ["success", "SUCCESS", "Success "])
def test_success_is_read_in_any_case(result: str) -> None:
    assert ResultPolicy.of().judge(result).outcome is PASS


@pytest.mark.parametrize(
    ("policy", "result", "reason"),
    [
        (ResultPolicy.of(), "Success", "its result is Success"),
        (ResultPolicy.of(), "error", "its result is Error"),
        (ResultPolicy.of(), "PartialSuccess", "its result is PartialSuccess, which is not in fail_on"),
        (ResultPolicy.of((), "Skipped"), "Skipped", "its result is Skipped, which is in skip_on"),
        (ResultPolicy.of(), "Exploded", "its result 'Exploded' is unknown"),
        (ResultPolicy.of(), None, "it has no result"),
        (ResultPolicy.of(), "", "it has no result"),
    ],
)
def test_the_reason_is_a_clause(policy: ResultPolicy, result: str | None, reason: str) -> None:
    assert policy.judge(result).reason == reason


@pytest.mark.parametrize("parameter", ["fail_on", "skip_on"])
@pytest.mark.parametrize("typo", ["Eror", "", "None", "Failed", None, 5, b"Error", ("Error",)])
def test_a_typo_is_refused(parameter: str, typo: Any) -> None:
    with pytest.raises(ValueError, match=f"invalid {parameter} .*expected one of Success, PartialSuccess"):
        ResultPolicy.of(**{parameter: ("Success", typo)})  # type: ignore[arg-type]


def test_a_str_is_one_result() -> None:
    assert ResultPolicy.of("Error").fail_on == {ExecutionResult.ERROR}


@pytest.mark.parametrize(
    ("fail_on", "skip_on", "both"),
    [
        (("Error", "Skipped"), ("skipped",), "Skipped"),
        ("Canceled", "Cancelled", "Canceled"),
        (("Error", "Success"), ("Success", "error"), "Error, Success"),
    ],
)
def test_a_result_cannot_both_fail_and_skip(fail_on: Any, skip_on: Any, both: str) -> None:
    with pytest.raises(ValueError, match=f"^{both} cannot be in both fail_on and skip_on$"):
        ResultPolicy.of(fail_on, skip_on)


@pytest.mark.parametrize(
    ("result", "parts", "usual", "strict"),
    [
        ("Success", (), PASS, PASS),
        ("Success", ("Success", "Skipped", "PartialSuccess"), PASS, PASS),
        ("Success", ("Error",), WARN, FAIL),
        ("Success", ("Cancelled",), WARN, FAIL),
        ("Success", ("Success", "error", "Success"), WARN, FAIL),
        ("PartialSuccess", ("Error",), WARN, FAIL),
        ("Skipped", ("TimedOut",), WARN, FAIL),
        ("Error", ("Error",), FAIL, FAIL),
        ("Error", ("Success",), FAIL, FAIL),
        ("Exploded", ("Success",), FAIL, FAIL),
    ],
)
def test_a_success_with_failed_parts_warns_or_fails_if_strict(
    result: str, parts: tuple[str, ...], usual: Outcome, strict: Outcome
) -> None:
    assert ResultPolicy.of().judge(result, parts).outcome is usual
    assert ResultPolicy.of(strict=True).judge(result, parts).outcome is strict


def test_skip_on_precedes_the_failed_parts() -> None:
    assert ResultPolicy.of(skip_on="Skipped", strict=True).judge("Skipped", ("Error",)).outcome is SKIP


def test_the_reason_names_the_parts_once() -> None:
    verdict = ResultPolicy.of(strict=True).judge("Success", ("TimedOut", "Error", "Error"))

    assert verdict.reason == "its result is Success, but a job or a task has Error, TimedOut, and strict is set"
