"""
iModels as assets: what their URIs look like, and what the events of such an asset tell of the run behind it.

An iModel's URI is ``itwin://<host of the API>/imodels/<id of the iModel>``, such as
``itwin://api.bentley.com/imodels/7dbd531d-6967-47b2-8945-a722a437ad7a``. DAG files use this module, so it imports nothing that
they need not know.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import checked_id
from airflow_provider_itwin.utils.asset_events import RUN_KEY, told_run
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset

__all__ = [
    "RUN_KEY",
    "convert_asset_to_openlineage",
    "create_asset",
    "imodel_asset",
    "run_of",
    "sanitize_uri",
    "tell",
    "triggering_runs",
]

log = logging.getLogger(__name__)

DEFAULT_HOST = "api.bentley.com"

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def imodel_asset(imodel_id: str, *, host: str | None = None, name: str | None = None, **more: Any) -> Asset:
    """
    Make the asset of an iModel.

    :param imodel_id: its id in the iTwin Platform
    :param host: the API that it belongs to, as in the Airflow connection; None for ``https://api.bentley.com``
    :param name: what Airflow 3 calls the asset, None for its URI; Airflow 2 knows assets by their URI only
    :param more: anything else that an ``Asset`` takes: `group`, `extra`, `watchers` ...
    :raises ValueError: if the id or the host make no sense
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
    """Make the asset of an iModel, for Airflow's hook lineage."""
    return imodel_asset(imodel_id, host=host, extra=extra or {})


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Give the one way to spell the URI of an iModel; Airflow asks for it whenever somebody makes an asset with ours.

    Host and GUID get lower case, credentials and default ports are dropped, and a missing host is ``api.bentley.com``.

    :raises ValueError: if it is not the URI of an iModel; the text holds no secret
    """
    if uri.query:
        raise ITwinInputError("The URI of an iModel has no query; such an address may be a secret, too")
    netloc = (uri.netloc.rpartition("@")[2] or DEFAULT_HOST).lower()
    segments = [segment for segment in uri.path.split("/") if segment]
    if len(segments) != 2 or segments[0].lower() != "imodels":
        raise ITwinInputError(
            f"The URI of an iModel is itwin://{DEFAULT_HOST}/imodels/<id>, not one with the path {uri.path!r}"
        )
    imodel_id = segments[1]
    checked_id(unquote(imodel_id), "the id of the iModel")
    if _GUID.fullmatch(imodel_id):
        imodel_id = imodel_id.lower()
    return uri._replace(netloc=netloc.removesuffix(":443"), path=f"/imodels/{imodel_id}", fragment="")


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> OpenLineageDataset:
    """Give the asset of an iModel as OpenLineage names it."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=f"itwin://{parts.netloc}", name=parts.path.lstrip("/"))


def run_of(event: Any) -> dict[str, Any] | None:
    """
    Read which run an asset event tells of, whether a run operator, a sensor or a watcher has sent it.

    :param event: an asset event, as a task gets it
    :return: `ref`, `state`, `result`, `started`, `ended`, `duration`, `totals`, `error` and `summary` of the run, all but the
        first None if the task that sent it has not waited for the run; None if the event does not tell of one
    """
    extra = getattr(event, "extra", None)
    payload = extra.get("payload") if isinstance(extra, Mapping) else None
    for place in (extra, payload):
        told = place.get(RUN_KEY) if isinstance(place, Mapping) else None
        if isinstance(told, str):
            with contextlib.suppress(ValueError):
                told = json.loads(told)
        if isinstance(told, Mapping):
            return dict(told)
    return None


def triggering_runs(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    Give the runs whose events have started this DAG run, oldest event first; a run that was told of twice is there once.

    :param context: the context of a task, as ``get_current_context()`` gives it
    :return: what :func:`run_of` gives for each
    """
    events = context.get("triggering_asset_events" if AIRFLOW_V_3_0_PLUS else "triggering_dataset_events") or {}
    told = sorted((event for some in events.values() for event in some), key=lambda event: str(event.timestamp))
    return list({str(run.get("ref")): run for run in map(run_of, told) if run is not None}.values())


def tell(
    context: Mapping[str, Any], outlets: Iterable[Any], report: Mapping[str, Any], imodel: Callable[[], Asset | None]
) -> None:
    """
    Attach a run to the events that Airflow will make for the outlets of a task, if it succeeds.

    :param report: a run report, or as much of one as is known
    :param imodel: finds out which iModel it is about; an alias among the outlets stands for that
    """
    events = context.get("outlet_events")
    if events is None:
        return
    extra = {RUN_KEY: told_run(report)}
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            asset = imodel()
            if asset is not None:
                # Older Airflows look for events of aliases that are alike by hashing what is in them.
                flat = extra if AIRFLOW_V_3_3_PLUS else {RUN_KEY: json.dumps(extra[RUN_KEY])}
                events[outlet].add(asset, extra=flat)
        elif isinstance(outlet, _WITH_EVENTS):
            events[outlet].extra.update(extra)


def _kinds_with_events() -> tuple[type, ...]:
    if not AIRFLOW_V_3_0_PLUS:
        return (Asset,)
    from airflow.sdk.definitions import asset as definitions

    return (Asset, *(kind for kind in [getattr(definitions, "AssetRef", None)] if kind))


_WITH_EVENTS = _kinds_with_events()
