"""
iModels as Airflow assets, and the runs in their asset events.

The URI of an iModel is ``itwin://<API host>/imodels/<iModel id>``, such as
``itwin://api.bentley.com/imodels/7dbd531d-6967-47b2-8945-a722a437ad7a``. DAG files use this module, so it imports little.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import checked_id
from airflow_provider_itwin.sdk_compat import Asset, AssetAlias
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS, asset_types

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset

__all__ = [
    "RUN_KEY",
    "add_run_to_events",
    "convert_asset_to_openlineage",
    "create_asset",
    "imodel_asset",
    "run_of",
    "sanitize_uri",
    "short_report",
    "triggering_runs",
]

DEFAULT_HOST = "api.bentley.com"

RUN_KEY = "itwin_run"
"""The key of the run in the extra of an asset event, and in the payload of a watcher's event."""

_SHORT_REPORT = (
    "ref",
    "connection_name",
    "imodel_id",
    "state",
    "result",
    "started",
    "ended",
    "duration",
    "totals",
    "error",
    "summary",
)

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def imodel_asset(imodel_id: str, *, host: str | None = None, name: str | None = None, **more: Any) -> Asset:
    """
    Return the asset of an iModel.

    :param imodel_id: the id of the iModel in the iTwin Platform
    :param host: the host of its API, as in the Airflow connection; None: ``api.bentley.com``
    :param name: name of the asset in Airflow 3; None: its URI. Airflow 2 identifies assets by URI only
    :param more: any other parameters of ``Asset``: `group`, `extra`, `watchers` ...
    :raises ValueError: if the id or the host is invalid
    """
    checked_id(imodel_id, "imodel_id")
    parts = urlsplit(host if host and "//" in host else f"//{host or DEFAULT_HOST}")
    if not parts.hostname or parts.path.strip("/") or parts.query:
        raise ITwinInputError(f"host must be a host, such as {DEFAULT_HOST}, not {parts.netloc + parts.path!r}")
    uri = sanitize_uri(urlsplit(f"itwin://{parts.netloc.rpartition('@')[2]}/imodels/{imodel_id}")).geturl()
    if AIRFLOW_V_3_0_PLUS and name:
        more["name"] = name
    return Asset(uri=uri, **more)


def create_asset(*, imodel_id: str, host: str | None = None, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of an iModel, for Airflow's hook lineage."""
    return imodel_asset(imodel_id, host=host, extra=extra or {})


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Normalize the URI of an iModel; Airflow calls this for every asset with our scheme.

    Host and GUID become lower case, credentials and default ports are dropped, and a missing host becomes ``api.bentley.com``.

    :raises ValueError: if it is not the URI of an iModel; the error text contains no secret
    """
    if uri.query:
        raise ITwinInputError("The URI of an iModel must have no query")
    netloc = (uri.netloc.rpartition("@")[2] or DEFAULT_HOST).lower()
    segments = [segment for segment in uri.path.split("/") if segment]
    if len(segments) != 2 or segments[0].lower() != "imodels":
        raise ITwinInputError(
            f"The URI of an iModel must be itwin://{DEFAULT_HOST}/imodels/<id>; its path is {uri.path!r}"
        )
    imodel_id = segments[1]
    checked_id(unquote(imodel_id), "the iModel id")
    if _GUID.fullmatch(imodel_id):
        imodel_id = imodel_id.lower()
    return uri._replace(netloc=netloc.removesuffix(":443"), path=f"/imodels/{imodel_id}", fragment="")


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> OpenLineageDataset:
    """Return the OpenLineage dataset of an iModel asset."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=f"itwin://{parts.netloc}", name=parts.path.lstrip("/"))


def short_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the part of a run report that asset events contain: a few hundred bytes, at most 4 KiB.

    :param report: the run report, as in the XCom ``run_report``
    """
    return {name: report.get(name) for name in _SHORT_REPORT}


def run_of(event: Any) -> dict[str, Any] | None:
    """
    Return the run in an asset event of a run operator, a sensor or a watcher.

    :param event: an asset event, as a task receives it
    :return: `ref`, `connection_name`, `imodel_id`, `state`, `result`, `started`, `ended`, `duration`, `totals`, `error` and
        `summary` of the run; only `ref` is set if the sending task did not wait for the run. None if the event contains no run
    """
    extra = getattr(event, "extra", None)
    payload = extra.get("payload") if isinstance(extra, Mapping) else None
    for place in (extra, payload):
        run = place.get(RUN_KEY) if isinstance(place, Mapping) else None
        if isinstance(run, str):
            with contextlib.suppress(ValueError):
                run = json.loads(run)
        if isinstance(run, Mapping):
            return dict(run)
    return None


def triggering_runs(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    Return the runs whose asset events triggered this DAG run, oldest event first, each run once.

    :param context: the context of a task, as ``get_current_context()`` returns it
    :return: what :func:`run_of` returns for each
    """
    by_asset = context.get("triggering_asset_events" if AIRFLOW_V_3_0_PLUS else "triggering_dataset_events") or {}
    events = sorted((event for some in by_asset.values() for event in some), key=lambda event: str(event.timestamp))
    return list({str(run.get("ref")): run for run in map(run_of, events) if run is not None}.values())


def add_run_to_events(
    context: Mapping[str, Any], outlets: Iterable[Any], report: Mapping[str, Any], imodel: Callable[[], Asset | None]
) -> None:
    """
    Add a run to the asset events that Airflow creates for the outlets of a task if the task succeeds.

    :param report: a run report, or the known part of one
    :param imodel: returns the asset of the iModel, None if it is unknown; called for each alias among the outlets
    """
    events = context.get("outlet_events")
    if events is None:
        return
    extra = {RUN_KEY: short_report(report)}
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            asset = imodel()
            if asset is not None:
                # Before Airflow 3.3, the extra of an alias event must be hashable by value, so it cannot be nested.
                flat = extra if AIRFLOW_V_3_3_PLUS else {RUN_KEY: json.dumps(extra[RUN_KEY])}
                events[outlet].add(asset, extra=flat)
        elif isinstance(outlet, asset_types()):
            events[outlet].extra.update(extra)
