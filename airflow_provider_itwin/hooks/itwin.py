"""The Airflow hook for the iTwin Platform."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from airflow_provider_itwin.api.errors import ITwinError, ITwinNotFoundError, ITwinWaitTimeoutError
from airflow_provider_itwin.api.models.durations import format_duration, parse_seconds
from airflow_provider_itwin.api.models.resources import Connection as ITwinConnection
from airflow_provider_itwin.api.models.resources import ConnectionKind, Run, SourceFile
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.pagination import connection_pages, run_pages, source_file_pages
from airflow_provider_itwin.api.wait.models import WaitEnd, WaitSpec
from airflow_provider_itwin.hooks.base import ITwinBaseHook
from airflow_provider_itwin.hooks.connection_check import describe_failure, describe_no_connections, describe_success
from airflow_provider_itwin.hooks.connection_form import behaviour, widgets
from airflow_provider_itwin.hooks.imodels import ITwinIModelMethods
from airflow_provider_itwin.hooks.jobs import ITwinJobMethods
from airflow_provider_itwin.hooks.portal_urls import Addresses, addresses, is_known
from airflow_provider_itwin.hooks.settings import account_of, outage_tolerance, portal_of
from airflow_provider_itwin.hooks.storage import ITwinStorageMethods
from airflow_provider_itwin.sdk_compat import AirflowException

if TYPE_CHECKING:
    from airflow_provider_itwin.api.client import ITwinClient
    from airflow_provider_itwin.api.http.pagination import Pages
    from airflow_provider_itwin.api.models.json_types import KindName
    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.api.runs.start import StartAttempt, StartResult

T = TypeVar("T")


class ITwinHook(ITwinStorageMethods, ITwinIModelMethods, ITwinJobMethods):
    """
    Hook for the iTwin Platform, with the credentials of an Airflow connection.

    Methods raise subclasses of :class:`~airflow_provider_itwin.api.errors.ITwinError`. An invalid id or setting is a
    ``ValueError``, raised before any request.

    Results have ``as_dict()``, which returns JSON values with the same names. A TaskFlow task must return that: the objects
    themselves cannot be XComs, and raise an error if they are used as such.

    If the service refuses the credentials, a method reads the Airflow connection again and retries once with changed credentials.

    :param itwin_conn_id: the Airflow connection, of type ``itwin``; default ``itwin_default``
    """

    def __init__(self, itwin_conn_id: str = ITwinBaseHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(itwin_conn_id, **kwargs)
        self._known_connections: dict[tuple[ConnectionKind, str], ITwinConnection] = {}

    # Airflow looks for these two in the class itself, not in its bases.

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the labels of the connection form; Airflow 3.2 and newer read them from the provider's metadata."""
        return behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the extra fields of the connection form; Airflow 3.2 and newer read them from the provider's metadata."""
        return widgets()

    def start_run(
        self,
        connection_id: str,
        kind: KindName | ConnectionKind = ConnectionKind.STORAGE,
        body: Mapping[str, object] | None = None,
        *,
        attempt: StartAttempt | None = None,
        save: Callable[[StartAttempt], None] | None = None,
    ) -> StartResult:
        """
        Start a run of a connection, unless an earlier request has started one.

        When a response is lost, the connection is polled before the service is asked again, so no second run is started.
        Mirrors ``run-storage-connection``, ``create-manifest-connection-run`` and ``create-export-connection-run``.

        :param connection_id: id of the iTwin connection
        :param kind: kind of the connection: ``storage``, ``manifest`` or ``export``
        :param body: the body of the request for a manifest or an export run; None for a storage run
        :param attempt: what `save` received last, in this process or an earlier one; None for a new run
        :param save: called before each request for a run, with what is needed to find that run later; None: nothing is saved
        :return: the run, and whether it was created, found, or is active instead
        :raises ITwinError: if no run was started
        :raises ValueError: for an invalid id, kind or body
        """
        checked_kind, current = ConnectionKind(kind), attempt

        def save_attempt(changed: StartAttempt) -> None:
            nonlocal current
            current = changed
            if save is not None:
                save(changed)

        # With a changed secret, another client resumes where the first one stopped.
        return self._with_connection(
            connection_id,
            checked_kind,
            lambda client: client.ensure_run(connection_id, checked_kind, body, current, save_attempt),
        )

    def get_run(self, connection_id: str, run_id: str, kind: KindName | ConnectionKind = ConnectionKind.STORAGE) -> Run:
        """
        Return a run with its jobs and tasks.

        Mirrors ``get-storage-connection-run``, ``get-manifest-connection-run`` and ``get-export-connection-run``.

        :param connection_id: id of the iTwin connection
        :param run_id: id of the run
        :param kind: kind of the connection: ``storage``, ``manifest`` or ``export``
        :raises ITwinError: if the service does not return the run
        :raises ValueError: for an invalid id or kind
        """
        checked_kind = ConnectionKind(kind)
        return self._with_connection(
            connection_id, checked_kind, lambda client: client.get_run(connection_id, run_id, checked_kind)
        )

    def list_runs(
        self, connection_id: str, kind: KindName | ConnectionKind = ConnectionKind.STORAGE, limit: int | None = None
    ) -> Iterator[Run]:
        """
        List the runs of a connection, newest first by `start_date_time`; runs that have not begun come first.

        The service returns them in no particular order, so all pages are read first. At most `limit` runs are held in memory.
        Mirrors ``get-storage-connection-runs``, ``get-manifest-connection-runs`` and ``get-export-connection-runs``.

        :param connection_id: id of the iTwin connection
        :param kind: kind of the connection: ``storage``, ``manifest`` or ``export``
        :param limit: number of runs, at most; None: no limit
        :raises ITwinError: if the service does not return the runs
        :raises ValueError: for an invalid id or kind
        """
        checked_kind = ConnectionKind(kind)
        runs = self._list(run_pages(checked_kind, connection_id), connection_id, checked_kind)
        return iter(
            sorted(runs, key=_newest_first) if limit is None else heapq.nsmallest(limit, runs, key=_newest_first)
        )

    def list_source_files(
        self,
        connection_id: str,
        kind: Literal["storage", "manifest"] | ConnectionKind = ConnectionKind.STORAGE,
    ) -> Iterator[SourceFile]:
        """
        List the source files of a connection; pages are requested while the iterator is read.

        Mirrors ``get-storage-connection-sourcefiles`` and ``get-manifest-connection-sourcefiles``.

        :param connection_id: id of the iTwin connection
        :param kind: kind of the connection: ``storage`` or ``manifest``
        :raises ITwinError: if the service does not return the files
        :raises ValueError: for an invalid id or kind
        """
        checked_kind = ConnectionKind(kind)
        return self._list(source_file_pages(checked_kind, connection_id), connection_id, checked_kind)

    def describe_connection(
        self, connection_id: str, kind: KindName | ConnectionKind = ConnectionKind.STORAGE
    ) -> ITwinConnection:
        """
        Return a connection of the iTwin Platform.

        Mirrors ``get-storage-connection``, ``get-manifest-connection`` and ``get-export-connection``.

        :param connection_id: id of the iTwin connection
        :param kind: kind of the connection: ``storage``, ``manifest`` or ``export``
        :raises ITwinError: if the service does not return the connection
        :raises ValueError: for an invalid id or kind
        """
        checked_kind = ConnectionKind(kind)
        return self._with_connection(
            connection_id, checked_kind, lambda client: client.describe_connection(connection_id, checked_kind)
        )

    def list_connections(
        self, imodel_id: str, kind: KindName | ConnectionKind = ConnectionKind.STORAGE
    ) -> Iterator[ITwinConnection]:
        """
        List the connections of an iModel; pages are requested while the iterator is read.

        Mirrors ``get-storage-connections``, ``get-manifest-connections`` and ``get-export-connections``.

        :param imodel_id: id of the iModel
        :param kind: kind of the connections: ``storage``, ``manifest`` or ``export``
        :raises ITwinError: if the service does not return the connections
        :raises ValueError: for an invalid id or kind
        """
        return self._list(connection_pages(ConnectionKind(kind), imodel_id))

    def _list(
        self, pages: Pages[T], connection_id: str | None = None, kind: ConnectionKind = ConnectionKind.STORAGE
    ) -> Iterator[T]:
        """Request page after page; after a change of the secret, the list resumes where it was."""
        while not pages.is_done:
            yield from self._with_connection(connection_id, kind, lambda client: client.next_page(pages))

    def _with_connection(
        self, connection_id: str | None, kind: ConnectionKind, request: Callable[[ITwinClient], T]
    ) -> T:
        """Call `request` as :meth:`with_client` does; a 404 says so if the connection is of another kind."""
        try:
            return self.with_client(request)
        except ITwinNotFoundError as error:
            if connection_id is not None:
                self._client.explain_not_found(error, connection_id, kind)
            raise

    def wait_for_run(
        self,
        connection_id: str,
        run_id: str,
        kind: KindName | ConnectionKind = ConnectionKind.STORAGE,
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
    ) -> Run:
        """
        Wait for a run on the worker and return it, whatever its result.

        Mirrors ``get-storage-connection-run``, ``get-manifest-connection-run`` and ``get-export-connection-run``.

        :param connection_id: id of the iTwin connection
        :param run_id: id of the run
        :param kind: kind of the connection: ``storage``, ``manifest`` or ``export``
        :param poll_interval: seconds, or a timedelta, between two polls; None: 5 % of the elapsed time, at least 10 s and
            at most 2 min
        :param timeout: seconds, or a timedelta; None: no limit
        :raises ITwinWaitTimeoutError: if the run has not finished before the timeout
        :raises ITwinError: if the service refuses to return the run, or had no good response for the outage tolerance
        :raises ValueError: for an invalid id, kind, interval or timeout
        """
        account = self._client.account
        began = account.wall()
        seconds = parse_seconds(timeout, "timeout")
        spec = WaitSpec(
            ConnectionKind(kind),
            connection_id,
            run_id,
            poll_interval=parse_seconds(poll_interval, "poll_interval"),
            began=began,
            deadline=None if seconds is None else began + seconds,
            outage_tolerance=outage_tolerance(),
        )
        result = self.wait(spec)
        if result.end is WaitEnd.DEADLINE:
            raise ITwinWaitTimeoutError(
                f"Run {result.ref} was still {result.state or 'unseen'} after {format_duration(result.elapsed)}"
            )
        if result.run is None:
            raise result.error or RuntimeError(f"The wait for {spec.target} ended with {result.end}")
        return result.run

    def file_names(self, connection_id: str, kind: KindName | ConnectionKind, wanted: Iterable[str]) -> dict[str, str]:
        """
        Return the names of source files, to make reports readable; unknown names are left out.

        Mirrors ``get-storage-connection-sourcefiles`` and ``get-manifest-connection-sourcefiles``.

        :param connection_id: id of the iTwin connection
        :param kind: kind of the connection: ``storage``, ``manifest`` or ``export``
        :param wanted: ids of files, as in the tasks of a run
        :return: names by id; after an error of the service (logged), the names that were read before it
        """
        missing = set(wanted)
        names: dict[str, str] = {}
        checked_kind = ConnectionKind(kind)
        if not missing or checked_kind is ConnectionKind.EXPORT:
            return names
        try:
            for file in islice(self.list_source_files(connection_id, checked_kind), 10_000):
                for file_id in (file.storage_file_id, file.source_file_id):
                    if file_id in missing and file.last_known_file_name:
                        names[file_id] = file.last_known_file_name
                        missing.discard(file_id)
                if not missing:
                    break
        except ITwinError as error:
            self.log.info("Could not read the names of the files; the report has only their ids: %s", error)
        return names

    def known_connection(self, connection_id: str, kind: KindName | ConnectionKind) -> ITwinConnection | None:
        """
        Return a connection, for its name and its ids; it is requested once.

        :param connection_id: id of the iTwin connection
        :param kind: kind of the connection: ``storage``, ``manifest`` or ``export``
        :return: None after an error of the service (logged)
        """
        checked_kind = ConnectionKind(kind)
        key = checked_kind, connection_id
        if key not in self._known_connections:
            try:
                call = endpoints.get_connection(checked_kind, connection_id)
                self._known_connections[key] = self.with_client(lambda client: client.call(call, retry_budget=0))
            except ITwinError as error:
                self.log.info("Could not read the name and the iModel of connection %s: %s", connection_id, error)
                return None
        return self._known_connections[key]

    def addresses(self, ref: RunRef, *, itwin_id: str | None = None, imodel_id: str | None = None) -> Addresses:
        """
        Return the URLs of a run in Bentley's portal, or in the portal of the connection's `portal_url`.

        :param ref: the run
        :param itwin_id: id of the iTwin of the connection; None: it is requested from the service
        :param imodel_id: id of the iModel of the connection; None: it is requested from the service
        """
        environment = self._client.account.environment
        if not is_known(environment, self._session.portal_url):
            return Addresses()
        if itwin_id is None or imodel_id is None:
            found = self.known_connection(ref.connection_id, ref.kind)
            itwin_id, imodel_id = (found.itwin_id, found.imodel_id) if found else (itwin_id, imodel_id)
        return addresses(environment, self._session.portal_url, ref, itwin_id, imodel_id)

    async def addresses_async(self, ref: RunRef) -> Addresses:
        """
        Return the URLs of a run as :meth:`addresses` does, in the triggerer.

        :param ref: the run
        :raises ITwinError: if the service does not return the connection
        """
        connection = await self._connection_async()
        environment, portal = account_of(connection).environment, portal_of(connection)
        if not is_known(environment, portal):
            return Addresses()
        async with self.async_client() as client:
            found = await client.call(endpoints.get_connection(ref.kind, ref.connection_id), retry_budget=0)
        return addresses(environment, portal, ref, found.itwin_id, found.imodel_id)

    def test_connection(self) -> tuple[bool, str]:
        """Test the Airflow connection; return whether it works, and one sentence with the result or the fix."""
        try:
            client = self._client
        except ITwinError as error:
            return False, " ".join(filter(None, (f"{error.summary}.", error.hint)))
        except (ValueError, AirflowException) as error:
            return False, str(error)
        account = client.account
        try:
            call = endpoints.get_connections(ConnectionKind.STORAGE, None, 1, 0)
            page = self.with_client(lambda client: client.call(call, retry_budget=0))
        except ITwinError as error:
            # An older API requires an iModel here; this response means that it accepted the token.
            if error.status == 422:
                return True, describe_success(account, sees_connections=None)
            return False, describe_failure(account, error)
        if not page.connections:
            return False, describe_no_connections(account)
        return True, describe_success(account, sees_connections=True)


def _newest_first(run: Run) -> float:
    return -run.start_date_time.timestamp() if run.start_date_time else -math.inf
