"""Everything about the emulator that can be steered while it serves, from any thread: what exists, runs, trouble."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from itwin_emulator.admin import dashboard, validation
from itwin_emulator.admin.scenario import FileSpec
from itwin_emulator.domain import ids
from itwin_emulator.domain.clock import Clock
from itwin_emulator.domain.entities import Client, SourceFile, invent_files
from itwin_emulator.domain.kinds import Kind
from itwin_emulator.domain.quirks import Oddities
from itwin_emulator.domain.run_plans import FailingFile, RunError, RunPlan
from itwin_emulator.domain.store import Platform
from itwin_emulator.http.faults import Fault, FaultBox, FaultKind
from itwin_emulator.http.oauth import TokenDesk
from itwin_emulator.http.rate_limit import TIERS, Limit, RateLimiter
from itwin_emulator.http.request_log import Journal

FileLike = str | Mapping[str, Any] | FileSpec
ROLES = ("owner", "maintainer", "reader")
MOST_PLANS = 10_000


class Steering:
    """The controls of an emulator."""

    def __init__(self, clock: Clock, token_lifetime: float, tier: str | None) -> None:
        self.clock = clock
        self.platform = Platform(clock)
        self.journal = Journal()
        self.desk = TokenDesk(clock, self.platform.clients, token_lifetime)
        self.limiter = RateLimiter()
        self._faults = FaultBox()
        self.use_tier(tier)

    @property
    def url(self) -> str:
        """Origin of the service."""
        raise NotImplementedError

    def changed(self) -> None:
        """Hear that something worth keeping has changed."""

    # What exists

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
        Add a service client and give its id and secret.

        :param roles: its role in iTwins, by their ids: ``owner``, ``maintainer`` or ``reader``; elsewhere it sees nothing
        :param scopes: what it may ask for; tokens without ``itwin-platform`` are refused with RequiredScopeMissing
        :param registered: False: it gets tokens, and each request with one is refused with UnknownClient
        :param everywhere: it has access to all iTwins
        """
        key = client_id or f"service-{ids.opaque_id()[:20]}"
        secret = client_secret or ids.opaque_id()
        with self.platform.lock:
            self.platform.clients[key] = Client(key, secret, tuple(scopes), registered, everywhere, tier=tier)
            for itwin_id, role in (roles or {}).items():
                self.platform.add_itwin(itwin_id).members[key] = role
        self.changed()
        return key, secret

    def make_token(
        self, client_id: str, scopes: Iterable[str] = ("itwin-platform",), lifetime: float | None = None
    ) -> str:
        """
        Make an access token without asking the token endpoint, as a person or another program would bring one along.

        :param lifetime: real seconds that it is good for; negative: it has expired already
        """
        return self.desk.make(client_id, tuple(scopes), self.url, lifetime)

    def give_role(self, client_id: str, itwin_id: str, role: str | None) -> None:
        """Invite a client to an iTwin, or take its role away with None."""
        if role is not None and role not in ROLES:
            raise ValueError(f"role must be one of {', '.join(ROLES)}, not {role!r}")
        with self.platform.lock:
            if client_id not in self.platform.clients:
                raise LookupError(f"no client {client_id!r}")
            members = self.platform.add_itwin(itwin_id).members
            if role is None:
                members.pop(client_id, None)
            else:
                members[client_id] = role
        self.changed()

    def sign_in(self, client_id: str, signed_in: bool = True) -> None:
        """Store the sign-in that runs of the client's ``User`` connections need, or drop it."""
        with self.platform.lock:
            if client_id not in self.platform.clients:
                raise LookupError(f"no client {client_id!r}")
            self.platform.clients[client_id].signed_in = signed_in
        self.changed()

    def add_itwin(self, itwin_id: str | None = None, display_name: str | None = None) -> str:
        """Add an iTwin and give its id."""
        added = self.platform.add_itwin(itwin_id, display_name).id
        self.changed()
        return added

    def add_imodel(
        self, imodel_id: str | None = None, itwin_id: str | None = None, display_name: str | None = None
    ) -> str:
        """Add an iModel and give its id; without an iTwin it goes to the first one."""
        added = self.platform.add_imodel(imodel_id, itwin_id, display_name).id
        self.changed()
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
        Add a connection and give its id.

        :param imodel_id: the iModel, made if there is none with this id; None: one of its own
        :param files: names, or dicts with ``name``, ``connector_type``, ``file_id``, ``id``; a number: so many invented
            files; None: three
        """
        made = _source_files(files)
        added = self.platform.add_connection(kind, connection_id, imodel_id, display_name, authentication_type, made)
        self.changed()
        return added.id

    def connection_ids(self) -> list[str]:
        """Give the ids of all connections."""
        with self.platform.lock:
            return list(self.platform.connections)

    # Runs

    def plan_run(
        self,
        connection_id: str,
        result: str = "Success",
        duration: float = 600.0,
        *,
        times: int | None = None,
        phase: str = "MasterFile",
        error: RunError | Mapping[str, str] | None = None,
        failing: Iterable[FailingFile | Mapping[str, Any] | str | int] = (),
        warnings: int = 0,
        errors: int = 0,
        other_issues: int = 0,
        invent_files: int | None = None,
        states: Iterable[tuple[str, float]] | None = None,
    ) -> None:
        """
        Say how the next runs of a connection go.

        :param duration: emulated seconds from the start to Completed
        :param times: for so many runs, after those that are planned like that already; None: for all runs from now on
        :param error: error of the run as a whole: ``errorKey``, ``description``
        :param failing: files that fail: a name, or a dict with ``file`` and the fields of the error
        :param warnings: warnings in the reports of the files that do not fail, all together; so ``errors``, ``other_issues``
        :param invent_files: work on so many invented files instead of those of the connection
        :param states: states before Completed, each with its share of the duration
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
        }
        if states is not None:
            data["states"] = list(states)
        plan = validation.build(RunPlan, data, "plan")
        if times is not None and not 1 <= times <= MOST_PLANS:
            raise ValueError(f"times must be between 1 and {MOST_PLANS}, or None for all")
        with self.platform.lock:
            connection = self.platform.connection(connection_id)
            if times is None:
                connection.usual_plan = plan
                connection.next_plans.clear()
                connection.planned = True
            else:
                connection.next_plans.extend([plan] * times)
        self.changed()

    def start_run(self, connection_id: str) -> str:
        """Start a run as somebody else would; gives the id of the active run if the iModel is busy."""
        with self.platform.lock:
            run, _ = self.platform.begin_run(self.platform.connection(connection_id))
        self.changed()
        return run.id

    def finish_run(self, connection_id: str, run_id: str | None = None, result: str | None = "Success") -> None:
        """End a run now; None for the newest run, and None for the result that was planned."""
        with self.platform.lock:
            connection = self.platform.connection(connection_id)
            for run in reversed(connection.runs):
                if run_id is None or run.id == run_id:
                    run.finish(self.clock.now(), result)
                    break
            else:
                raise LookupError(f"connection {connection_id!r} has no run {run_id!r}")
        self.changed()

    def runs(self, connection_id: str) -> list[dict[str, Any]]:
        """Give the runs of a connection as the API would show them in full, oldest first."""
        with self.platform.lock:
            show = self.platform.show(self.url)
            return [show.run(run) for run in self.platform.connection(connection_id).runs]

    def newest_runs(self, limit: int, connection_id: str | None = None) -> list[dict[str, Any]]:
        """Give the newest runs of each connection, or of one, oldest first and at most so many."""
        with self.platform.lock:
            ids = list(self.platform.connections) if connection_id is None else [connection_id]
            show = self.platform.show(self.url)
            shown: list[dict[str, Any]] = []
            for one in ids:
                room = max(0, limit - len(shown))
                runs = self.platform.connection(one).runs
                shown += [show.run(run) for run in (runs[-room:] if room else [])]
            return shown

    # Trouble

    @property
    def oddities(self) -> Oddities:
        """Switches for liberties that the service takes with its documentation."""
        return self.platform.oddities

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
        Script a fault; what the kinds do is said in ``emulator.faults.KIND_NOTES``.

        :param operation: id of an operation (``get-storage-connection-run``), ``token``, ``discovery``, or a pattern with ``*``
        :param times: for so many requests; None: until :meth:`heal`
        :param status: answer with this status (503), its documented body if none is given
        :param body: bytes or text as they are, anything else as JSON
        :param connection_id: only for requests about this connection
        :param after: let so many requests pass first
        :param lasting: heal by itself after so many real seconds
        :param processed: process the request although the answer is bad
        """
        given: dict[str, Any] = {
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
        self.script(validation.build(Fault, given, "fault"))

    def script(self, fault: Fault) -> None:
        """Script a fault that is made already."""
        self._faults.add(dataclasses.replace(fault), self.clock.now())

    def outage(self, seconds: float, operation: str = "*", *, status: int = 503, kind: FaultKind = "status") -> None:
        """Let every request fail for so many real seconds."""
        self.fail(operation, None, status, kind=kind, lasting=seconds)

    def heal(self, operation: str | None = None) -> int:
        """Drop the faults that wait, all or those of one operation; gives their number."""
        return self._faults.heal(operation)

    def revoke_tokens(self) -> None:
        """Make every token issued so far worthless."""
        self.desk.revoke_all()
        self.changed()

    def use_tier(self, tier: str | None, code: str = "RateLimitExceeded") -> None:
        """Limit the rate of requests as a tier does, or not at all; ``code`` is the code of the 429."""
        if tier is not None and tier not in self.limiter.limits:
            raise ValueError(f"tier must be one of {', '.join(self.limiter.limits)}, not {tier!r}")
        if code not in ("RateLimitExceeded", "TooManyRequests"):
            raise ValueError(f"code must be RateLimitExceeded or TooManyRequests, not {code!r}")
        self.limiter.tier, self.limiter.code = tier, code
        self.limiter.forget()

    def limit_rate(self, per_minute: int | None = None, per_hour: int | None = None) -> None:
        """Limit the rate of requests of each client to any numbers."""
        self.limiter.limits = dict(TIERS) | {"own": Limit(per_minute, per_hour)}
        self.use_tier("own", self.limiter.code)

    # Looking

    def overview(self) -> dict[str, Any]:
        """Give the settings, without secrets."""
        with self.platform.lock:
            return {
                "url": self.url,
                "speed": self.clock.speed,
                "clockSkew": self.clock.skew,
                "tokenLifetime": self.desk.lifetime,
                "tier": self.limiter.tier,
                "requests": len(self.journal),
                "clients": [
                    {
                        "id": one.id,
                        "registered": one.registered,
                        "everywhere": one.everywhere,
                        "signedIn": one.signed_in,
                    }
                    for one in self.platform.clients.values()
                ],
                "oddities": asdict(self.oddities),
                "faults": [asdict(fault) for fault in self._faults.pending()],
                "connections": [
                    {
                        "id": one.id,
                        "kind": one.kind,
                        "displayName": one.display_name,
                        "iModelId": one.imodel_id,
                        "authenticationType": one.authentication_type,
                        "files": len(one.files),
                        "runs": len(one.runs),
                    }
                    for one in self.platform.connections.values()
                ],
            }

    def watch(self) -> dict[str, Any]:
        """Give what the web page shows: connections with their newest runs, and the newest requests."""
        with self.platform.lock:
            seen = dashboard.watch(self.platform, self.journal)
        return seen | {"faults": len(self._faults.pending()), "tier": self.limiter.tier}


def _source_files(files: int | Iterable[FileLike] | None) -> list[SourceFile] | None:
    if files is None:
        return None
    if isinstance(files, int):
        return invent_files(files)
    specs = []
    for index, one in enumerate(files):
        data = {"name": one} if isinstance(one, str) else one
        specs.append(validation.convert(FileSpec, data, f"files[{index}]"))
    return [spec.source_file() for spec in specs]
