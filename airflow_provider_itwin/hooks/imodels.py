"""The part of the hook that works with iModels: changesets and named versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.imodels import endpoints
from airflow_provider_itwin.api.models.validation import checked_id
from airflow_provider_itwin.api.models.version_names import (
    IfNamed,
    checked_description,
    checked_if_named,
    checked_name,
)
from airflow_provider_itwin.hooks.base import ITwinBaseHook

if TYPE_CHECKING:
    from airflow_provider_itwin.api.http.pagination import Pages
    from airflow_provider_itwin.api.imodels.named_version import NamedVersionResult
    from airflow_provider_itwin.api.imodels.run_changes import RunChanges
    from airflow_provider_itwin.api.models.imodels import Changeset, NamedVersion
    from airflow_provider_itwin.api.models.resources import Run

T = TypeVar("T")


class ITwinIModelMethods(ITwinBaseHook):
    """Methods of :class:`~airflow_provider_itwin.hooks.itwin.ITwinHook` about iModels."""

    def list_changesets(
        self,
        imodel_id: str,
        after_index: int | None = None,
        last_index: int | None = None,
        order: endpoints.Order = "newest first",
    ) -> Iterator[Changeset]:
        """
        List the changesets of an iModel; pages are requested while the iterator is read.

        Mirrors ``get-imodel-changesets``.

        :param imodel_id: id of the iModel
        :param after_index: list only changesets after this one; None: from the first one
        :param last_index: list only changesets up to this one; None: up to the newest one
        :param order: ``newest first`` or ``oldest first``
        :raises ITwinError: if the service does not return the changesets
        :raises ValueError: for an invalid id, index or order
        """
        for name, index in (("after_index", after_index), ("last_index", last_index)):
            if index is not None and (not isinstance(index, int) or isinstance(index, bool) or index < 0):
                raise ITwinInputError(f"{name} must be the index of a changeset or None, not {index!r}")
        if order not in ("newest first", "oldest first"):
            raise ITwinInputError(f"invalid order {order!r}; expected 'newest first' or 'oldest first'")
        return self._pages(endpoints.changeset_pages(imodel_id, order, after_index, last_index))

    def get_changeset(self, imodel_id: str, changeset_id: str) -> Changeset:
        """
        Return a changeset of an iModel.

        Mirrors ``get-imodel-changeset-details``.

        :param imodel_id: id of the iModel
        :param changeset_id: id of the changeset, or its index
        :raises ITwinError: if the service does not return the changeset
        :raises ValueError: for an invalid id
        """
        call = endpoints.get_changeset(imodel_id, changeset_id)
        return self.with_client(lambda client: client.call(call))

    def find_changes(self, run: Run, imodel_id: str) -> RunChanges:
        """
        Find the newest changeset that a run has pushed to its iModel.

        The ids in the changesets decide, then their groups, then their times. A changeset that may be that of another run or of a
        person is never returned as that of the run.

        Mirrors ``get-imodel-changesets``.

        :param run: the run, as :meth:`get_run` returns it; it must have ended
        :param imodel_id: id of the iModel of its connection
        :return: ``Pushed`` with the changeset, ``NothingPushed``, or ``Unclear`` with candidates and the reason
        :raises ITwinRunNotFinishedError: if the run has not ended
        :raises ITwinError: if the service does not return the changesets
        :raises ValueError: for an invalid id
        """
        from airflow_provider_itwin.api.imodels.run_changes import RunTrace, find_changes

        checked_id(imodel_id, "imodel_id")
        trace = RunTrace.of(run.id or "without id", run)
        return self.with_client(lambda client: client.run_flow(find_changes(client.account, imodel_id, trace)))

    def list_named_versions(self, imodel_id: str, name: str | None = None) -> Iterator[NamedVersion]:
        """
        List the named versions of an iModel; pages are requested while the iterator is read.

        Mirrors ``get-imodel-named-versions``.

        :param imodel_id: id of the iModel
        :param name: list only the named version with this name; None: all
        :raises ITwinError: if the service does not return the named versions
        :raises ValueError: for an invalid id or name
        """
        if name is not None:
            checked_name(name, is_rendered=False)
        return self._pages(endpoints.named_version_pages(imodel_id, name))

    def create_named_version(
        self,
        imodel_id: str,
        name: str,
        changeset_id: str,
        description: str | None = None,
        if_named: IfNamed = "use",
    ) -> NamedVersionResult:
        """
        Name the state of an iModel after a changeset, unless it has the name already.

        When a response is lost, the service is asked for the name before the request is repeated, so the state gets one name.

        Mirrors ``create-imodel-named-version``.

        :param imodel_id: id of the iModel
        :param name: name, at most 255 characters
        :param changeset_id: id of the changeset
        :param description: description, at most 255 characters; None: none
        :param if_named: what to do if the changeset has another name: ``use`` returns that named version, ``fail`` raises
        :return: the named version, and whether it was created or existed
        :raises ITwinNamedVersionExistsError: if the name belongs to another changeset, or `if_named` is ``fail``
        :raises ITwinError: if the service does not create it
        :raises ValueError: for an invalid id, name, description or choice
        """
        from airflow_provider_itwin.api.imodels.named_version import create_named_version

        checked_name(name, is_rendered=False)
        checked_description(description)
        checked_if_named(if_named)
        checked_id(imodel_id, "imodel_id")
        checked_id(changeset_id, "changeset_id")
        return self.with_client(
            lambda client: client.run_flow(
                create_named_version(client.account, imodel_id, name, changeset_id, description, if_named)
            )
        )

    def _pages(self, pages: Pages[T]) -> Iterator[T]:
        """Request page after page; after a change of the secret, the list resumes where it was."""
        while not pages.is_done:
            yield from self.with_client(lambda client: client.next_page(pages))
