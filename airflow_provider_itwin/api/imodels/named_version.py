"""
Naming the state of an iModel after a changeset, exactly once even when a response is lost.

A name belongs to one changeset, and a changeset has one name. So a request whose response was lost is safe to repeat: the
service refuses the second one, and its list of named versions says whether the first one has succeeded.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NoReturn

from airflow_provider_itwin.api.errors import (
    ITwinConflictError,
    ITwinConnectionError,
    ITwinError,
    ITwinNamedVersionExistsError,
    ITwinProtocolError,
    ITwinServerError,
)
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Flow
from airflow_provider_itwin.api.http.request_flow import DEFAULT_RETRY_BUDGET, perform_call
from airflow_provider_itwin.api.imodels import endpoints
from airflow_provider_itwin.api.models.imodels import NamedVersion
from airflow_provider_itwin.api.models.json_types import JsonValue
from airflow_provider_itwin.api.models.validation import checked_id, known_id, no_xcom
from airflow_provider_itwin.api.models.version_names import (
    IfNamed,
    checked_description,
    checked_if_named,
    checked_name,
)
from airflow_provider_itwin.api.redaction import excerpt

log = logging.getLogger(__name__)

_LOSES_RESPONSE = (ITwinConnectionError, ITwinServerError, ITwinProtocolError)
"""Errors of a request that the service may have carried out all the same."""

_ON_CHANGESET = "namedversiononchangesetexists"
_LONGEST_NAME = 300


@dataclass(frozen=True, slots=True)
class NamedVersionResult:
    """
    A named version that was asked for.

    :param version: the named version
    :param created: whether this request created it; False: it existed, or an earlier request whose response was lost created it
    """

    version: NamedVersion
    created: bool

    def as_dict(self) -> dict[str, JsonValue]:
        """Return JSON values: those of the named version, and `created`."""
        return {**self.version.as_dict(), "created": self.created}

    def serialize(self) -> NoReturn:
        """Refuse; Airflow calls this when the object is returned from a task."""
        no_xcom(self)


def create_named_version(
    account: Account,
    imodel_id: str,
    name: str,
    changeset_id: str,
    description: str | None = None,
    if_named: IfNamed = "use",
    retry_budget: float = DEFAULT_RETRY_BUDGET,
) -> Flow[NamedVersionResult]:
    """
    Name the state of an iModel after a changeset, unless it has the name already.

    :param changeset_id: id of the changeset; there is no named version without one
    :param if_named: what to do if the changeset has another name: ``use`` returns that named version, ``fail`` raises
    :param retry_budget: seconds for which each request is retried after errors that can pass
    :raises ITwinInputError: for an invalid id, name, description or choice; nothing was sent
    :raises ITwinNamedVersionExistsError: if the name belongs to another changeset, or `if_named` is ``fail``
    :raises ITwinError: if the service does not create it
    """
    creation = _Creation(account, imodel_id, checked_name(name), changeset_id, checked_if_named(if_named))
    call = endpoints.create_named_version(imodel_id, name, changeset_id, checked_description(description))
    give_up_at = account.clock() + retry_budget
    try:
        version = yield from perform_call(account, call, retry_budget, before_retry=creation.find_instead)
    except ITwinError as error:
        # A gateway can drop the body of a 409, which is then no refusal in the service's own format.
        if error.status != 409:
            raise
        found = yield from creation.find(error, max(0.0, give_up_at - account.clock()))
        if found is None:
            raise _unexplained(error, imodel_id, name) from None
        version = found
    return NamedVersionResult(version, created=version is not creation.found)


def _unexplained(error: ITwinError, imodel_id: str, name: str) -> ITwinConflictError:
    return ITwinConflictError(
        f"Named version {name!r} was not created in iModel {imodel_id}: the service reports a conflict, but lists neither this "
        "name nor a named version of this changeset",
        status=error.status,
        code=error.code,
        message=error.message,
        details=error.details,
        correlation_id=error.correlation_id,
        method=error.method,
        url=error.url,
        hint="Another request may be in progress. Try again.",
    )


class _Creation:
    """The parts of :func:`create_named_version`, with what they share."""

    found: NamedVersion | None = None
    """The named version that existed before the request, or that a lost request has created."""

    def __init__(self, account: Account, imodel_id: str, name: str, changeset_id: str, if_named: IfNamed) -> None:
        self._account = account
        self._imodel_id = checked_id(imodel_id, "imodel_id")
        self._name = name
        self._changeset_id = checked_id(changeset_id, "changeset_id")
        self._if_named = if_named

    def find_instead(self, error: ITwinError, left: float) -> Flow[NamedVersion | None]:
        """Before a retry after a lost response: find what the lost request may have created."""
        if not isinstance(error, _LOSES_RESPONSE):
            return None
        return (yield from self.find(error, left))

    def find(self, error: ITwinError, left: float) -> Flow[NamedVersion | None]:
        """
        Find the named version that a request need not create any more.

        :param error: the error of the request
        :param left: seconds for which requests are retried
        :return: None if there is none
        :raises ITwinNamedVersionExistsError: if the service has refused the request for good
        """
        same_name = yield from self._list(left, self._name)
        self.found = next((version for version in same_name if self._is_ours(version)), None)
        if self.found is not None or error.status != 409:
            return self.found
        every = yield from self._list(left)
        on_changeset = next((version for version in every if self._is_ours(version)), None)
        if same_name and not (on_changeset and _ON_CHANGESET in _codes(error)):
            raise self._name_taken(same_name[0])
        if on_changeset is not None:
            self.found = self._named_otherwise(on_changeset)
        return self.found

    def _list(self, left: float, name: str | None = None) -> Flow[list[NamedVersion]]:
        pages = endpoints.named_version_pages(self._imodel_id, name, left)
        found: list[NamedVersion] = []
        while not pages.is_done:
            page = yield from pages.next_page(self._account)
            # Whether the service filters by the exact name is not documented.
            named = [one for one in page if name is None or _folded(one.name or one.display_name) == _folded(name)]
            found += [one for one in named if known_id(one.id)]
        return found

    def _is_ours(self, version: NamedVersion) -> bool:
        return _folded(version.changeset_id) == _folded(self._changeset_id)

    def _name_taken(self, other: NamedVersion) -> ITwinNamedVersionExistsError:
        place = f"changeset {other.changeset_id}" if other.changeset_id else "the state before all changesets"
        index = f" (index {other.changeset_index})" if other.changeset_index else ""
        return ITwinNamedVersionExistsError(
            f"Named version {self._name!r} was not created on changeset {self._changeset_id} of iModel {self._imodel_id}: this "
            f"name belongs to {place}{index}, as named version {other.id}",
            hint="An iModel has each name once. Choose a name that differs between runs, for example with {{ ts }} or "
            "{{ run_id }} in its template, or rename the other named version.",
        )

    def _named_otherwise(self, other: NamedVersion) -> NamedVersion:
        shown = excerpt(other.name or other.display_name or "", _LONGEST_NAME)
        text = (
            f"Named version {self._name!r} was not created: changeset {self._changeset_id} of iModel {self._imodel_id} already "
            f"has the named version {shown!r} ({other.id})"
        )
        if self._if_named == "fail":
            raise ITwinNamedVersionExistsError(text, hint="With if_named='use', the existing one is used.")
        log.warning("%s, which is used instead.", text)
        return other


def _codes(error: ITwinError) -> set[str]:
    return {_folded(code) for code in (error.code, *(detail.code for detail in error.details))}


def _folded(text: str | None) -> str:
    return (text or "").strip().lower()
