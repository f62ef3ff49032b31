"""
What run operators and run sensors have in common: the links, the lineage, and the end of a run.

DAG files import this module, so whatever needs more than Airflow is imported where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_itwin.api.runs.result_policy import ResultPolicy
from airflow_provider_itwin.links import write_links
from airflow_provider_itwin.sdk_compat import AirflowFailException
from airflow_provider_itwin.utils.lineage import LineageTask
from airflow_provider_itwin.utils.run_outcome import (
    add_to_outlet_events,
    conclude_run,
)
from airflow_provider_itwin.waiting_task import WaitingTask

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_itwin.api.models.json_types import KindName, RunReportDict
    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.api.runs.start import Baseline
    from airflow_provider_itwin.api.wait.models import WaitResult, WaitSpec
    from airflow_provider_itwin.exceptions import ITwinRunFailedError, ITwinRunFailedFinalError
    from airflow_provider_itwin.sdk_compat import Context
    from airflow_provider_itwin.utils.openlineage import Lineage


class RunTask(WaitingTask, LineageTask):
    """
    The part of an operator or a sensor that waits for the run of an iTwin connection; a subclass is an Airflow task, too.

    A subclass sets `kind`, `connection_id`, `itwin_conn_id` and `result_policy`.
    """

    kind: ClassVar[KindName]

    connection_id: Any

    result_policy: ResultPolicy
    """Which results fail or skip the task."""

    has_links = False
    """Whether the links of the task are written."""

    _report: RunReport | None = None
    """The report of the run, which OpenLineage asks for later, in the process that ends the task."""

    def _openlineage(self, *, failed: bool) -> Lineage:
        from airflow_provider_itwin.utils.openlineage import lineage_of

        return lineage_of(self.hook, self.kind, self.connection_id, self._known_run_id, self._report, failed=failed)

    @property
    def _known_run_id(self) -> Any:
        raise NotImplementedError

    def _trigger(self, spec: WaitSpec, memo: dict[str, Any], *, ends_task: bool = False) -> BaseTrigger:
        from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger

        return ITwinRunTrigger(self.itwin_conn_id, spec, memo=memo, ends_task=ends_task)

    def _judge(
        self,
        context: Context,
        result: WaitResult,
        failure: type[ITwinRunFailedError | ITwinRunFailedFinalError],
        known: Baseline | None = None,
    ) -> RunReportDict:
        """
        Judge a finished run: publish its report, then return it, or raise what the result policy demands.

        :param failure: the exception for a run that counts as failed
        :param known: what the service has said about the connection
        """
        if result.report is None:
            raise AirflowFailException(f"The wait for {result.spec.target} ended with {result.end}, without a report")
        self._report = result.report
        report = result.report
        if known is not None:
            report = report.with_connection(known.connection_name, known.imodel_id)
        values = conclude_run(context, self.hook, report, self.result_policy, failure)
        add_to_outlet_events(self, context, values)
        return values

    def _write_links(
        self, context: Context, ref: RunRef, *, itwin_id: str | None = None, imodel_id: str | None = None
    ) -> None:
        write_links(self, context, self.hook, ref, itwin_id=itwin_id, imodel_id=imodel_id)
