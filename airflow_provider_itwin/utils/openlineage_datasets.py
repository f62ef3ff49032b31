"""
The names of OpenLineage datasets: iModels, files of iTwin Storage, and files elsewhere.

Each task names a dataset by these functions, so what one task writes is what the next one reads. Names are ids, paths and object
keys. A name that may contain a secret, or is unsafe to display, makes no dataset.
"""

from __future__ import annotations

import posixpath
from urllib.parse import urlsplit

from airflow.providers.common.compat.openlineage.facet import (
    Dataset,
    DatasetFacet,
    DocumentationDatasetFacet,
    LifecycleStateChange,
    LifecycleStateChangeDatasetFacet,
)
from openlineage.client.facet_v2 import dataset_version_dataset

from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.models.validation import known_id
from airflow_provider_itwin.api.redaction import excerpt, redact
from airflow_provider_itwin.assets import normalized_id
from airflow_provider_itwin.utils.lineage import TransferredFile

_LONGEST_DESCRIPTION = 200
_LONGEST_NAME = 2000

_WEB = ("http", "https")
_SAME_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "local": "file", "abfss": "abfs", "adl": "abfs", "az": "abfs"}
"""Schemes of URLs, and the scheme that the namespace has."""

_CHANGES = {"created": LifecycleStateChange.CREATE, "updated": LifecycleStateChange.OVERWRITE}


def namespace_of(account: Account) -> str:
    """Return the namespace of what is in the iTwin Platform of an account."""
    return f"itwin://{urlsplit(account.environment.api).netloc}"


def imodel_dataset(namespace: str, imodel_id: str | None, changeset_id: str | None = None) -> list[Dataset]:
    """
    Return the dataset of an iModel; none if the id is unknown.

    :param changeset_id: the version of the dataset; None: unknown
    """
    if (known := known_id(imodel_id)) is None:
        return []
    version = known_id(changeset_id)
    facets: dict[str, DatasetFacet] = {}
    if version:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version)
    return [Dataset(namespace=namespace, name=f"imodels/{normalized_id(known)}", facets=facets)]


def storage_dataset(namespace: str, file_id: str, name: str | None = None) -> Dataset:
    """Return the dataset of a file in iTwin Storage, with its name as documentation."""
    return named_dataset(namespace, f"storage/files/{normalized_id(file_id)}", name)


def named_dataset(namespace: str, path: str, name: str | None) -> Dataset:
    """
    Return a dataset whose documentation is a name for people.

    :param path: what identifies it
    :param name: the name; None, or one that is a URL, which can be a secret: no documentation
    """
    shown = excerpt(name or "", _LONGEST_DESCRIPTION)
    facets: dict[str, DatasetFacet] = {}
    if shown and "://" not in shown:
        facets["documentation"] = DocumentationDatasetFacet(description=shown)
    return Dataset(namespace=namespace, name=path, facets=facets)


def transferred_datasets(namespace: str, file: TransferredFile) -> tuple[Dataset | None, Dataset | None]:
    """Return the dataset of a file in iTwin Storage, and that in the other place; None for what is unknown."""
    stored = None
    if file_id := known_id(file.file_id):
        stored = storage_dataset(namespace, file_id, file.name)
        if file.change:
            change = LifecycleStateChangeDatasetFacet(lifecycleStateChange=_CHANGES[file.change])
            stored.facets = {**(stored.facets or {}), "lifecycleStateChange": change}
    return stored, file_dataset(file.address) if file.address else None


def file_dataset(address: str) -> Dataset | None:
    """
    Return the dataset of a file outside of iTwin Storage, named as OpenLineage's naming conventions say.

    A path has the namespace ``file``, an object the namespace ``s3://bucket``, ``gs://bucket`` ...

    :param address: an absolute path, or the URL of an object store, with or without an Airflow connection
    :return: the dataset; None if its name may contain a secret
    """
    scheme, is_url, rest = address.partition("://")
    if not is_url:
        return _checked("file", posixpath.normpath(address))
    scheme = scheme.lower()
    scheme = _SAME_SCHEMES.get(scheme, scheme)
    place, _, key = rest.partition("/")
    # Before the @ is the id of the Airflow connection, or a credential.
    place = place.rpartition("@")[2]
    if scheme in _WEB:
        # The query can be a signature.
        key = key.partition("#")[0].partition("?")[0]
    if place and scheme != "file":
        return _checked(f"{scheme}://{place}", key)
    return _checked(f"{scheme}://{place}" if place else scheme, posixpath.normpath(f"/{key}"))


def _checked(namespace: str, name: str) -> Dataset | None:
    both = f"{namespace} {name}"
    if not name or len(name) > _LONGEST_NAME or redact(both) != both:
        return None
    return Dataset(namespace=namespace, name=name)
