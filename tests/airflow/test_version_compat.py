"""
Undocumented parts of Airflow, requests, urllib3 and http.client that this package uses still exist.

A failing test names the function of ``version_compat``, or the class of the synchronous client, that a new version breaks.
"""

from __future__ import annotations

import http.client
import inspect
import re
import subprocess
import sys
import warnings
from importlib import import_module
from types import ModuleType, SimpleNamespace

import pytest
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from airflow_provider_itwin import sdk_compat, version_compat
from airflow_provider_itwin.version_compat import (
    AIRFLOW_V_3_0_PLUS,
    AIRFLOW_V_3_2_PLUS,
    AIRFLOW_V_3_3_PLUS,
    asset_state_stores,
    asset_types,
    configured_stats,
    has_post_execute,
    is_deferral_timeout,
    is_failed_deferral,
    mask_secret,
    sensitive_field_placeholder,
    trigger_deadline,
)
from tests.airflow.sdk import AirflowException, Asset, BaseOperator


def test_importing_version_compat_imports_no_airflow() -> None:
    code = "import sys, airflow_provider_itwin.version_compat; print('airflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False"]


def test_importing_sdk_compat_imports_no_airflow() -> None:
    code = "import sys, airflow_provider_itwin.sdk_compat; print('airflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("name", sorted(sdk_compat.MODULES))
def test_sdk_compat_finds_each_name_without_a_warning(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(sdk_compat, name) is not None


def test_sdk_compat_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'DAG'"):
        sdk_compat.DAG  # type: ignore[attr-defined]  # noqa: B018


def test_sdk_compat_declares_the_types_of_its_names() -> None:
    declared = re.findall(r"^    from \S+ import (\w+) as \1$", inspect.getsource(sdk_compat), re.MULTILINE)
    assert sorted(declared) == sorted(sdk_compat.MODULES)


def test_mask_secret() -> None:
    mask_secret("a-secret-of-this-test")
    if AIRFLOW_V_3_2_PLUS:
        place = "airflow.sdk._shared.secrets_masker"
    elif AIRFLOW_V_3_0_PLUS:
        place = "airflow.sdk.execution_time.secrets_masker"
    else:
        place = "airflow.utils.log.secrets_masker"
    redact = import_module(place).redact
    assert "a-secret-of-this-test" not in str(redact("x a-secret-of-this-test y"))


@pytest.mark.parametrize("is_timeout", [True, False])
def test_is_failed_deferral_and_is_deferral_timeout(is_timeout: bool) -> None:
    timeout = "Trigger timeout" if AIRFLOW_V_3_0_PLUS else "Trigger/execution timeout"
    with pytest.raises(AirflowException) as caught:
        BaseOperator(task_id="a").resume_execution("__fail__", {"error": timeout if is_timeout else "failure"}, {})
    assert is_failed_deferral(caught.value)
    assert is_deferral_timeout(caught.value) is is_timeout


def test_other_errors_do_not_count_as_a_failed_deferral() -> None:
    error = AirflowException("Trigger/execution timeout")
    assert not is_failed_deferral(error)
    assert not is_deferral_timeout(error)


def test_asset_types() -> None:
    assert isinstance(Asset(uri="itwin://a/imodels/b"), asset_types())
    if AIRFLOW_V_3_0_PLUS:
        assert isinstance(Asset.ref(name="a"), asset_types())
        assert isinstance(Asset.ref(uri="itwin://a/imodels/b"), asset_types())
    assert not isinstance("a", asset_types())


def test_configured_stats_can_count_and_time() -> None:
    stats = configured_stats()
    assert "tags" in inspect.signature(stats.incr).parameters
    assert "tags" in inspect.signature(stats.timing).parameters


@pytest.mark.skipif(not AIRFLOW_V_3_2_PLUS, reason="Older versions have one module for metrics")
def test_configured_stats_knows_the_modules() -> None:
    for name in version_compat._STATS_MODULES:
        module = import_module(name)
        assert hasattr(module, "_factory") or "factory" in vars(type(module.Stats)) or hasattr(module.Stats, "factory")


def test_configured_stats_prefers_the_configured_module(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, triggerer = (ModuleType(name) for name in version_compat._STATS_MODULES)
    for module in (worker, triggerer):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    # Airflow 3.3, in the triggerer and on a worker.
    vars(worker)["_factory"] = None
    vars(triggerer)["_factory"] = object
    assert configured_stats() is triggerer
    vars(worker)["_factory"] = object
    assert configured_stats() is worker
    # Airflow 3.2.
    vars(worker).pop("_factory")
    vars(triggerer).pop("_factory")
    vars(worker)["Stats"] = type("Stats", (), {})
    vars(triggerer)["Stats"] = type("Stats", (), {"factory": object})
    assert configured_stats() is vars(triggerer)["Stats"]
    # Neither is configured.
    monkeypatch.undo()
    assert hasattr(configured_stats(), "incr")


def test_asset_state_stores_without_a_store() -> None:
    assert asset_state_stores(SimpleNamespace()) == []
    assert asset_state_stores(SimpleNamespace(asset_state_store=None)) == []


def test_asset_state_stores_of_an_unknown_store_is_the_store_itself() -> None:
    store = object()
    assert asset_state_stores(SimpleNamespace(asset_state_store=store)) == [store]


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow 3.3 introduced the asset state store")
def test_asset_state_stores_of_several_assets() -> None:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors
    from airflow.triggers.base import BaseEventTrigger

    assert "asset_state_store" in inspect.getsource(BaseEventTrigger.__init__)
    assets = [Asset(name=name, uri=f"itwin://a/imodels/{name}") for name in ("b", "c")]
    stores = asset_state_stores(SimpleNamespace(asset_state_store=AssetStateStoreAccessors(inlets=assets)))
    assert len(stores) == 2
    assert all(callable(store.aget) and callable(store.aset) for store in stores)


def test_trigger_deadline() -> None:
    from datetime import UTC, datetime

    assert trigger_deadline(SimpleNamespace()) is None
    assert trigger_deadline(SimpleNamespace(timeout_after=None)) is None
    assert trigger_deadline(SimpleNamespace(timeout_after=datetime.fromtimestamp(5, UTC))) == 5.0


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Older versions start no task in the triggerer")
def test_the_triggerer_sets_the_trigger_deadline() -> None:
    from airflow.jobs import triggerer_job_runner

    assert ".timeout_after = workload.timeout_after" in inspect.getsource(triggerer_job_runner)


def test_has_post_execute() -> None:
    assert not has_post_execute(BaseOperator(task_id="a"))
    assert has_post_execute(BaseOperator(task_id="a", post_execute=lambda *_: None))


@pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="Airflow 3 encrypts secrets itself")
def test_sensitive_field_placeholder() -> None:
    assert sensitive_field_placeholder()


def test_deadline_adapter_overrides_what_urllib3_and_http_client_call() -> None:
    """See :mod:`airflow_provider_itwin.api.http.deadline`, which derives from these classes."""
    assert "self._new_conn()" in inspect.getsource(HTTPConnection.connect)
    assert "self._tunnel()" in inspect.getsource(HTTPConnection.connect)
    assert http.client.HTTPConnection.response_class is http.client.HTTPResponse
    assert 'sock.makefile("rb")' in inspect.getsource(http.client.HTTPResponse.__init__)
    assert HTTPConnectionPool.ConnectionCls is HTTPConnection
    assert set(PoolManager().pool_classes_by_scheme) == {"http", "https"}
    assert hasattr(HTTPConnection("host"), "socket_options")
