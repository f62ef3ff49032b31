"""The result policy: which results fail or skip a task. DAG files import this module, so it imports little."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.enums import ExecutionResult, known_result

ResultName: TypeAlias = Literal["Success", "PartialSuccess", "Skipped", "Error", "TimedOut", "Canceled", "Undetermined"]
"""The results of a run, as a user writes them; see :class:`~airflow_provider_itwin.api.models.enums.ExecutionResult`."""

DEFAULT_FAIL_ON: tuple[ResultName, ...] = ("Error", "TimedOut", "Canceled", "Undetermined")

_CLEAN = ExecutionResult.SUCCESS


class Outcome(StrEnum):
    """What to do about a finished run."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and the reason: a clause that can follow "because"."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class ResultPolicy:
    """
    Which results of a run fail a task, and which skip it.

    All other results pass: ``Success`` without a warning, the others with one. An unknown result always fails.

    :param fail_on: results that fail the task
    :param skip_on: results that skip the task
    :param strict: whether the task also fails when the run passes, but one of its jobs or tasks has a result in `fail_on`
    :raises ITwinInputError: for an unknown result, or one that is in both
    """

    fail_on: frozenset[ExecutionResult]
    skip_on: frozenset[ExecutionResult]
    strict: bool = False

    @classmethod
    def of(
        cls, fail_on: Iterable[str] = DEFAULT_FAIL_ON, skip_on: Iterable[str] = (), strict: bool = False
    ) -> ResultPolicy:
        """Return the policy for results as a user writes them, in any case and in either spelling of Canceled."""
        fails, skips = _results(fail_on, "fail_on"), _results(skip_on, "skip_on")
        if both := fails & skips:
            raise ITwinInputError(f"{', '.join(sorted(both))} cannot be in both fail_on and skip_on")
        return cls(fails, skips, strict)

    def judge(self, result: str | None, parts: Iterable[str] = ()) -> Verdict:
        """
        Return what to do about a finished run.

        The result of the run itself decides. The service has reported ``Success`` for a run with a failed job and task: such a
        contradiction is logged as a warning, and fails the task if the policy is strict.

        :param result: the result of the run, as the API spells it
        :param parts: the results of its jobs and tasks
        """
        verdict = self._judge(result)
        if verdict.outcome is Outcome.FAIL or verdict.outcome is Outcome.SKIP:
            return verdict
        bad = sorted({part for part in parts if known_result(part) in self.fail_on})
        if bad and self.strict:
            return Verdict(
                Outcome.FAIL, f"its result is {result}, but a job or a task has {', '.join(bad)}, and strict is set"
            )
        if bad and verdict.outcome is Outcome.PASS:
            return Verdict(Outcome.WARN, f"its result is {result}, although a job or a task has {', '.join(bad)}")
        return verdict

    def _judge(self, result: str | None) -> Verdict:
        known = known_result(result)
        if known is None:
            reason = f"its result {result!r} is unknown" if result else "it has no result"
            return Verdict(Outcome.FAIL, reason)
        if known in self.skip_on:
            return Verdict(Outcome.SKIP, f"its result is {known}, which is in skip_on")
        if known in self.fail_on:
            return Verdict(Outcome.FAIL, f"its result is {known}")
        if known == _CLEAN:
            return Verdict(Outcome.PASS, f"its result is {known}")
        return Verdict(Outcome.WARN, f"its result is {known}, which is not in fail_on")


def _results(names: Iterable[str], parameter: str) -> frozenset[ExecutionResult]:
    if isinstance(names, str):
        names = (names,)
    found = set()
    for name in names:
        result = known_result(name) if isinstance(name, str) else None
        if result is None:
            raise ITwinInputError(
                f"invalid {parameter} {name!r}; expected one of {', '.join(ExecutionResult)}. "
                "(An unknown result always fails the task.)"
            )
        found.add(result)
    return frozenset(found)
