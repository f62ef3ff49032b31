"""A public signature has precise types: ``Any`` is where Airflow demands it only."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS

PACKAGE = "airflow_provider_itwin"
MODULES = [
    "api.async_client",
    "api.client",
    "api.errors",
    "api.models.durations",
    "api.models.enums",
    "api.models.moments",
    "api.models.report",
    "api.models.resources",
    "api.models.run_ref",
    "api.models.timeline",
    "assets",
    "exceptions",
    "hooks.base",
    "hooks.imodels",
    "hooks.itwin",
    "hooks.jobs",
    "hooks.storage",
    "jobs",
    "links",
    "metrics",
    "night",
    "notifications",
    "operators.base",
    "operators.download",
    "operators.itwin",
    "operators.jobs",
    "operators.named_version",
    "operators.upload",
    "sensors.base",
    "sensors.itwin",
    "sensors.jobs",
    "sensors.waiting_sensor",
    "triggers.itwin",
    "triggers.jobs",
    "types",
    "utils.parameters",
    *(["triggers.events"] if AIRFLOW_V_3_0_PLUS else []),
    *(["retry_policy"] if AIRFLOW_V_3_3_PLUS else []),
]

_KWARGS = "passed to Airflow's base class, which has dozens of parameters"
_RESUMED = "Airflow's own signature: the arguments of the method that resumes a task"
_STORED = "Airflow's own signature: the arguments of a trigger, as JSON"
_FORM = "Airflow's own signature: the connection form"
_ASSET = "passed to Airflow's Asset, whose parameters depend on the version"
REASONS = {
    "assets.imodel_asset(more)": _ASSET,
    "assets.named_version_asset(more)": _ASSET,
    "assets.storage_folder_asset(more)": _ASSET,
    "hooks.base.ITwinBaseHook.__init__(kwargs)": _KWARGS,
    "hooks.itwin.ITwinHook.__init__(kwargs)": _KWARGS,
    "hooks.itwin.ITwinHook.get_connection_form_widgets(return)": _FORM,
    "hooks.itwin.ITwinHook.get_ui_field_behaviour(return)": _FORM,
    "night.itwin_night(group_args)": "passed to Airflow's TaskGroup",
    "operators.download.ITwinDownloadFileOperator.__init__(kwargs)": _KWARGS,
    "operators.base.ITwinRunOperator.__init__(kwargs)": _KWARGS,
    "operators.base.ITwinRunOperator.resume_execution(next_kwargs)": _RESUMED,
    "operators.itwin.ITwinListSourceFilesOperator.__init__(kwargs)": _KWARGS,
    "operators.itwin.ITwinRunExportConnectionOperator.__init__(kwargs)": _KWARGS,
    "operators.itwin.ITwinRunManifestConnectionOperator.__init__(kwargs)": _KWARGS,
    "operators.jobs.ITwinJobOperator.__init__(kwargs)": "the inputs of the job, and what Airflow's base class takes",
    "operators.jobs.ITwinJobOperator.resume_execution(next_kwargs)": _RESUMED,
    "operators.named_version.ITwinCreateNamedVersionOperator.__init__(kwargs)": _KWARGS,
    "operators.upload.ITwinUploadFilesOperator.__init__(kwargs)": _KWARGS,
    "sensors.base.ITwinRunSensor.__init__(kwargs)": _KWARGS,
    "sensors.jobs.ITwinJobSensor.__init__(kwargs)": _KWARGS,
    "sensors.waiting_sensor.WaitingSensor.resume_execution(next_kwargs)": _RESUMED,
    "sensors.waiting_sensor.WaitingSensor.resume_execution(return)": "the reports of runs and of jobs have types of their own",
    "triggers.events.ITwinRunEventTrigger.__init__(stored)": "parameters that a later version of this package stored",
    "triggers.events.ITwinRunEventTrigger.serialize(return)": _STORED,
    "triggers.itwin.ITwinRunTrigger.__init__(stored)": "parameters that a later version of this package stored",
    "triggers.itwin.ITwinRunTrigger.serialize(return)": _STORED,
    "triggers.jobs.ITwinJobTrigger.__init__(stored)": "parameters that a later version of this package stored",
    "triggers.jobs.ITwinJobTrigger.serialize(return)": _STORED,
    "utils.parameters.CheckedParameters.partial(kwargs)": _KWARGS,
}


def functions(module: str) -> Iterator[tuple[str, Any]]:
    """Return the public functions and methods of a module, with those that its classes inherit from private ones."""
    found = importlib.import_module(f"{PACKAGE}.{module}")
    for name, value in vars(found).items():
        if name.startswith("_") or getattr(value, "__module__", None) != found.__name__:
            continue
        if inspect.isfunction(value):
            yield f"{module}.{name}", value
        elif inspect.isclass(value):
            private = [
                base for base in value.__mro__ if base.__name__.startswith("_") and base.__module__ == found.__name__
            ]
            for cls in (value, *private):
                for member, one in vars(cls).items():
                    function = one.fget if isinstance(one, property) else inspect.unwrap(getattr(one, "__func__", one))
                    if inspect.isfunction(function) and (member == "__init__" or not member.startswith("_")):
                        yield f"{module}.{name}.{member}", function


def places_of_any(module: str) -> set[str]:
    return {
        f"{name}({parameter})"
        for name, function in functions(module)
        for parameter, hint in function.__annotations__.items()
        if re.search(r"\bAny\b", str(hint))
    }


@pytest.mark.parametrize("module", MODULES)
def test_a_public_signature_has_no_any_without_a_reason(module: str) -> None:
    expected = {place for place in REASONS if place.startswith(f"{module}.")}
    assert places_of_any(module) == expected


def test_each_reason_is_about_a_known_module() -> None:
    optional = {"triggers.events", "retry_policy"}
    assert {place.rpartition("(")[0] for place in REASONS if not place.startswith((*MODULES, *optional))} == set()
