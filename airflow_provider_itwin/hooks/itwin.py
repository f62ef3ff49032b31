"""From an Airflow connection to a client of the iTwin Platform."""

from __future__ import annotations

import heapq
import math
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowException, BaseHook

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.errors import ITwinAuthenticationError, ITwinError, ITwinWaitTimeoutError
from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.models.durations import spoken_duration
from airflow_provider_itwin.api.models.resources import Connection as ITwinConnection
from airflow_provider_itwin.api.models.resources import (
    ConnectionKind,
    Run,
    SourceFile,
)
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.pagination import (
    connection_pages,
    run_pages,
    source_file_pages,
)
from airflow_provider_itwin.api.wait.stats import stats
from airflow_provider_itwin.api.wait.waiter import (
    WaitEnd,
    WaitResult,
    WaitSpec,
)
from airflow_provider_itwin.hooks import connection_retry
from airflow_provider_itwin.hooks.connection_check import (
    diagnosis,
    nothing_seen,
    who,
)
from airflow_provider_itwin.hooks.connection_form import behaviour, widgets
from airflow_provider_itwin.hooks.connection_lookup import look_up
from airflow_provider_itwin.hooks.connection_retry import ConnectionRetry
from airflow_provider_itwin.hooks.portal_urls import (
    Addresses,
    addresses,
    is_known,
)
from airflow_provider_itwin.hooks.settings import (
    account_of,
    outage_tolerance,
    portal_of,
    secrets_to_mask,
)
from airflow_provider_itwin.version_compat import mask_secret

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_itwin.api.async_client import AsyncITwinClient
    from airflow_provider_itwin.api.client import ITwinClient
    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.api.runs.pagination import Pages
    from airflow_provider_itwin.api.runs.start import Baseline, StartedRun

T = TypeVar("T")

stats.tell(metrics.waiting_cost)


class ITwinHook(BaseHook):
    """
    Talks to the iTwin Platform as the service application of an Airflow connection.

    Methods with a `kind` take ``"storage"``, ``"manifest"`` or ``"export"``. What goes wrong is raised as a subclass of
    :class:`~airflow_provider_itwin.api.errors.ITwinError`; an id or a setting that makes no sense as a ``ValueError``, before
    anything is sent.

    Results have ``as_dict()``, which returns JSON values with the same names. Return that from a TaskFlow task: the objects
    themselves cannot be XComs, and say so.

    :param itwin_conn_id: the Airflow connection, of type ``itwin``
    """

    conn_name_attr = "itwin_conn_id"
    default_conn_name = "itwin_default"
    conn_type = "itwin"
    hook_name = "iTwin"

    def __init__(self, itwin_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.itwin_conn_id = itwin_conn_id

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Label the fields of the connection form; Airflow 3.2 and newer read the same from the provider's metadata."""
        return behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Make the extra fields of the connection form; Airflow 3.2 and newer read them from the provider's metadata."""
        return widgets()

    @cached_property
    def _client(self) -> ITwinClient:
        return self._new_client()

    def _new_client(self) -> ITwinClient:
        from airflow_provider_itwin.api.client import ITwinClient

        connection = self.get_connection(self.itwin_conn_id)
        self._portal_url = portal_of(connection)
        account = account_of(connection)
        for secret in secrets_to_mask(connection):
            mask_secret(secret)
        return ITwinClient(account)

    def get_conn(self) -> ITwinClient:
        """Give the synchronous client of the connection; the first call reads the connection, none sends anything."""
        return self._client

    @asynccontextmanager
    async def async_client(self) -> AsyncIterator[AsyncITwinClient]:
        """Lend the asynchronous client that all who use the same account in this event loop share."""
        from airflow_provider_itwin.api.client_pool import lent_client

        async with lent_client(await self._account_async()) as client:
            yield client

    async def _account_async(self, refused: tuple[object, ...] | None = None) -> Account:
        """Return the account; one lookup of the connection serves all who need it in this event loop for some seconds."""
        return await look_up((type(self), self.itwin_conn_id), self._read_account, refused)

    async def _read_account(self) -> Account:
        return account_of(await self._connection_async())

    async def _connection_async(self) -> Connection:
        from airflow.providers.common.compat.sdk import Connection

        if hasattr(Connection, "aextra_dejson"):
            return await self.aget_connection(self.itwin_conn_id)
        from asgiref.sync import sync_to_async

        # Before Airflow 3.3.2 each way to read a connection ends in a synchronous call to the supervisor, to have the secrets
        # masked, which must not happen on the triggerer's event loop. The helper of common-compat knows that since 1.23 only.
        return await sync_to_async(self.get_connection)(self.itwin_conn_id)

    async def wait_async(self, spec: WaitSpec) -> WaitResult:
        """
        Wait for a run as `spec` says, together with all who wait for anything in this event loop.

        When the service refuses the client, the Airflow connection is read again: a secret that was changed meanwhile is
        used from then on. A connection that Airflow cannot read is read again, too, for as long as the order tolerates an outage.
        """
        from airflow_provider_itwin.api.client_pool import borrow, give_back

        retry = ConnectionRetry(self.itwin_conn_id, spec, "triggerer")
        step: float | WaitResult | None
        refused: tuple[object, ...] | None = None
        while True:
            try:
                account = await self._account_async(refused)
                # No `with` here: thousands wait at this place, and a generator for each takes as much memory as the wait.
                client = await borrow(account)
            except Exception as error:  # noqa: BLE001 (whatever Airflow's secrets backends raise)
                step = retry.after_unreadable(error)
            else:
                try:
                    step = retry.after_read(account.key)
                    outcome = await client.wait(retry.spec) if step is None else None
                finally:
                    await give_back(client)
                if outcome is not None:
                    if not isinstance(outcome.error, ITwinAuthenticationError):
                        return outcome
                    refused = account.key
                    retry.after_refused(outcome, refused)
                    continue
            if isinstance(step, WaitResult):
                return step
            await connection_retry.sleep_async(step or 0.0)

    def wait(self, spec: WaitSpec) -> WaitResult:
        """Wait for a run as `spec` says, as :meth:`wait_async` does, on the worker."""
        return self._waited(spec, None, lambda client, current: client.wait(current))

    def look(self, spec: WaitSpec, retry_budget: float | None = None) -> WaitResult:
        """
        Look how a wait stands; its `end` is None if it goes on.

        :param retry_budget: seconds for which trouble is ridden out, None for as long as the order tolerates it
        """
        return self._waited(spec, retry_budget, lambda client, current: client.look(current, retry_budget))

    def _waited(
        self, spec: WaitSpec, retry_budget: float | None, ask: Callable[[ITwinClient, WaitSpec], WaitResult]
    ) -> WaitResult:
        """Ask by the same rules as :meth:`wait_async`."""
        retry = ConnectionRetry(self.itwin_conn_id, spec, "worker", retry_budget)
        step: float | WaitResult | None
        while True:
            try:
                client = self._client
            except Exception as error:
                if not spec.seen:
                    raise
                step = retry.after_unreadable(error)
            else:
                step = retry.after_read(client.account.key)
                if step is None:
                    outcome = ask(client, retry.spec)
                    if not isinstance(outcome.error, ITwinAuthenticationError):
                        return outcome
                    retry.after_refused(outcome, client.account.key)
                    self._take_up_changes_if_readable()
                    continue
            if isinstance(step, WaitResult):
                return step
            connection_retry.sleep(step)
            self._take_up_changes_if_readable()

    def _take_up_changes_if_readable(self) -> None:
        try:
            # A connection that was never read is read where it is needed.
            if "_client" in vars(self):
                self._take_up_changes()
        except Exception as error:  # noqa: BLE001 (whatever Airflow's secrets backends raise)
            self.log.debug("The Airflow connection %s could not be read again: %s", self.itwin_conn_id, error)

    def ask(self, question: Callable[[ITwinClient], T]) -> T:
        """
        Ask the client something; when it is refused and the connection has been changed meanwhile, ask once more as it is now.

        :raises ITwinError: what kept it from an answer
        """
        try:
            return question(self._client)
        except ITwinAuthenticationError:
            if not self._take_up_changes():
                raise
        return question(self._client)

    def _take_up_changes(self) -> bool:
        """Read the connection again, and tell whether it leads to another account now, which is used from here on."""
        client = self._new_client()
        if client.account.key == self._client.account.key:
            return False
        self._client.close()
        self._client = client
        return True

    @property
    def is_service(self) -> bool:
        """Whether the connection is that of a service application, rather than a ready token of anybody's."""
        return isinstance(self._client.account.credentials, ClientCredentials)

    def start_run(
        self,
        connection_id: str,
        kind: str = ConnectionKind.STORAGE,
        body: Mapping[str, Any] | None = None,
        baseline: Baseline | None = None,
    ) -> StartedRun:
        """
        Start a run of a connection.

        :param body: what a manifest or an export run is to do
        :param baseline: how the connection stood before, if that is known already
        :return: the run's name, and whether it was created; if not (303), the name is that of the active run, which can be
            another connection's
        """
        named = ConnectionKind(kind)
        before = baseline or self.ask(lambda client: client.take_baseline(connection_id, named))
        has_asked = False

        def start(client: ITwinClient) -> StartedRun:
            nonlocal has_asked
            in_doubt, has_asked = has_asked, True
            return client.start_run(connection_id, named, body, before, in_doubt=in_doubt)

        return self.ask(start)

    def get_run(self, connection_id: str, run_id: str, kind: str = ConnectionKind.STORAGE) -> Run:
        """Get a run with its jobs and tasks."""
        named = ConnectionKind(kind)
        return self.ask(lambda client: client.get_run(connection_id, run_id, named))

    def list_runs(
        self, connection_id: str, kind: str = ConnectionKind.STORAGE, limit: int | None = None
    ) -> Iterator[Run]:
        """
        List the runs of a connection, newest first by `start_date_time`, those that have not begun before all others.

        The service gives them in no particular order, so all are read before the first is given; no more than `limit` of them
        are held in memory.

        :param limit: how many at most; None for all
        """
        runs = self._list(run_pages(ConnectionKind(kind), connection_id))
        return iter(sorted(runs, key=_age) if limit is None else heapq.nsmallest(limit, runs, key=_age))

    def list_source_files(self, connection_id: str, kind: str = ConnectionKind.STORAGE) -> Iterator[SourceFile]:
        """List all source files of a storage or a manifest connection, reading page after page as they are asked for."""
        return self._list(source_file_pages(ConnectionKind(kind), connection_id))

    def describe_connection(self, connection_id: str, kind: str = ConnectionKind.STORAGE) -> ITwinConnection:
        """Get a connection of the iTwin Platform."""
        named = ConnectionKind(kind)
        return self.ask(lambda client: client.describe_connection(connection_id, named))

    def list_connections(self, imodel_id: str, kind: str = ConnectionKind.STORAGE) -> Iterator[ITwinConnection]:
        """List the connections of an iModel, reading page after page as they are asked for."""
        return self._list(connection_pages(ConnectionKind(kind), imodel_id))

    def _list(self, pages: Pages[T]) -> Iterator[T]:
        """Read page after page as they are asked for; a list that is being read resumes with a changed secret."""
        while not pages.is_done:
            yield from self.ask(lambda client: client.next_page(pages))

    def wait_for_run(
        self,
        connection_id: str,
        run_id: str,
        kind: str = ConnectionKind.STORAGE,
        poll_interval: float | None = None,
        timeout: float | timedelta | None = None,
    ) -> Run:
        """
        Wait for a run to end, and give it, whatever its result.

        :param poll_interval: seconds between two looks, None for the adaptive schedule
        :param timeout: seconds, or a timedelta; None for no limit
        :raises ITwinWaitTimeoutError: if the time limit passed first
        """
        account = self._client.account
        began = account.wall()
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        spec = WaitSpec(
            ConnectionKind(kind),
            connection_id,
            run_id,
            poll_interval=poll_interval,
            began=began,
            deadline=None if seconds is None else began + seconds,
            outage_tolerance=outage_tolerance(),
        )
        outcome = self.wait(spec)
        if outcome.end is WaitEnd.DEADLINE:
            raise ITwinWaitTimeoutError(
                f"Run {outcome.ref} was still {outcome.state or 'unseen'} after {spoken_duration(outcome.elapsed)}"
            )
        if outcome.run is None:
            raise outcome.error or RuntimeError(f"The wait for {spec.target} ended with {outcome.end}")
        return outcome.run

    def file_names(self, connection_id: str, kind: str, wanted: Iterable[str]) -> dict[str, str]:
        """
        Find out what files are called, as far as that is easily done; used to make reports readable.

        :param wanted: ids of files, as tasks of a run name them
        :return: names by id; empty if the service does not tell
        """
        missing = set(wanted)
        names: dict[str, str] = {}
        if not missing or ConnectionKind(kind) is ConnectionKind.EXPORT:
            return names
        try:
            for file in islice(self.list_source_files(connection_id, kind), 10_000):
                for file_id in (file.storage_file_id, file.source_file_id):
                    if file_id in missing and file.last_known_file_name:
                        names[file_id] = file.last_known_file_name
                        missing.discard(file_id)
                if not missing:
                    break
        except ITwinError as error:
            self.log.info("The names of the files could not be read, so the report gives their ids: %s", error)
        return names

    def addresses(self, ref: RunRef, *, itwin_id: str | None = None, imodel_id: str | None = None) -> Addresses:
        """
        Give the pages about a run in Bentley's portal, or in that of the connection's `portal_url`.

        :param itwin_id: where the connection belongs, if that is known already, as is `imodel_id`; else the service is asked
        """
        environment = self._client.account.environment
        if not is_known(environment, self._portal_url):
            return Addresses()
        if itwin_id is None or imodel_id is None:
            try:
                call = endpoints.get_connection(ref.kind, ref.connection_id)
                found = self.ask(lambda client: client.call(call, retry_budget=0))
                itwin_id, imodel_id = found.itwin_id, found.imodel_id
            except ITwinError as error:
                self.log.info("Where connection %s belongs could not be read: %s", ref.connection_id, error)
        return addresses(environment, self._portal_url, ref, itwin_id, imodel_id)

    async def addresses_async(self, ref: RunRef) -> Addresses:
        """
        Return the pages about a run as :meth:`addresses` does, from the triggerer.

        :raises ITwinError: if the service does not tell where the connection belongs
        """
        connection = await self._connection_async()
        environment, portal = account_of(connection).environment, portal_of(connection)
        if not is_known(environment, portal):
            return Addresses()
        async with self.async_client() as client:
            found = await client.call(endpoints.get_connection(ref.kind, ref.connection_id), retry_budget=0)
        return addresses(environment, portal, ref, found.itwin_id, found.imodel_id)

    def test_connection(self) -> tuple[bool, str]:
        """Try the connection, and say in one sentence what works, or what to fix."""
        try:
            client = self._client
        except ITwinError as error:
            return False, " ".join(filter(None, (f"{error.summary}.", error.hint)))
        except (ValueError, AirflowException) as error:
            return False, str(error)
        account = client.account
        try:
            call = endpoints.get_connections(ConnectionKind.STORAGE, None, 1, 0)
            page = self.ask(lambda client: client.call(call, retry_budget=0))
        except ITwinError as error:
            # An older API asks for an iModel here; that it asks at all means that it took the token.
            if error.status == 422:
                return True, f"It works: {account.environment.api} accepts {who(account)}."
            return False, diagnosis(account, error)
        if not page.connections:
            return False, nothing_seen(account)
        return True, f"It works: {account.environment.api} accepts {who(account)}, and shows it storage connections."


def _age(run: Run) -> float:
    return -run.start_date_time.timestamp() if run.start_date_time else -math.inf
