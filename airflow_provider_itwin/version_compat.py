"""
Differences between versions of Airflow, and everything that this package uses of Airflow without its being documented.

DAG files reach this module: it imports the standard library only, and Airflow inside the functions.
``tests/airflow/test_version_compat.py`` names each function that a new version of Airflow breaks.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def _airflow_version() -> tuple[int, ...]:
    # Importing Airflow here would be circular: Airflow reads our provider metadata while it is imported.
    for distribution in ("apache-airflow-core", "apache-airflow"):
        try:
            found = re.match(r"(\d+)\.(\d+)", version(distribution))
        except (PackageNotFoundError, TypeError):
            continue
        if found:
            return int(found[1]), int(found[2])
    # Every Airflow command reads our metadata, so this must not fail. Assume the oldest supported version.
    return 2, 11


AIRFLOW_VERSION: tuple[int, ...] = _airflow_version()

AIRFLOW_V_3_0_PLUS = AIRFLOW_VERSION >= (3, 0)
AIRFLOW_V_3_1_PLUS = AIRFLOW_VERSION >= (3, 1)
AIRFLOW_V_3_2_PLUS = AIRFLOW_VERSION >= (3, 2)
AIRFLOW_V_3_3_PLUS = AIRFLOW_VERSION >= (3, 3)
AIRFLOW_V_3_4_PLUS = AIRFLOW_VERSION >= (3, 4)


# Documented, but in different places.


def mask_secret(secret: str) -> None:
    """Register a secret with Airflow, which masks it in all logs of the process."""
    masker = import_module("airflow.sdk.log" if AIRFLOW_V_3_0_PLUS else "airflow.utils.log.secrets_masker")
    masker.mask_secret(secret)


def is_failed_deferral(error: BaseException) -> bool:
    """Return whether Airflow raised `error` because a deferral failed: its trigger, or its timeout."""
    return is_deferral_timeout(error) or isinstance(error, _exceptions().TaskDeferralError)


def is_deferral_timeout(error: BaseException) -> bool:
    """
    Return whether Airflow raised `error` because the timeout of a deferral passed.

    Airflow 2 has no exception of its own for this: only the text differs.
    """
    if AIRFLOW_V_3_0_PLUS:
        return isinstance(error, _exceptions().TaskDeferralTimeout)
    return isinstance(error, _exceptions().TaskDeferralError) and str(error) == "Trigger/execution timeout"


def _exceptions() -> Any:
    return import_module("airflow.sdk.exceptions" if AIRFLOW_V_3_2_PLUS else "airflow.exceptions")


def event_trigger_queue(queue: str | None) -> dict[str, str]:
    """
    Return the keyword arguments that give an event trigger its queue of triggerers; none without a queue.

    :raises ITwinInputError: before Airflow 3.4, which has no such queues
    """
    if queue is None:
        return {}
    if not AIRFLOW_V_3_4_PLUS:
        from airflow_provider_itwin.api.errors import ITwinInputError

        installed = ".".join(map(str, AIRFLOW_VERSION))
        raise ITwinInputError(f"queue needs Airflow 3.4 or newer, and this is Airflow {installed}; remove it")
    return {"queue": queue}


def asset_types() -> tuple[type, ...]:
    """Return the types of outlets whose events can be annotated: assets, and on Airflow 3 references to them."""
    from airflow_provider_itwin.sdk_compat import Asset

    if not AIRFLOW_V_3_0_PLUS:
        return (Asset,)
    # The types themselves are not exported.
    return (Asset, type(Asset.ref(name="name")), type(Asset.ref(uri="itwin://host/imodels/id")))


# Not documented.

_STATS_MODULES = ("airflow.sdk._shared.observability.metrics.stats", "airflow._shared.observability.metrics.stats")


def configured_stats() -> Any:
    """
    Return the metrics that this process has configured: something with ``incr`` and ``timing``.

    Airflow 3.2 and 3.3 have two copies of the module: workers configure one, the triggerer the other, and a copy that is not
    configured drops what it gets. No documented way shows which one is configured; Airflow 2.11 to 3.1 have one only.
    """
    for name in _STATS_MODULES:
        module = sys.modules.get(name)
        if getattr(module, "_factory", None) is not None:
            return module
        stats = getattr(module, "Stats", None)
        if stats is not None and vars(stats).get("factory") is not None:
            return stats
    module_name = "airflow.sdk.observability.stats" if AIRFLOW_V_3_2_PLUS else "airflow.stats"
    return import_module(module_name).Stats


def asset_state_stores(trigger: Any) -> list[Any]:
    """
    Return the state stores of all assets that `trigger` watches; none before Airflow 3.3.

    One trigger serves all assets that are watched with equal parameters. The documented methods of its store work for a single
    asset only, or need the assets, which a trigger does not know.
    """
    store = getattr(trigger, "asset_state_store", None)
    if store is None:
        return []
    return [*getattr(store, "_by_name", {}).values(), *getattr(store, "_by_uri", {}).values()] or [store]


def trigger_deadline(trigger: Any) -> float | None:
    """
    Return the epoch seconds at which the scheduler times `trigger` out; None if they are unknown.

    The triggerer sets the attribute; a trigger has no other way to learn when a task that starts in the triggerer must end.
    """
    moment = getattr(trigger, "timeout_after", None)
    return None if moment is None else float(moment.timestamp())


def has_post_execute(task: Any) -> bool:
    """
    Return whether a task was given ``post_execute``.

    The parameter is documented; the operator keeps it in a private attribute only.
    """
    return getattr(task, "_post_execute_hook", None) is not None


def sensitive_field_placeholder() -> str:
    """Return what the connection form of Airflow 2 shows in place of a secret; posted back, it leaves the secret unchanged."""
    placeholder: str = import_module("airflow.www.views").SENSITIVE_FIELD_PLACEHOLDER
    return placeholder
