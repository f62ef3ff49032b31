"""What can happen to a sensor, and how its task ends then, whatever its mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .sensors import DAWN, NIGHT

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator


class Situation:
    """Something that happens to a sensor, and the state of its task under each flag."""

    def __init__(
        self,
        happens: Callable[[Emulator, Callable[..., None]], dict[str, Any]],
        none: str,
        soft_fail: str,
        never_fail: str,
        silent_fail: str,
    ) -> None:
        self.happens = happens
        self.states = {"no flag": none, "soft_fail": soft_fail, "never_fail": never_fail, "silent_fail": silent_fail}


def ends_with(result: str, **arguments: Any) -> Callable[..., dict[str, Any]]:
    def happens(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
        emulator.plan_run(NIGHT, result, 600)
        return {"run_id": emulator.start_run(NIGHT)} | arguments

    return happens


def failure(duration: float = 600, **fault: Any) -> Callable[..., dict[str, Any]]:
    def happens(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
        emulator.plan_run(NIGHT, "Success", duration)
        emulator.fail(**{"operation": "get-storage-connection-run", "times": None} | fault)
        return {"run_id": emulator.start_run(NIGHT)}

    return happens


def takes_too_long(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    emulator.plan_run(NIGHT, "Success", 36_000)
    return {"run_id": emulator.start_run(NIGHT)}


def never_begins(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    return {"started_after": DAWN}


def is_not_there(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    return {"run_id": "no-such-run"}


def is_given(**arguments: Any) -> Callable[..., dict[str, Any]]:
    def happens(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
        return {"run_id": emulator.start_run(NIGHT)} | arguments

    return happens


def is_connected(**fields: Any) -> Callable[..., dict[str, Any]]:
    def happens(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
        host = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}
        connection(**host | fields)
        return {"run_id": emulator.start_run(NIGHT)}

    return happens


def outage_up_to_the_limit(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    return failure(status=503)(emulator, connection) | {"timeout": 300}


GOOD = ("success", "success", "success", "success")
BAD_FOR_EVER = ("failed", "skipped", "skipped", "failed")
"""What can never become good: a run that failed, a limit that passed, a refusal. Silence does not heal it."""
BAD_FOR_NOW = ("up_for_retry", "up_for_retry", "skipped", "failed")
"""Fault that may pass: ``soft_fail`` is not about it, and with ``silent_fail`` the limit passes in the end."""

SITUATIONS = {
    "Success": Situation(ends_with("Success"), *GOOD),
    "PartialSuccess": Situation(ends_with("PartialSuccess"), *GOOD),
    "Skipped": Situation(ends_with("Skipped"), *GOOD),
    "Error": Situation(ends_with("Error"), *BAD_FOR_EVER),
    "TimedOut": Situation(ends_with("TimedOut"), *BAD_FOR_EVER),
    "Canceled": Situation(ends_with("Canceled"), *BAD_FOR_EVER),
    "Undetermined": Situation(ends_with("Undetermined"), *BAD_FOR_EVER),
    "unknown result": Situation(ends_with("Exploded"), *BAD_FOR_EVER),
    "unknown result, nothing fails": Situation(ends_with("Exploded", fail_on=[]), *BAD_FOR_EVER),
    "Error, nothing fails": Situation(ends_with("Error", fail_on=iter(())), *GOOD),
    "Skipped skips": Situation(ends_with("Skipped", skip_on=["Skipped"]), *["skipped"] * 4),
    "takes too long": Situation(takes_too_long, *BAD_FOR_EVER),
    "never begins": Situation(never_begins, *BAD_FOR_EVER),
    "unknown run": Situation(is_not_there, *BAD_FOR_EVER),
    "403": Situation(failure(status=403), *BAD_FOR_EVER),
    "401": Situation(failure(status=401), *BAD_FOR_EVER),
    "404 in the middle": Situation(failure(3600, status=404, after=12), *BAD_FOR_EVER),
    "422": Situation(failure(status=422), *BAD_FOR_EVER),
    "wrong secret": Situation(is_connected(password="wrong"), *BAD_FOR_EVER),
    "no credentials": Situation(is_connected(login=None), *BAD_FOR_EVER),
    "plain http": Situation(is_connected(host="http://api.bentley.com"), *BAD_FOR_EVER),
    "bad extra": Situation(is_connected(extra={"verify": 1.5}), *BAD_FOR_EVER),
    "run id None": Situation(is_given(run_id="None"), *BAD_FOR_EVER),
    "run id empty": Situation(is_given(run_id=""), *BAD_FOR_EVER),
    "run id a link": Situation(is_given(run_id="runs/a"), *BAD_FOR_EVER),
    "connection id None": Situation(is_given(connection_id=None), *BAD_FOR_EVER),
    "connection id a path": Situation(is_given(connection_id="a/b"), *BAD_FOR_EVER),
    "started_after no moment": Situation(is_given(run_id=None, started_after="yesterday"), *BAD_FOR_EVER),
    "started_after empty": Situation(is_given(run_id=None, started_after=""), *BAD_FOR_EVER),
    "503": Situation(failure(status=503), *BAD_FOR_NOW),
    "503 in the middle": Situation(failure(status=503, after=5), *BAD_FOR_NOW),
    "429": Situation(failure(status=429, headers={"Retry-After": "30"}), *BAD_FOR_NOW),
    "reset": Situation(failure(kind="reset-before"), *BAD_FOR_NOW),
    "unreadable": Situation(failure(kind="invalid-json"), *BAD_FOR_NOW),
    "html": Situation(failure(kind="html", status=200), *BAD_FOR_NOW),
    "no Airflow connection": Situation(is_given(itwin_conn_id="nobody"), *BAD_FOR_NOW),
    "outage that is tolerated": Situation(failure(status=503, lasting=600), *GOOD),
    "outage that is too long": Situation(
        failure(status=503, lasting=1200), "up_for_retry", "up_for_retry", "skipped", "success"
    ),
    "outage up to the limit": Situation(outage_up_to_the_limit, *BAD_FOR_EVER),
}
