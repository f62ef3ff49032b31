"""Situations of a sensor, and how its task ends in each of them, in every mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.airflow.sensors.run_sensors import DAWN, NIGHT

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator


class Situation:
    """One situation, and the state of the task for each flag."""

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


def run_exceeds_timeout(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    emulator.plan_run(NIGHT, "Success", 36_000)
    return {"run_id": emulator.start_run(NIGHT)}


def run_never_starts(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    return {"started_after": DAWN}


def unknown_run(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    return {"run_id": "no-such-run"}


def with_arguments(**arguments: Any) -> Callable[..., dict[str, Any]]:
    def happens(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
        return {"run_id": emulator.start_run(NIGHT)} | arguments

    return happens


def with_rendered(**rendered: Any) -> Callable[..., dict[str, Any]]:
    return with_arguments(rendered=rendered)


def with_connection(**fields: Any) -> Callable[..., dict[str, Any]]:
    def happens(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
        host = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}
        connection(**host | fields)
        return {"run_id": emulator.start_run(NIGHT)}

    return happens


def outage_until_the_timeout(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    return failure(status=503)(emulator, connection) | {"timeout": 300}


GOOD = ("success", "success", "success", "success")
PERMANENT = ("failed", "skipped", "skipped", "failed")
"""Permanent failures: a failed run, a passed timeout, a refusal. ``silent_fail`` does not change them."""
TEMPORARY = ("up_for_retry", "up_for_retry", "skipped", "failed")
"""Temporary errors: ``soft_fail`` does not apply, and with ``silent_fail`` the sensor waits until its timeout."""

SITUATIONS = {
    "Success": Situation(ends_with("Success"), *GOOD),
    "PartialSuccess": Situation(ends_with("PartialSuccess"), *GOOD),
    "Skipped": Situation(ends_with("Skipped"), *GOOD),
    "Error": Situation(ends_with("Error"), *PERMANENT),
    "TimedOut": Situation(ends_with("TimedOut"), *PERMANENT),
    "Canceled": Situation(ends_with("Canceled"), *PERMANENT),
    "Undetermined": Situation(ends_with("Undetermined"), *PERMANENT),
    "unknown result": Situation(ends_with("Exploded"), *PERMANENT),
    "unknown result, nothing fails": Situation(ends_with("Exploded", fail_on=[]), *PERMANENT),
    "Error, nothing fails": Situation(ends_with("Error", fail_on=iter(())), *GOOD),
    "Skipped skips": Situation(ends_with("Skipped", skip_on=["Skipped"]), *["skipped"] * 4),
    "takes too long": Situation(run_exceeds_timeout, *PERMANENT),
    "never begins": Situation(run_never_starts, *PERMANENT),
    "unknown run": Situation(unknown_run, *PERMANENT),
    "403": Situation(failure(status=403), *PERMANENT),
    "401": Situation(failure(status=401), *PERMANENT),
    "404 in the middle": Situation(failure(3600, status=404, after=12), *PERMANENT),
    "422": Situation(failure(status=422), *PERMANENT),
    "wrong secret": Situation(with_connection(password="wrong"), *PERMANENT),
    "no credentials": Situation(with_connection(login=None), *PERMANENT),
    "plain http": Situation(with_connection(host="http://api.bentley.com"), *PERMANENT),
    "bad extra": Situation(with_connection(extra={"verify": 1.5}), *PERMANENT),
    "run id None": Situation(with_rendered(run_id="None"), *PERMANENT),
    "run id empty": Situation(with_rendered(run_id=""), *PERMANENT),
    "run id a link": Situation(with_rendered(run_id="runs/a"), *PERMANENT),
    "connection id None": Situation(with_rendered(connection_id=None), *PERMANENT),
    "connection id a path": Situation(with_rendered(connection_id="a/b"), *PERMANENT),
    "started_after not a time": Situation(with_rendered(run_id=None, started_after="yesterday"), *PERMANENT),
    "started_after empty": Situation(with_rendered(run_id=None, started_after=""), *PERMANENT),
    "503": Situation(failure(status=503), *TEMPORARY),
    "503 in the middle": Situation(failure(status=503, after=5), *TEMPORARY),
    "429": Situation(failure(status=429, headers={"Retry-After": "30"}), *TEMPORARY),
    "reset": Situation(failure(kind="reset-before"), *TEMPORARY),
    "unreadable": Situation(failure(kind="invalid-json"), *TEMPORARY),
    "html": Situation(failure(kind="html", status=200), *TEMPORARY),
    "no Airflow connection": Situation(with_arguments(itwin_conn_id="nobody"), *TEMPORARY),
    "outage that is tolerated": Situation(failure(status=503, lasting=600), *GOOD),
    "outage that is too long": Situation(
        failure(status=503, lasting=1200), "up_for_retry", "up_for_retry", "skipped", "success"
    ),
    "outage up to the limit": Situation(outage_until_the_timeout, *PERMANENT),
}
