"""The docstrings of public classes: each documents its own parameters, inherited ones included."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_itwin import jobs
from airflow_provider_itwin.hooks.base import ITwinBaseHook
from airflow_provider_itwin.hooks.imodels import ITwinIModelMethods
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.hooks.jobs import ITwinJobMethods
from airflow_provider_itwin.operators import itwin as operators
from airflow_provider_itwin.operators.base import ITwinRunOperator
from airflow_provider_itwin.operators.jobs import ITwinJobOperator
from airflow_provider_itwin.sensors import itwin as sensors
from airflow_provider_itwin.sensors.base import ITwinRunSensor
from airflow_provider_itwin.sensors.jobs import ITwinJobSensor
from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger
from airflow_provider_itwin.triggers.jobs import ITwinJobTrigger
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS

OPERATORS = [getattr(operators, name) for name in operators.__all__]
SENSORS = [getattr(sensors, name) for name in sensors.__all__]
JOB_TASKS = [ITwinJobOperator, ITwinJobSensor]
JOB_OPERATORS = [getattr(jobs, name) for name in jobs.__all__ if name.endswith("Operator")]
TRIGGERS: list[type[Any]] = [ITwinRunTrigger, ITwinJobTrigger]
if AIRFLOW_V_3_0_PLUS:
    from airflow_provider_itwin.triggers.events import ITwinRunEventTrigger

    TRIGGERS.append(ITwinRunEventTrigger)

SIBLINGS: list[tuple[type[Any], type[Any]]] = [
    *((operator, ITwinRunOperator) for operator in OPERATORS if issubclass(operator, ITwinRunOperator)),
    *((sensor, ITwinRunSensor) for sensor in SENSORS),
]

_FIELD = re.compile(r"^:(\w+)(?: (\w+))?:\s*(.*?)(?=^:\w+[^:\n]*:|\Z)", re.MULTILINE | re.DOTALL)


def fields(documented: Any) -> dict[tuple[str, str], str]:
    """Return the fields of a docstring: their texts in one line, by role and name."""
    text = inspect.cleandoc(vars(documented)["__doc__"] if inspect.isclass(documented) else documented.__doc__ or "")
    return {(role, name): " ".join(text.split()) for role, name, text in _FIELD.findall(text)}


def parameters(function: Callable[..., Any]) -> set[str]:
    known = inspect.signature(function).parameters.values()
    return {
        parameter.name
        for parameter in known
        if parameter.name != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }


def own_parameters(cls: type[Any]) -> set[str]:
    """Return the parameters of a class that this package defines, without those of Airflow's base classes."""
    constructors = [inspect.unwrap(vars(base)["__init__"]) for base in cls.__mro__ if "__init__" in vars(base)]
    # Airflow gives a class without a constructor that of its base.
    ours = [one for one in constructors if getattr(one, "__module__", "").startswith("airflow_provider_itwin")]
    return {name for constructor in ours for name in parameters(constructor)}


def documented_parameters(documented: Any) -> set[str]:
    return {name for role, name in fields(documented) if role == "param"}


def hook_methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    for cls in (ITwinHook, ITwinBaseHook, ITwinIModelMethods, ITwinJobMethods):
        for name, value in vars(cls).items():
            if not name.startswith("_") and inspect.isfunction(value):
                yield name, value


@pytest.mark.parametrize(
    "cls", [*OPERATORS, *SENSORS, *JOB_TASKS, ITwinRunOperator, ITwinRunSensor, *TRIGGERS, ITwinHook]
)
def test_a_class_documents_each_parameter_in_its_own_docstring(cls: type[Any]) -> None:
    assert own_parameters(cls) <= documented_parameters(cls)


@pytest.mark.parametrize("cls", [*OPERATORS, *SENSORS, *JOB_TASKS, *TRIGGERS, ITwinHook])
def test_an_editor_shows_the_docstring_of_the_class(cls: type[Any]) -> None:
    # Editors prefer the docstring of a constructor.
    ours = [base for base in cls.__mro__ if base.__module__.startswith("airflow_provider_itwin")]
    constructors = [vars(base)[name] for base in ours for name in ("__new__", "__init__") if name in vars(base)]
    functions = [getattr(constructor, "__func__", constructor) for constructor in constructors]
    assert [function for function in functions if function.__doc__] == []


@pytest.mark.parametrize("cls", [*OPERATORS, *SENSORS, *JOB_TASKS, *TRIGGERS])
def test_a_class_documents_no_parameter_that_it_does_not_have(cls: type[Any]) -> None:
    assert documented_parameters(cls) - {"stored"} <= own_parameters(cls)


@pytest.mark.parametrize(("name", "method"), list(hook_methods()))
def test_a_method_of_the_hook_documents_its_parameters(name: str, method: Callable[..., Any]) -> None:
    assert documented_parameters(method) == parameters(method), name


@pytest.mark.parametrize(("cls", "base"), SIBLINGS)
def test_siblings_document_inherited_parameters_like_their_base(cls: type[Any], base: type[Any]) -> None:
    inherited = fields(base)
    assert {key: text for key, text in fields(cls).items() if key in inherited} == inherited


@pytest.mark.parametrize("cls", [*OPERATORS, *SENSORS])
def test_a_docstring_documents_results_errors_xcoms_and_mirrored_operators(cls: type[Any]) -> None:
    assert {role for role, _ in fields(cls)} == {"param", "return", "raises"}
    text = vars(cls)["__doc__"]
    assert re.search(r"XComs?: ``return_value``", text)
    assert re.search(r"Mirrors ``[a-z-]+``", text)


@pytest.mark.parametrize("cls", JOB_TASKS)
def test_a_docstring_documents_results_errors_and_xcoms_of_a_job(cls: type[Any]) -> None:
    assert {role for role, _ in fields(cls)} == {"param", "return", "raises"}
    assert re.search(r"XComs: ``return_value``", vars(cls)["__doc__"])


@pytest.mark.parametrize("cls", JOB_OPERATORS)
def test_the_operator_of_a_job_api_names_its_inputs_and_the_mirrored_operation(cls: type[Any]) -> None:
    text = " ".join(vars(cls)["__doc__"].split())
    assert re.search(r"Mirrors ``[a-z-]+``", text)
    named = re.findall(r"``(\w+)``", text.partition("Inputs:")[2])
    assert named == list(cls.job.inputs), "in the order of the definition"
