"""What a finished run means for the task that waited for it. Light: DAG files reach this module."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.enums import ExecutionResult, known_result

DEFAULT_FAIL_ON: tuple[str, ...] = ("Error", "TimedOut", "Canceled", "Undetermined")

_CLEAN = ExecutionResult.SUCCESS


class Outcome(StrEnum):
    """What to do about a finished run."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and why in one clause that can follow "because"."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class ResultPolicy:
    """
    Which results of a run fail a task, and which skip it.

    Everything else passes: ``Success`` in silence, the others with a warning. A result that nobody knows always fails.

    :param fail_on: results that fail the task
    :param skip_on: results that skip the task
    :param strict: whether a run also fails when one of its jobs or tasks has a result that fails, whatever its own says
    :raises ValueError: if a result is none of the API's, or stands in both
    """

    fail_on: frozenset[ExecutionResult]
    skip_on: frozenset[ExecutionResult]
    strict: bool = False

    @classmethod
    def of(
        cls, fail_on: Iterable[str] = DEFAULT_FAIL_ON, skip_on: Iterable[str] = (), strict: bool = False
    ) -> ResultPolicy:
        """Make a policy of results as a user writes them, in any case and either spelling of Canceled."""
        fails, skips = _results(fail_on, "fail_on"), _results(skip_on, "skip_on")
        if both := fails & skips:
            raise ITwinInputError(f"{', '.join(sorted(both))} cannot stand in both fail_on and skip_on")
        return cls(fails, skips, strict)

    def judge(self, result: str | None, parts: Iterable[str] = ()) -> Verdict:
        """
        Say what the result of a finished run means.

        The run's own result decides. The service has been seen to call a run a success whose job and task had failed: such a
        contradiction is worth a warning, and a failure if the policy is strict.

        :param result: as the API spells it
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
            said = f"result {result!r}" if result else "no result"
            return Verdict(Outcome.FAIL, f"it ended with {said}, which is none that this provider knows")
        if known in self.skip_on:
            return Verdict(Outcome.SKIP, f"its result is {known}, and skip_on names that")
        if known in self.fail_on:
            return Verdict(Outcome.FAIL, f"its result is {known}")
        if known == _CLEAN:
            return Verdict(Outcome.PASS, f"its result is {known}")
        return Verdict(Outcome.WARN, f"its result is {known}, which fail_on does not name")


def _results(names: Iterable[str], parameter: str) -> frozenset[ExecutionResult]:
    if isinstance(names, str):
        names = (names,)
    found = set()
    for name in names:
        result = known_result(name) if isinstance(name, str) else None
        if result is None:
            raise ITwinInputError(
                f"{parameter} names {name!r}, which is no result of a run; the results are "
                f"{', '.join(ExecutionResult)}. (A result that is none of these always fails the task.)"
            )
        found.add(result)
    return frozenset(found)
