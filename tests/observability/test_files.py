"""The dashboard and the alert rules: valid, and about metrics that the provider emits."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from airflow_provider_itwin.metrics import JOB_OUTCOMES, METRICS
from scripts.airflow_home import CHECKOUT

pytestmark = pytest.mark.publishing

FOLDER = CHECKOUT / "docs" / "observability"
PAGE = CHECKOUT / "docs" / "observability.md"
RULES: dict[str, Any] = yaml.safe_load((FOLDER / "alerts.yml").read_text())
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text())

TEXT = {"type": "string", "minLength": 1}
DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|[smhdwy]))+$"}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def exactly(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of an object with these properties and no others."""
    return {
        "type": "object",
        "required": list(required),
        "properties": required | (optional or {}),
        "additionalProperties": False,
    }


def some(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


# The format of Prometheus rule files.
RULE_FILE = exactly(
    {
        "groups": some(
            exactly(
                {
                    "name": TEXT,
                    "rules": some(
                        exactly(
                            {
                                "alert": {"type": "string", "pattern": "^ITwin[A-Za-z]+$"},
                                "expr": TEXT,
                                "labels": exactly({"severity": {"enum": ["critical", "warning"]}}),
                                "annotations": exactly({"summary": TEXT, "description": TEXT}),
                            },
                            {"for": DURATION},
                        )
                    ),
                },
                {"interval": DURATION},
            )
        )
    }
)

DATA_SOURCE = exactly({"type": {"const": "prometheus"}, "uid": {"const": "${datasource}"}})
COUNT = {"type": "integer", "minimum": 0}
# The part of Grafana's dashboard model (version 39) that this dashboard uses.
DASHBOARD_FILE = exactly(
    {
        "uid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"},
        "title": TEXT,
        "description": TEXT,
        "tags": some(TEXT),
        "schemaVersion": {"const": 39},
        "version": COUNT,
        "editable": {"type": "boolean"},
        "timezone": {"enum": ["browser", "utc"]},
        "refresh": DURATION,
        "time": exactly({"from": TEXT, "to": TEXT}),
        "templating": exactly({"list": some({"type": "object", "required": ["name", "type", "query"]})}),
        "annotations": exactly({"list": {"type": "array"}}),
        "links": {"type": "array"},
        "panels": some(
            exactly(
                {
                    "id": {"type": "integer", "minimum": 1},
                    "title": TEXT,
                    "description": TEXT,
                    "type": {"enum": ["stat", "timeseries"]},
                    "datasource": DATA_SOURCE,
                    "gridPos": exactly({"h": COUNT, "w": {"enum": [6, 12, 24]}, "x": COUNT, "y": COUNT}),
                    "targets": some(
                        exactly(
                            {"refId": TEXT, "datasource": DATA_SOURCE, "expr": TEXT, "legendFormat": TEXT},
                            {"instant": {"type": "boolean"}, "range": {"type": "boolean"}},
                        )
                    ),
                    "fieldConfig": exactly({"defaults": {"type": "object"}, "overrides": {"type": "array"}}),
                    "options": {"type": "object"},
                }
            )
        ),
    }
)

EXPRESSIONS = {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"]} | {
    f"{panel['title']}: {target['legendFormat']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}


def series_in(text: str) -> set[str]:
    return set(re.findall(r"\bairflow_itwin_\w+", text))


def series_of_metrics() -> dict[str, set[str]]:
    """Return the labels of each series in Prometheus: a StatsD timer is a summary there."""
    series: dict[str, set[str]] = {}
    for metric in METRICS:
        name = f"airflow_{metric.name.replace('.', '_')}"
        for one in [name] if metric.kind == "counter" else [f"{name}_sum", f"{name}_count"]:
            series[one] = set(metric.tags)
    return series


def parsed(expression: str) -> Any:
    """Parse an expression, with values in place of Grafana's variables."""
    promql = pytest.importorskip("promql_parser")
    variables = {"$__rate_interval": "5m", "$__range": "24h", "$kind": "storage|export"}
    for variable, value in variables.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return promql.parse(expression)


@pytest.mark.parametrize(("content", "schema"), [(RULES, RULE_FILE), (DASHBOARD, DASHBOARD_FILE)])
def test_the_files_have_the_format(content: dict[str, Any], schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(content)] == []


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_is_valid(name: str) -> None:
    parsed(EXPRESSIONS[name])


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_uses_metrics_and_tags_that_exist(name: str) -> None:
    expression = EXPRESSIONS[name]
    known = series_of_metrics()
    assert series_in(expression)
    assert series_in(expression) <= set(known)
    labels = set(re.findall(r"(\w+)\s*[!=]~?\s*\"", expression))
    for clause in re.findall(r"\bby \(([^)]*)\)", expression):
        labels |= {label.strip() for label in clause.split(",")}
    for series in series_in(expression):
        assert labels <= known[series], series


def test_results_in_expressions_exist() -> None:
    results = {name.removeprefix("itwin.runs.ended.") for name in (metric.name for metric in METRICS)}
    for expression in EXPRESSIONS.values():
        for value in re.findall(r'result=~"([^"]*)"', expression):
            assert set(value.split("|")) <= results


def test_outcomes_in_expressions_exist() -> None:
    values = {value for text in EXPRESSIONS.values() for value in re.findall(r'outcome="([^"]*)"', text)}
    assert values
    assert values <= set(JOB_OUTCOMES)


def test_the_dashboard_shows_every_metric() -> None:
    # The counters of single results and outcomes are for StatsD without tags.
    shown = set().union(*map(series_in, EXPRESSIONS.values()))
    assert {name for name in series_of_metrics() if not re.search("_(runs|jobs)_ended_", name)} == shown


def test_panels_do_not_overlap() -> None:
    cells = [
        (column, row)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert {column for column, _ in cells} == set(range(24))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_page_lists_every_metric() -> None:
    listed = dict(re.findall(r"^\| `(itwin\.[\w.<>]+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    single = re.compile(r"itwin\.runs\.ended\.\w+")
    of_jobs = re.compile(r"itwin\.jobs\.ended\.\w+")
    names = {
        of_jobs.sub("itwin.jobs.ended.<outcome>", single.sub("itwin.runs.ended.<result>", metric.name)): metric.kind
        for metric in METRICS
    }
    assert listed == names


def test_the_rules_do_what_their_scenarios_say() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool of Prometheus not found; CI needs it")
        pytest.skip("promtool of Prometheus not found")
    subprocess.run([promtool, "check", "rules", FOLDER / "alerts.yml"], check=True, timeout=60)
    subprocess.run([promtool, "test", "rules", Path(__file__).parent / "alerts_test.yml"], check=True, timeout=60)
