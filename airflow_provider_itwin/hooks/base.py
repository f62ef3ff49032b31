"""From an Airflow connection to clients of the iTwin Platform, and waiting with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.errors import ITwinAuthenticationError
from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.wait.any_wait import AnyResult, AnyWaitResult, ResultT, WaitLimits
from airflow_provider_itwin.api.wait.stats import stats
from airflow_provider_itwin.hooks import connection_retry
from airflow_provider_itwin.hooks.connection_lookup import look_up
from airflow_provider_itwin.hooks.connection_retry import ConnectionRetry
from airflow_provider_itwin.hooks.settings import account_of, portal_of, secrets_to_mask
from airflow_provider_itwin.sdk_compat import BaseHook
from airflow_provider_itwin.version_compat import mask_secret

if TYPE_CHECKING:
    from airflow_provider_itwin.api.async_client import AsyncITwinClient
    from airflow_provider_itwin.api.client import ITwinClient
    from airflow_provider_itwin.sdk_compat import Connection

T = TypeVar("T")


class _Session(NamedTuple):
    """What a hook reads from its Airflow connection: the client, and the URL template of the portal."""

    client: ITwinClient
    portal_url: str | None


class ITwinBaseHook(BaseHook):
    """
    Base of :class:`~airflow_provider_itwin.hooks.itwin.ITwinHook`: clients and waiting, without the operations of the API.

    :param itwin_conn_id: the Airflow connection, of type ``itwin``; default ``itwin_default``
    """

    conn_name_attr = "itwin_conn_id"
    default_conn_name = "itwin_default"
    conn_type = "itwin"
    hook_name = "iTwin"

    def __init__(self, itwin_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        stats.report_to(metrics.count_polls)
        self.itwin_conn_id = itwin_conn_id

    @cached_property
    def _session(self) -> _Session:
        return self._new_session()

    @property
    def _client(self) -> ITwinClient:
        return self._session.client

    def _new_session(self) -> _Session:
        from airflow_provider_itwin.api.client import ITwinClient

        connection = self.get_connection(self.itwin_conn_id)
        account = account_of(connection)
        for secret in secrets_to_mask(connection):
            mask_secret(secret)
        return _Session(ITwinClient(account), portal_of(connection))

    def get_conn(self) -> ITwinClient:
        """
        Return the synchronous client; the first call reads the Airflow connection, and no call sends a request.

        :raises ValueError: if a setting of the connection is invalid
        """
        return self._client

    @asynccontextmanager
    async def async_client(self) -> AsyncIterator[AsyncITwinClient]:
        """
        Return a context manager with the asynchronous client; users of the same account in an event loop share one.

        :raises ValueError: if a setting of the connection is invalid
        """
        from airflow_provider_itwin.api.client_pool import shared_client

        async with shared_client(await self._account_async()) as client:
            yield client

    async def _account_async(self, refused: tuple[object, ...] | None = None) -> Account:
        """Return the account; all hooks in this event loop share one lookup of the connection for some seconds."""
        return await look_up((type(self), self.itwin_conn_id), self._read_account, refused)

    async def _read_account(self) -> Account:
        return account_of(await self._connection_async())

    async def _connection_async(self) -> Connection:
        from airflow_provider_itwin.sdk_compat import Connection

        if hasattr(Connection, "aextra_dejson"):
            return await self.aget_connection(self.itwin_conn_id)
        from asgiref.sync import sync_to_async

        # Before Airflow 3.3.2, each way to read a connection makes a synchronous call to the supervisor to mask its secrets. That
        # must not happen in the triggerer's event loop. common-compat's helper handles this since 1.23 only.
        return await sync_to_async(self.get_connection)(self.itwin_conn_id)

    async def wait_async(self, spec: WaitLimits[ResultT]) -> ResultT:
        """
        Wait for a run or a job in the triggerer; all waits in this event loop share a client for each account.

        If the service refuses the credentials, the Airflow connection is read again, and a changed secret is used. A connection
        that Airflow cannot read is read again within the outage tolerance of `spec`.

        :param spec: what to wait for
        :return: how the wait ended
        """
        from airflow_provider_itwin.api.client_pool import acquire, release

        retry = ConnectionRetry(self.itwin_conn_id, spec, "triggerer")
        step: float | AnyResult | None
        refused: tuple[object, ...] | None = None
        while True:
            try:
                account = await self._account_async(refused)
                # No `with` here: thousands of waits pause here, and a generator for each would double their memory.
                client = await acquire(account)
            except Exception as error:  # noqa: BLE001 (Airflow's secrets backends raise various errors)
                step = retry.after_unreadable(error)
            else:
                try:
                    step = retry.after_read(account.key)
                    result = await client.wait(retry.spec) if step is None else None
                finally:
                    await release(client)
                if result is not None:
                    if not isinstance(result.error, ITwinAuthenticationError):
                        return cast("ResultT", result)
                    refused = account.key
                    retry.after_refused(result, refused)
                    continue
            if isinstance(step, AnyWaitResult):
                return cast("ResultT", step)
            await connection_retry.sleep_async(step or 0.0)

    def wait(self, spec: WaitLimits[ResultT]) -> ResultT:
        """
        Wait for a run or a job on the worker, by the same rules as :meth:`wait_async`.

        :param spec: what to wait for
        :return: how the wait ended
        """
        return self._wait_or_poll(spec, None, lambda client, current: client.wait(current))

    def poll_once(self, spec: WaitLimits[ResultT], retry_budget: float | None = None) -> ResultT:
        """
        Poll a run or a job once.

        :param spec: what to wait for
        :param retry_budget: seconds for which errors are retried; None: the outage tolerance of `spec`
        :return: the state of the wait; its `end` is None while the wait continues
        """
        return self._wait_or_poll(spec, retry_budget, lambda client, current: client.poll_once(current, retry_budget))

    def _wait_or_poll(
        self, spec: WaitLimits[ResultT], retry_budget: float | None, poll: Callable[[ITwinClient, Any], ResultT]
    ) -> ResultT:
        """Call `poll` by the same rules as :meth:`wait_async`."""
        retry = ConnectionRetry(self.itwin_conn_id, spec, "worker", retry_budget)
        step: float | AnyResult | None
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
                    result = poll(client, retry.spec)
                    if not isinstance(result.error, ITwinAuthenticationError):
                        return result
                    retry.after_refused(result, client.account.key)
                    self._refresh_client_if_readable()
                    continue
            if isinstance(step, AnyWaitResult):
                return cast("ResultT", step)
            connection_retry.sleep(step)
            self._refresh_client_if_readable()

    def _refresh_client_if_readable(self) -> None:
        try:
            # A connection that was never read is read when it is needed.
            if "_session" in vars(self):
                self._refresh_client()
        except Exception as error:  # noqa: BLE001 (Airflow's secrets backends raise various errors)
            self.log.debug("The Airflow connection %s could not be read again: %s", self.itwin_conn_id, error)

    def with_client(self, request: Callable[[ITwinClient], T]) -> T:
        """
        Call `request` with the client; if the credentials are refused and have changed, call it once more with the new ones.

        :param request: uses the client
        :return: what `request` returns
        :raises ITwinError: the error of `request`
        """
        try:
            return request(self._client)
        except ITwinAuthenticationError:
            if not self._refresh_client():
                raise
        return request(self._client)

    def _refresh_client(self) -> bool:
        """Read the connection again; return whether its account has changed, and use the new one if so."""
        session = self._new_session()
        if session.client.account.key == self._client.account.key:
            return False
        self._client.close()
        self._session = session
        return True

    @property
    def is_service(self) -> bool:
        """Whether the connection has client credentials of a service application, rather than an access token."""
        return isinstance(self._client.account.credentials, ClientCredentials)
