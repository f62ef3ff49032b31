"""The controls of a running emulator: entities, runs, faults and limits. Thread-safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from itwin_emulator.admin import dashboard, validation
from itwin_emulator.admin.imodel_controls import ImodelControls
from itwin_emulator.admin.job_controls import JobControls
from itwin_emulator.admin.scenario import FileLike, source_files
from itwin_emulator.admin.storage_controls import StorageControls
from itwin_emulator.api.serializers import Serializer
from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import Client
from itwin_emulator.domain.kinds import Kind
from itwin_emulator.domain.quirks import Quirks
from itwin_emulator.domain.run_plans import FailingFile, RunError, RunPlan
from itwin_emulator.domain.store import Store
from itwin_emulator.http.faults import Fault, FaultKind, FaultRegistry
from itwin_emulator.http.oauth import TokenService
from itwin_emulator.http.rate_limit import TIERS, Limit, RateLimiter
from itwin_emulator.http.request_log import LoggedRequest, RequestLog

ROLES = ("owner", "maintainer", "reader")
MAX_PLANS = 10_000


@dataclass(slots=True)
class Controls:
    """
    The controls of an emulator. The control API calls the same methods.

    :param get_url: returns the origin of the service
    :param on_change: called after a change of the store
    """

    store: Store
    tokens: TokenService
    faults: FaultRegistry
    rate_limiter: RateLimiter
    request_log: RequestLog
    get_url: Callable[[], str]
    on_change: Callable[[], None]

    @property
    def imodels(self) -> ImodelControls:
        """The controls of the histories of iModels."""
        return ImodelControls(self.store, self.get_url, self.on_change)

    @property
    def storage(self) -> StorageControls:
        """The controls of the folders and files in Storage."""
        return StorageControls(self.store, self.on_change)

    @property
    def jobs(self) -> JobControls:
        """The controls of jobs."""
        return JobControls(self.store, self.on_change)

    # Entities

    def add_client(
        self,
        client_id: str | None = None,
        client_secret: str | None = None,
        *,
        roles: Mapping[str, str] | None = None,
        scopes: Iterable[str] = ("itwin-platform",),
        registered: bool = True,
        everywhere: bool = False,
        tier: str | None = None,
    ) -> tuple[str, str]:
        """
        Add a service client.

        :param roles: roles by iTwin id: ``owner``, ``maintainer`` or ``reader``; other iTwins are invisible to the client
        :param scopes: scopes that it can request; tokens without ``itwin-platform`` are rejected with RequiredScopeMissing
        :param registered: False: it gets tokens, but every request with them is rejected with UnknownClient
        :param everywhere: whether it has access to all iTwins
        :param tier: rate-limit tier; None: the tier of the emulator
        :return: client id and secret
        """
        key = client_id or f"service-{ids.opaque_id()[:20]}"
        secret = client_secret or ids.opaque_id()
        with self.store.lock:
            self.store.clients[key] = Client(key, secret, tuple(scopes), registered, everywhere, tier=tier)
            for itwin_id, role in (roles or {}).items():
                self.store.add_itwin(itwin_id).members[key] = role
        self.on_change()
        return key, secret

    def make_token(
        self, client_id: str, scopes: Iterable[str] = ("itwin-platform",), lifetime: float | None = None
    ) -> str:
        """
        Create an access token without a request to the token endpoint.

        :param lifetime: real seconds until it expires; negative: it is expired already; None: the default
        """
        return self.tokens.make(client_id, tuple(scopes), self.get_url(), lifetime)

    def set_role(self, client_id: str, itwin_id: str, role: str | None) -> None:
        """
        Set the role of a client in an iTwin.

        :param role: ``owner``, ``maintainer`` or ``reader``; None removes the role
        """
        if role is not None and role not in ROLES:
            raise ValueError(f"role must be one of {', '.join(ROLES)}, not {role!r}")
        with self.store.lock:
            if client_id not in self.store.clients:
                raise LookupError(f"no client {client_id!r}")
            members = self.store.add_itwin(itwin_id).members
            if role is None:
                members.pop(client_id, None)
            else:
                members[client_id] = role
        self.on_change()

    def sign_in(self, client_id: str, signed_in: bool = True) -> None:
        """Store or remove the sign-in that runs of the client's ``User`` connections need."""
        with self.store.lock:
            if client_id not in self.store.clients:
                raise LookupError(f"no client {client_id!r}")
            self.store.clients[client_id].signed_in = signed_in
        self.on_change()

    def add_itwin(self, itwin_id: str | None = None, display_name: str | None = None) -> str:
        """Add an iTwin and return its id."""
        added = self.store.add_itwin(itwin_id, display_name).id
        self.on_change()
        return added

    def add_imodel(
        self, imodel_id: str | None = None, itwin_id: str | None = None, display_name: str | None = None
    ) -> str:
        """Add an iModel and return its id; without an iTwin it is added to the first one."""
        added = self.store.add_imodel(imodel_id, itwin_id, display_name).id
        self.on_change()
        return added

    def add_connection(
        self,
        kind: Kind = "storage",
        connection_id: str | None = None,
        imodel_id: str | None = None,
        display_name: str | None = None,
        authentication_type: str = "Service",
        files: int | Iterable[FileLike] | None = None,
    ) -> str:
        """
        Add a connection and return its id.

        :param imodel_id: the iModel, created if it does not exist; None: a new iModel
        :param files: names, or dicts with ``name``, ``connector_type``, ``file_id``, ``id``; a number: that many invented
            files; None: three
        """
        created = source_files(files)
        added = self.store.add_connection(kind, connection_id, imodel_id, display_name, authentication_type, created)
        self.on_change()
        return added.id

    def connection_ids(self) -> list[str]:
        """Return the ids of all connections."""
        with self.store.lock:
            return list(self.store.connections)

    # Runs

    def plan_run(
        self,
        connection_id: str,
        result: str = "Success",
        duration: float = 600.0,
        *,
        times: int | None = None,
        phase: str = "MasterFile",
        error: RunError | Mapping[str, Any] | None = None,
        failing: Iterable[str | int | Mapping[str, Any] | FailingFile] = (),
        warnings: int = 0,
        errors: int = 0,
        other_issues: int = 0,
        invent_files: int | None = None,
        changesets: int | None = None,
        states: Iterable[tuple[str, float]] | None = None,
    ) -> None:
        """
        Plan the next runs of a connection.

        :param duration: emulated seconds from the start to ``Completed``
        :param times: number of runs, after those planned already; None: all runs from now on
        :param error: error of the run as a whole: ``error_key``, ``description``
        :param failing: files that fail: names, or dicts with ``file`` and the fields of the task error
        :param warnings: total in the reports of the files that do not fail; likewise ``errors`` and ``other_issues``
        :param invent_files: process this number of invented files instead of those of the connection
        :param changesets: number of changesets that it pushes if it is successful; None: one if files have changed
        :param states: states before ``Completed``, each with its share of the duration
        """
        data: dict[str, Any] = {
            "result": result,
            "duration": duration,
            "phase": phase,
            "error": error,
            "failing": [{"file": one} if isinstance(one, str | int) else one for one in failing],
            "warnings": warnings,
            "errors": errors,
            "other_issues": other_issues,
            "invent_files": invent_files,
            "changesets": changesets,
        }
        if states is not None:
            data["states"] = list(states)
        plan = validation.build(RunPlan, data, "plan")
        if times is not None and not 1 <= times <= MAX_PLANS:
            raise ValueError(f"times must be between 1 and {MAX_PLANS}, or None for all runs")
        with self.store.lock:
            connection = self.store.connection(connection_id)
            if times is None:
                connection.default_plan = plan
                connection.next_plans.clear()
                connection.planned = True
            else:
                connection.next_plans.extend([plan] * times)
        self.on_change()

    def start_run(self, connection_id: str) -> str:
        """Start a run as another client would. Return its id, or the id of the active run of the iModel."""
        with self.store.lock:
            run, _ = self.store.begin_run(self.store.connection(connection_id))
        self.on_change()
        return run.id

    def finish_run(self, connection_id: str, run_id: str | None = None, result: str | None = "Success") -> None:
        """
        End a run now.

        :param run_id: None: the newest run
        :param result: None: the planned result
        """
        with self.store.lock:
            connection = self.store.connection(connection_id)
            for run in reversed(connection.runs):
                if run_id is None or run.id == run_id:
                    self.store.finish_run(run, result)
                    break
            else:
                raise LookupError(f"connection {connection_id!r} has no run {run_id!r}")
        self.on_change()

    def runs(self, connection_id: str) -> list[dict[str, Any]]:
        """Return the full runs of a connection as in the API, oldest first."""
        with self.store.lock:
            serializer = self._serializer()
            return [serializer.run(run) for run in self.store.connection(connection_id).runs]

    def newest_runs(self, limit: int, connection_id: str | None = None) -> list[dict[str, Any]]:
        """Return the newest runs per connection, or of one connection, oldest first and at most ``limit``."""
        with self.store.lock:
            connection_ids = list(self.store.connections) if connection_id is None else [connection_id]
            serializer = self._serializer()
            result: list[dict[str, Any]] = []
            for one in connection_ids:
                remaining = max(0, limit - len(result))
                runs = self.store.connection(one).runs
                result += [serializer.run(run) for run in (runs[-remaining:] if remaining else [])]
            return result

    def _serializer(self) -> Serializer:
        clock = self.store.clock
        return Serializer(clock.now(), clock.skew, self.get_url(), self.store.quirks)

    # Faults, quirks and limits

    def fail(
        self,
        operation: str = "*",
        times: int | None = 1,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        kind: FaultKind | None = None,
        *,
        seconds: float = 0.0,
        location: str | None = None,
        size: int | None = None,
        connection_id: str | None = None,
        after: int = 0,
        lasting: float | None = None,
        processed: bool | None = None,
    ) -> None:
        """
        Script a fault. ``itwin_emulator.http.faults.KIND_NOTES`` describes the kinds.

        :param operation: id of an operation (``get-storage-connection-run``), ``token``, ``discovery``, or a pattern with ``*``
        :param times: number of requests; None: all, until :meth:`clear_faults`
        :param status: status of the response; its body is the documented one by default
        :param body: bytes or str are sent unchanged, all else as JSON
        :param seconds: duration, for kinds that take time
        :param location: target of a redirect
        :param size: size of the body, for kinds with large bodies
        :param connection_id: affect only requests about this connection
        :param after: number of matching requests that pass first
        :param lasting: expire after this number of real seconds
        :param processed: whether to process the request in spite of the fault; None: the default of the kind
        """
        data: dict[str, Any] = {
            "operation": operation,
            "times": times,
            "kind": kind or "status",
            "status": status,
            "headers": dict(headers or {}),
            "body": body,
            "seconds": seconds,
            "location": location,
            "size": size,
            "connection_id": connection_id,
            "after": after,
            "lasting": lasting,
            "processed": processed,
        }
        self.add_fault(validation.build(Fault, data, "fault"))

    def add_fault(self, fault: Fault) -> None:
        """Script a fault; the object itself is not changed."""
        self.faults.add(replace(fault), self.store.clock.now())

    def outage(self, seconds: float, operation: str = "*", *, status: int = 503, kind: FaultKind = "status") -> None:
        """Make all requests fail for this number of real seconds."""
        self.fail(operation, None, status, kind=kind, lasting=seconds)

    def clear_faults(self, operation: str | None = None) -> int:
        """Remove all faults, or those with this operation or pattern, and return their number."""
        return self.faults.clear(operation)

    def set_quirks(self, data: Mapping[str, Any]) -> Quirks:
        """Switch the quirks that are named in ``data``, and return all quirks."""
        quirks = validation.build(Quirks, data, "quirks")
        for name in data:
            setattr(self.store.quirks, name, getattr(quirks, name))
        self.on_change()
        return self.store.quirks

    def reset_quirks(self) -> Quirks:
        """Switch all quirks off, and return them."""
        self.store.quirks.reset()
        self.on_change()
        return self.store.quirks

    def revoke_tokens(self) -> None:
        """Invalidate all tokens issued so far."""
        self.tokens.revoke_all()
        self.on_change()

    def set_tier(self, tier: str | None, code: str | None = None) -> None:
        """
        Set the rate-limit tier.

        :param tier: None: no limit
        :param code: error code of the 429; None: the documented one of each operation
        """
        if tier is not None and tier not in self.rate_limiter.limits:
            raise ValueError(f"tier must be one of {', '.join(self.rate_limiter.limits)}, not {tier!r}")
        if code not in (None, "RateLimitExceeded", "TooManyRequests"):
            raise ValueError(f"code must be RateLimitExceeded or TooManyRequests, not {code!r}")
        self.rate_limiter.tier, self.rate_limiter.code = tier, code
        self.rate_limiter.reset()

    def limit_rate(self, per_minute: int | None = None, per_hour: int | None = None) -> None:
        """Set a custom rate limit per client; None: no limit."""
        self.rate_limiter.limits = dict(TIERS) | {"own": Limit(per_minute, per_hour)}
        self.set_tier("own", self.rate_limiter.code)

    def token_leaks(self) -> list[LoggedRequest]:
        """Return the requests that sent an Authorization header to a pre-signed URL. There must be none."""
        return [entry for entry in self.request_log.snapshot() if entry.token_leaked]

    # Status

    def overview(self) -> dict[str, Any]:
        """Return settings, clients, quirks, faults and connections as JSON data, without secrets."""
        with self.store.lock:
            return {
                "url": self.get_url(),
                "speed": self.store.clock.speed,
                "clockSkew": self.store.clock.skew,
                "tokenLifetime": self.tokens.lifetime,
                "tier": self.rate_limiter.tier,
                "requests": len(self.request_log),
                "quirks": asdict(self.store.quirks),
                "faults": [asdict(fault) for fault in self.faults.pending()],
                **dashboard.entities(self.store),
            }

    def dashboard(self) -> dict[str, Any]:
        """Return the data of the dashboard: connections with their newest runs, and the newest requests."""
        with self.store.lock:
            data = dashboard.data(self.store, self.request_log)
        return data | {"faults": len(self.faults.pending()), "tier": self.rate_limiter.tier}
