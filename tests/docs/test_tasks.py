"""The pages of operators and sensors agree with the classes."""

from __future__ import annotations

import ast
import inspect
import re
from typing import TYPE_CHECKING

import pytest

from scripts.site_jobs import JOB_PAGES, definition_of
from scripts.site_tasks import TASKS, WITHOUT_PAGE, docstring_fields, outputs_of, parameters, signature, task_class

if TYPE_CHECKING:
    from pathlib import Path

INTERNAL = re.compile(
    r"\b(DEFAULT_FAIL_ON|IfActiveName|ResultName|XComArg|CheckedParameters|RunTask)\b|[^\w.]_\w+Operator"
)
BASES = re.compile(r"\b(ITwinRunOperator|ITwinRunSensor)\b")


def test_every_public_operator_and_sensor_has_a_page() -> None:
    from importlib import import_module

    from airflow_provider_itwin.get_provider_info import get_provider_info

    info = get_provider_info()
    modules = [module for kind in ("operators", "sensors") for module in info[kind][0]["python-modules"]]
    public = {name for module in modules for name in getattr(import_module(module), "__all__", ())}
    public = {name for name in public if name.startswith("ITwin")}
    of_jobs = {name for names in JOB_PAGES.values() for name in names.values()}
    assert {name for _, name in TASKS.values()} | of_jobs == public - WITHOUT_PAGE
    assert public >= WITHOUT_PAGE


@pytest.mark.parametrize("page", TASKS)
def test_the_docstring_describes_exactly_the_parameters(page: str) -> None:
    cls = task_class(page)
    described = docstring_fields(cls)
    assert {name for kind, name in described if kind == "param"} == set(signature(cls))
    templated = {name for (kind, name), text in described.items() if kind == "param" and "(templated" in text}
    assert templated == set(cls.template_fields)


@pytest.mark.parametrize("page", TASKS)
def test_the_table_has_defaults_as_a_user_writes_them(page: str) -> None:
    cls = task_class(page)
    for row in parameters(cls):
        default = signature(cls)[row.name][1]
        if default is inspect.Parameter.empty:
            assert row.default == "required"
        else:
            written = ast.literal_eval(row.default.strip("`"))
            assert written == (list(default) if isinstance(default, tuple) else default)


@pytest.mark.parametrize("page", TASKS)
def test_the_page_shows_parameters_outputs_and_errors_and_no_internal_name(page: str, site: Path) -> None:
    cls = task_class(page)
    text = (site / page).with_suffix(".html").read_text()
    article = text.partition("<article")[2].partition("</article>")[0]
    cells = re.findall(r"<td><code>(\w+)</code></td>", article)
    raised = [name for kind, name in docstring_fields(cls) if kind == "raises"]
    assert "ValueError" in raised
    assert outputs_of(cls)
    assert set(cells) >= {*signature(cls), *outputs_of(cls), *raised}
    assert all(row.meaning and row.type for row in parameters(cls))
    plain = re.sub(r"<[^>]+>", "", article)
    assert not INTERNAL.search(plain), INTERNAL.search(plain)
    assert "(templated)" not in plain


def test_no_page_but_the_architecture_names_a_base_class(site: Path) -> None:
    for page in set(site.rglob("*.html")) - {site / "architecture.html"}:
        assert not BASES.search(page.read_text()), page.name


def test_every_shipped_definition_has_a_page_with_its_inputs_and_states(site: Path) -> None:
    from airflow_provider_itwin import jobs

    shipped = {name for name in jobs.__all__ if name.isupper()}
    assert {name for names in JOB_PAGES.values() for name in names} == shipped
    for page, names in JOB_PAGES.items():
        text = (site / page).with_suffix(".html").read_text()
        article = text.partition("<article")[2].partition("</article>")[0]
        cells = set(re.findall(r"<code>([^<]+)</code>", article))
        for name, operator in names.items():
            definition = definition_of(name)
            assert getattr(jobs, operator).job is definition
            states = {*definition.running, *definition.passed, *definition.warned, *definition.failed}
            assert cells >= {*definition.inputs, *states}, page
            assert all(one.help for one in definition.inputs.values()), f"{name} has an input without a description"


def test_the_page_about_definitions_describes_every_parameter(site: Path) -> None:
    from dataclasses import fields

    from airflow_provider_itwin import jobs

    text = (site / "jobs" / "write-a-definition.html").read_text()
    for cls in (jobs.JobDefinition, jobs.JobInput, jobs.JobMessages, jobs.JobSearch):
        described = {name for kind, name in docstring_fields(cls) if kind == "param"}
        assert described == {one.name for one in fields(cls)}
        section = text.partition(f'id="{cls.__name__.lower()}"')[2].partition("</div>")[0]
        assert described <= set(re.findall(r"<td><code>(\w+)</code></td>", section))
