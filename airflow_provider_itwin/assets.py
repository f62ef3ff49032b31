"""
iModels, their named versions and storage folders as Airflow assets, and what their asset events contain.

The URI of an iModel is ``itwin://<API host>/imodels/<id>``, such as
``itwin://api.bentley.com/imodels/7dbd531d-6967-47b2-8945-a722a437ad7a``; that of its newest named version has ``/namedversions``
after it; that of a folder is ``itwin://<API host>/storage/folders/<id>``.

DAG files use this module, so it imports little.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.json_types import EventRunDict, EventUploadDict, JsonValue, NamedVersionDict
from airflow_provider_itwin.api.models.validation import checked_id
from airflow_provider_itwin.sdk_compat import Asset, AssetAlias
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS, asset_types

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset

__all__ = [
    "NAMED_VERSION_KEY",
    "RUN_KEY",
    "UPLOAD_KEY",
    "add_run_to_events",
    "add_to_events",
    "convert_asset_to_openlineage",
    "create_asset",
    "imodel_asset",
    "named_version_asset",
    "named_version_of",
    "normalized_id",
    "run_of",
    "sanitize_uri",
    "short_report",
    "storage_folder_asset",
    "triggering_runs",
    "upload_of",
]

DEFAULT_HOST = "api.bentley.com"

RUN_KEY = "itwin_run"
"""The key of the run in the extra of an asset event, and in the payload of a watcher's event."""

UPLOAD_KEY = "itwin_upload"
"""The key of an upload in the extra of an asset event."""

NAMED_VERSION_KEY = "itwin_named_version"
"""The key of a named version in the extra of an asset event."""

_FORMS: tuple[tuple[str, ...], ...] = (
    ("imodels", "<iModel id>"),
    ("imodels", "<iModel id>", "namedversions"),
    ("storage", "folders", "<folder id>"),
)
"""The paths of our URIs, by segment."""

_URIS = " or ".join("/".join(("itwin:/", DEFAULT_HOST, *form)) for form in _FORMS)

_SHORT_REPORT = tuple(EventRunDict.__annotations__)

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
    return _asset(f"imodels/{imodel_id}", host, name, more)


def named_version_asset(imodel_id: str, *, host: str | None = None, name: str | None = None, **more: Any) -> Asset:
    """
    Return the asset of the newest named version of an iModel.

    It is one asset for all named versions of the iModel, so that DAGs can be scheduled on it: the id of a version is known only
    after it was created. Each event is a new version; :func:`named_version_of` returns it.

    :param imodel_id: the id of the iModel in the iTwin Platform
    :param host: as for :func:`imodel_asset`
    :param name: as for :func:`imodel_asset`
    :param more: any other parameters of ``Asset``
    :raises ValueError: if the id or the host is invalid
    """
    checked_id(imodel_id, "imodel_id")
    return _asset(f"imodels/{imodel_id}/namedversions", host, name, more)


def storage_folder_asset(folder_id: str, *, host: str | None = None, name: str | None = None, **more: Any) -> Asset:
    """
    Return the asset of a folder of iTwin Storage.

    :param folder_id: the id of the folder
    :param host: as for :func:`imodel_asset`
    :param name: as for :func:`imodel_asset`
    :param more: any other parameters of ``Asset``
    :raises ValueError: if the id or the host is invalid
    """
    checked_id(folder_id, "folder_id")
    return _asset(f"storage/folders/{folder_id}", host, name, more)


def _asset(path: str, host: str | None, name: str | None, more: dict[str, Any]) -> Asset:
    parts = urlsplit(host if host and "//" in host else f"//{host or DEFAULT_HOST}")
    if not parts.hostname or parts.path.strip("/") or parts.query:
        raise ITwinInputError(f"host must be a host, such as {DEFAULT_HOST}, not {parts.netloc + parts.path!r}")
    uri = sanitize_uri(urlsplit(f"itwin://{parts.netloc.rpartition('@')[2]}/{path}")).geturl()
    if AIRFLOW_V_3_0_PLUS and name:
        more["name"] = name
    return Asset(uri=uri, **more)


def create_asset(*, imodel_id: str, host: str | None = None, extra: dict[str, JsonValue] | None = None) -> Asset:
    """Return the asset of an iModel, for Airflow's hook lineage."""
    return imodel_asset(imodel_id, host=host, extra=extra or {})


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Normalize the URI of an asset; Airflow calls this for every asset with our scheme.

    Host and GUID become lower case, credentials and default ports are dropped, and a missing host becomes ``api.bentley.com``.

    :raises ValueError: if it is not the URI of an iModel, of its named versions or of a storage folder; the error text contains
        no secret
    """
    if uri.query:
        raise ITwinInputError(f"The URI of an asset of iTwin must have no query; it must be {_URIS}")
    netloc = (uri.netloc.rpartition("@")[2] or DEFAULT_HOST).lower()
    segments = [segment for segment in uri.path.split("/") if segment]
    form = next((form for form in _FORMS if _has_form(segments, form)), None)
    if form is None:
        raise ITwinInputError(f"The URI of an asset of iTwin must be {_URIS}; its path is {uri.path!r}")
    path = ""
    for part, segment in zip(form, segments, strict=True):
        if part.startswith("<"):
            checked_id(unquote(segment), f"the {part.strip('<>')}")
            path += f"/{normalized_id(segment)}"
        else:
            path += f"/{part}"
    return uri._replace(netloc=netloc.removesuffix(":443"), path=path, fragment="")


def _has_form(segments: list[str], form: tuple[str, ...]) -> bool:
    return len(segments) == len(form) and all(
        part.startswith("<") or segment.lower() == part for part, segment in zip(form, segments, strict=True)
    )


def normalized_id(resource_id: str) -> str:
    """Return an id as it is in URIs and names: a GUID in lower case, any other as it is."""
    return resource_id.lower() if _GUID.fullmatch(resource_id) else resource_id


def convert_asset_to_openlineage(asset: Asset, lineage_context: object) -> OpenLineageDataset:
    """Return the OpenLineage dataset of an asset."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=f"itwin://{parts.netloc}", name=parts.path.lstrip("/"))


def short_report(report: Mapping[str, object]) -> EventRunDict:
    """
    Return the part of a run report that asset events contain: a few hundred bytes, at most 4 KiB.

    :param report: the run report, as in the XCom ``run_report``
    """
    return cast("EventRunDict", {name: report.get(name) for name in _SHORT_REPORT})


def run_of(event: object) -> EventRunDict | None:
    """
    Return the run in an asset event of a run operator, a sensor or a watcher.

    :param event: an asset event, as a task receives it
    :return: `ref`, `connection_name`, `imodel_id`, `state`, `result`, `started`, `ended`, `duration`, `totals`, `error` and
        `summary` of the run; only `ref` is set if the sending task did not wait for the run. None if the event contains no run
    """
    return cast("EventRunDict | None", _read(event, RUN_KEY))


def upload_of(event: object) -> EventUploadDict | None:
    """
    Return the upload in an asset event of a task that uploads files.

    :param event: an asset event, as a task receives it
    :return: `folder_id`, `connection_id` and `totals` of the upload; None if the event contains no upload
    """
    return cast("EventUploadDict | None", _read(event, UPLOAD_KEY))


def named_version_of(event: object) -> NamedVersionDict | None:
    """
    Return the named version in an asset event of a task that names versions.

    :param event: an asset event, as a task receives it
    :return: the output of the task; None if the event contains no named version
    """
    return cast("NamedVersionDict | None", _read(event, NAMED_VERSION_KEY))


def _read(event: object, key: str) -> dict[str, object] | None:
    extra = getattr(event, "extra", None)
    payload = extra.get("payload") if isinstance(extra, Mapping) else None
    for place in (extra, payload):
        value = place.get(key) if isinstance(place, Mapping) else None
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = json.loads(value)
        if isinstance(value, Mapping):
            return dict(value)
    return None


def triggering_runs(context: Mapping[str, object]) -> list[EventRunDict]:
    """
    Return the runs whose asset events triggered this DAG run, oldest event first, each run once.

    :param context: the context of a task, as ``get_current_context()`` returns it
    :return: what :func:`run_of` returns for each
    """
    by_asset: Any = context.get("triggering_asset_events" if AIRFLOW_V_3_0_PLUS else "triggering_dataset_events") or {}
    events = sorted((event for some in by_asset.values() for event in some), key=lambda event: str(event.timestamp))
    return list({str(run.get("ref")): run for run in map(run_of, events) if run is not None}.values())


def add_run_to_events(
    context: Mapping[str, object],
    outlets: Iterable[object],
    report: Mapping[str, object],
    imodel: Callable[[], Asset | None],
) -> None:
    """
    Add a run to the asset events of a task, as :func:`add_to_events`.

    :param report: a run report, or the known part of one
    :param imodel: returns the asset of the iModel, None if it is unknown
    """
    add_to_events(context, outlets, RUN_KEY, short_report(report), imodel)


def add_to_events(
    context: Mapping[str, object],
    outlets: Iterable[object],
    key: str,
    value: Mapping[str, object],
    asset_of_alias: Callable[[], Asset | None],
) -> None:
    """
    Add a value to the asset events that Airflow creates for the outlets of a task if the task succeeds.

    :param key: its key in the extra of the events
    :param value: JSON values; bounded, because Airflow stores them with each event
    :param asset_of_alias: returns the asset for an alias among the outlets, None if it is unknown; called for each alias
    """
    events: Any = context.get("outlet_events")
    if events is None:
        return
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            asset = asset_of_alias()
            if asset is not None:
                # Before Airflow 3.3, the extra of an alias event must be hashable by value, so it cannot be nested.
                events[outlet].add(asset, extra={key: value if AIRFLOW_V_3_3_PLUS else json.dumps(value)})
        elif isinstance(outlet, asset_types()):
            events[outlet].extra[key] = value
