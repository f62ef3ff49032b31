"""
Names of Airflow that moved between its versions: one place to import them from.

Official providers use ``airflow.providers.common.compat.sdk`` for this. It is missing or incomplete in what the constraints of
Airflow 3.0 and 3.1 install. DAG files reach this module: each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS, AIRFLOW_V_3_2_PLUS

if TYPE_CHECKING:
    from airflow.sdk import Asset as Asset
    from airflow.sdk import AssetAlias as AssetAlias
    from airflow.sdk import BaseHook as BaseHook
    from airflow.sdk import BaseOperator as BaseOperator
    from airflow.sdk import BaseOperatorLink as BaseOperatorLink
    from airflow.sdk import BaseSensorOperator as BaseSensorOperator
    from airflow.sdk import Connection as Connection
    from airflow.sdk import Context as Context
    from airflow.sdk import ObjectStoragePath as ObjectStoragePath
    from airflow.sdk import PokeReturnValue as PokeReturnValue
    from airflow.sdk import TaskGroup as TaskGroup
    from airflow.sdk import XComArg as XComArg
    from airflow.sdk.configuration import conf as conf
    from airflow.sdk.definitions.mappedoperator import OperatorPartial as OperatorPartial
    from airflow.sdk.definitions.xcom_arg import PlainXComArg as PlainXComArg
    from airflow.sdk.exceptions import AirflowException as AirflowException
    from airflow.sdk.exceptions import AirflowFailException as AirflowFailException
    from airflow.sdk.exceptions import AirflowNotFoundException as AirflowNotFoundException
    from airflow.sdk.exceptions import AirflowSensorTimeout as AirflowSensorTimeout
    from airflow.sdk.exceptions import AirflowSkipException as AirflowSkipException
    from airflow.sdk.exceptions import XComNotFound as XComNotFound
    from airflow.sdk.execution_time.xcom import XCom as XCom
    from airflow.sdk.plugins_manager import AirflowPlugin as AirflowPlugin
    from airflow.sdk.types import TaskInstanceKey as TaskInstanceKey


def _since(has_it: bool, new: str, old: str) -> str:
    return new if has_it else old


_EXCEPTIONS = _since(AIRFLOW_V_3_2_PLUS, "airflow.sdk.exceptions", "airflow.exceptions")

MODULES: dict[str, str] = {
    "AirflowException": _EXCEPTIONS,
    "AirflowFailException": _EXCEPTIONS,
    "AirflowNotFoundException": _EXCEPTIONS,
    "AirflowPlugin": _since(AIRFLOW_V_3_2_PLUS, "airflow.sdk.plugins_manager", "airflow.plugins_manager"),
    "AirflowSensorTimeout": _EXCEPTIONS,
    "AirflowSkipException": _EXCEPTIONS,
    "Asset": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk", "airflow.datasets"),
    "AssetAlias": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk", "airflow.datasets"),
    "BaseHook": _since(AIRFLOW_V_3_1_PLUS, "airflow.sdk", "airflow.hooks.base"),
    "BaseOperator": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk", "airflow.models.baseoperator"),
    "BaseOperatorLink": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk", "airflow.models.baseoperatorlink"),
    "BaseSensorOperator": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk", "airflow.sensors.base"),
    "Connection": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk", "airflow.models.connection"),
    "Context": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk.definitions.context", "airflow.utils.context"),
    "ObjectStoragePath": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk", "airflow.io.path"),
    "OperatorPartial": _since(
        AIRFLOW_V_3_0_PLUS, "airflow.sdk.definitions.mappedoperator", "airflow.models.mappedoperator"
    ),
    "PlainXComArg": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk.definitions.xcom_arg", "airflow.models.xcom_arg"),
    "PokeReturnValue": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk", "airflow.sensors.base"),
    "TaskGroup": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk", "airflow.utils.task_group"),
    "TaskInstanceKey": _since(AIRFLOW_V_3_2_PLUS, "airflow.sdk.types", "airflow.models.taskinstancekey"),
    "XCom": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk.execution_time.xcom", "airflow.models.xcom"),
    "XComArg": _since(AIRFLOW_V_3_0_PLUS, "airflow.sdk", "airflow.models.xcom_arg"),
    "XComNotFound": _EXCEPTIONS,
    "conf": _since(AIRFLOW_V_3_2_PLUS, "airflow.sdk.configuration", "airflow.configuration"),
}
"""The module of each name in the installed Airflow."""

_AIRFLOW_2_NAMES = {"Asset": "Dataset", "AssetAlias": "DatasetAlias"}


if not TYPE_CHECKING:  # so that type checkers find unknown names

    def __getattr__(name: str) -> Any:
        if name not in MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(MODULES[name]), name if AIRFLOW_V_3_0_PLUS else _AIRFLOW_2_NAMES.get(name, name))
        globals()[name] = value
        return value
