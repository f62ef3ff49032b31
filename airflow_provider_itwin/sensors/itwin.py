"""The sensors: one for the runs of each kind of connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from airflow_provider_itwin.sensors.base import ITwinRunSensor

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.json_types import KindName

__all__ = [
    "ITwinExportConnectionRunSensor",
    "ITwinManifestConnectionRunSensor",
    "ITwinStorageConnectionRunSensor",
]


class ITwinStorageConnectionRunSensor(ITwinRunSensor):
    """
    Wait for a run of a storage connection.

    Mirrors ``get-storage-connection-run``; with `started_after`, also ``get-storage-connection``.

    ``Success`` passes; ``PartialSuccess`` and ``Skipped`` pass with a warning that lists the failing files. Errors of the
    service are retried for the outage tolerance. `timeout`, `soft_fail`, `mode` and the other parameters of sensors have the
    same meaning, deferred or not.

    XComs: ``return_value`` and ``run_report``, both the report of the run.

    :param connection_id: id of the iTwin connection (templated)
    :param run_id: id of the run (templated), such as the output of the operator that started it; None (default): wait for the
        newest run that began at or after `started_after`
    :param started_after: with no `run_id`, the earliest start of the run (templated): a datetime, a date (the beginning of
        that day) or ISO 8601; UTC if it has no time zone. The run need not have begun yet
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :param deferrable: whether to wait in the triggerer instead of on the worker; None (default): as ``[operators]
        default_deferrable``
    :param poll_interval: seconds, or a timedelta, between two polls of the run; None (default): `poke_interval` if it is set;
        else, in a deferred task, 5 % of the elapsed time, at least 10 s and at most 2 min
    :param fail_on: results that fail the task, of ``Success``, ``PartialSuccess``, ``Skipped``, ``Error``, ``TimedOut``,
        ``Canceled`` and ``Undetermined``; default: the last four. An unknown result always fails the task
    :param skip_on: results that skip the task, of the same set; default: none
    :param strict: whether the task also fails when the run passes, but one of its jobs or tasks has a result in `fail_on`;
        default False
    :param start_from_trigger: whether the task starts in the triggerer, with no worker before the wait (Airflow 3.3 and
        newer; needs `deferrable`); default False. A mapped task starts on a worker nevertheless; in a mapped task group, the
        output of a task of the same group is that of the same map index. Airflow passes the whole DAG to each such trigger:
        use at most about 100 such sensors in a DAG
    :param end_from_trigger: whether the task ends in the triggerer, with no worker after the wait, if the run is a success
        without failing files (Airflow 3.3 and newer; needs `deferrable`); default False. A worker judges any other run, and
        any task with outlets, ``do_xcom_push=False``, ``multiple_outputs``, `post_execute` or a custom XCom backend
    :return: the run report
    :raises ITwinRunFailedFinalError: if the run ended with a result that fails the task; not retried: a finished run does not
        change
    :raises AirflowSensorTimeout: if `timeout` passed; not retried
    :raises ITwinWaitTimeLimitError: if ``execution_timeout`` passed in a deferred task; can be retried
    :raises ITwinTransientError: if the service had no good response for the outage tolerance (``[itwin] outage_tolerance``);
        can be retried
    :raises ITwinPermanentError: for refused credentials, 403, 404, 422 and invalid settings; not retried
    :raises AirflowSkipException: if the result is in `skip_on`, or by `soft_fail` or `never_fail`
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    kind: ClassVar[KindName] = "storage"


class ITwinManifestConnectionRunSensor(ITwinRunSensor):
    """
    Wait for a run of a manifest connection.

    Mirrors ``get-manifest-connection-run``; with `started_after`, also ``get-manifest-connection``.

    ``Success`` passes; ``PartialSuccess`` and ``Skipped`` pass with a warning that lists the failing files. Errors of the
    service are retried for the outage tolerance. `timeout`, `soft_fail`, `mode` and the other parameters of sensors have the
    same meaning, deferred or not.

    XComs: ``return_value`` and ``run_report``, both the report of the run.

    :param connection_id: id of the iTwin connection (templated)
    :param run_id: id of the run (templated), such as the output of the operator that started it; None (default): wait for the
        newest run that began at or after `started_after`
    :param started_after: with no `run_id`, the earliest start of the run (templated): a datetime, a date (the beginning of
        that day) or ISO 8601; UTC if it has no time zone. The run need not have begun yet
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :param deferrable: whether to wait in the triggerer instead of on the worker; None (default): as ``[operators]
        default_deferrable``
    :param poll_interval: seconds, or a timedelta, between two polls of the run; None (default): `poke_interval` if it is set;
        else, in a deferred task, 5 % of the elapsed time, at least 10 s and at most 2 min
    :param fail_on: results that fail the task, of ``Success``, ``PartialSuccess``, ``Skipped``, ``Error``, ``TimedOut``,
        ``Canceled`` and ``Undetermined``; default: the last four. An unknown result always fails the task
    :param skip_on: results that skip the task, of the same set; default: none
    :param strict: whether the task also fails when the run passes, but one of its jobs or tasks has a result in `fail_on`;
        default False
    :param start_from_trigger: whether the task starts in the triggerer, with no worker before the wait (Airflow 3.3 and
        newer; needs `deferrable`); default False. A mapped task starts on a worker nevertheless; in a mapped task group, the
        output of a task of the same group is that of the same map index. Airflow passes the whole DAG to each such trigger:
        use at most about 100 such sensors in a DAG
    :param end_from_trigger: whether the task ends in the triggerer, with no worker after the wait, if the run is a success
        without failing files (Airflow 3.3 and newer; needs `deferrable`); default False. A worker judges any other run, and
        any task with outlets, ``do_xcom_push=False``, ``multiple_outputs``, `post_execute` or a custom XCom backend
    :return: the run report
    :raises ITwinRunFailedFinalError: if the run ended with a result that fails the task; not retried: a finished run does not
        change
    :raises AirflowSensorTimeout: if `timeout` passed; not retried
    :raises ITwinWaitTimeLimitError: if ``execution_timeout`` passed in a deferred task; can be retried
    :raises ITwinTransientError: if the service had no good response for the outage tolerance (``[itwin] outage_tolerance``);
        can be retried
    :raises ITwinPermanentError: for refused credentials, 403, 404, 422 and invalid settings; not retried
    :raises AirflowSkipException: if the result is in `skip_on`, or by `soft_fail` or `never_fail`
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    kind: ClassVar[KindName] = "manifest"


class ITwinExportConnectionRunSensor(ITwinRunSensor):
    """
    Wait for a run of an export connection.

    Mirrors ``get-export-connection-run``; with `started_after`, also ``get-export-connection``.

    ``Success`` passes; ``PartialSuccess`` and ``Skipped`` pass with a warning that lists the failing files. Errors of the
    service are retried for the outage tolerance. `timeout`, `soft_fail`, `mode` and the other parameters of sensors have the
    same meaning, deferred or not.

    XComs: ``return_value`` and ``run_report``, both the report of the run.

    :param connection_id: id of the iTwin connection (templated)
    :param run_id: id of the run (templated), such as the output of the operator that started it; None (default): wait for the
        newest run that began at or after `started_after`
    :param started_after: with no `run_id`, the earliest start of the run (templated): a datetime, a date (the beginning of
        that day) or ISO 8601; UTC if it has no time zone. The run need not have begun yet
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :param deferrable: whether to wait in the triggerer instead of on the worker; None (default): as ``[operators]
        default_deferrable``
    :param poll_interval: seconds, or a timedelta, between two polls of the run; None (default): `poke_interval` if it is set;
        else, in a deferred task, 5 % of the elapsed time, at least 10 s and at most 2 min
    :param fail_on: results that fail the task, of ``Success``, ``PartialSuccess``, ``Skipped``, ``Error``, ``TimedOut``,
        ``Canceled`` and ``Undetermined``; default: the last four. An unknown result always fails the task
    :param skip_on: results that skip the task, of the same set; default: none
    :param strict: whether the task also fails when the run passes, but one of its jobs or tasks has a result in `fail_on`;
        default False
    :param start_from_trigger: whether the task starts in the triggerer, with no worker before the wait (Airflow 3.3 and
        newer; needs `deferrable`); default False. A mapped task starts on a worker nevertheless; in a mapped task group, the
        output of a task of the same group is that of the same map index. Airflow passes the whole DAG to each such trigger:
        use at most about 100 such sensors in a DAG
    :param end_from_trigger: whether the task ends in the triggerer, with no worker after the wait, if the run is a success
        without failing files (Airflow 3.3 and newer; needs `deferrable`); default False. A worker judges any other run, and
        any task with outlets, ``do_xcom_push=False``, ``multiple_outputs``, `post_execute` or a custom XCom backend
    :return: the run report
    :raises ITwinRunFailedFinalError: if the run ended with a result that fails the task; not retried: a finished run does not
        change
    :raises AirflowSensorTimeout: if `timeout` passed; not retried
    :raises ITwinWaitTimeLimitError: if ``execution_timeout`` passed in a deferred task; can be retried
    :raises ITwinTransientError: if the service had no good response for the outage tolerance (``[itwin] outage_tolerance``);
        can be retried
    :raises ITwinPermanentError: for refused credentials, 403, 404, 422 and invalid settings; not retried
    :raises AirflowSkipException: if the result is in `skip_on`, or by `soft_fail` or `never_fail`
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    kind: ClassVar[KindName] = "export"
