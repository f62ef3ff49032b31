"""The asynchronous client where many use it at once: one token, one look for one run, and nobody hangs."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging

import pytest

from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.errors import ITwinAuthenticationError, ITwinServerError
from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
from tests.api.drivers import World

STORAGE = ConnectionKind.STORAGE
LOOK = endpoints.get_connection(STORAGE, "c1")


def real_account(world: World, secret: str | None = None) -> Account:
    """An account whose clocks are those of this machine."""
    usual = world.account()
    emulator = world.emulator
    return Account(
        usual.environment, ClientCredentials(emulator.client_id, secret or emulator.client_secret), usual.network
    )


@pytest.fixture(autouse=True)
def connection(world: World) -> None:
    world.emulator.add_connection(connection_id="c1")


async def test_fifty_waits_at_once_fetch_one_token(world: World) -> None:
    runs = []
    for number in range(50):
        world.emulator.add_connection(connection_id=f"n{number}")
        runs.append((f"n{number}", world.emulator.start_run(f"n{number}")))
        world.emulator.finish_run(f"n{number}")

    async with AsyncITwinClient(real_account(world)) as client:
        outcomes = await asyncio.gather(*(client.wait(WaitSpec(STORAGE, *run)) for run in runs))

    assert {outcome.end for outcome in outcomes} == {WaitEnd.FINISHED}
    assert [outcome.ref.run_id for outcome in outcomes if outcome.ref] == [run_id for _, run_id in runs]
    operations_done = world.operations()
    assert operations_done.count("token") == 1
    assert operations_done.count("get-storage-connection-run") == 50


async def test_fifty_calls_at_once_with_a_revoked_token_fetch_one_more(world: World) -> None:
    async with AsyncITwinClient(real_account(world)) as client:
        await client.call(LOOK)
        world.emulator.revoke_tokens()
        await asyncio.gather(*(client.call(LOOK) for _ in range(50)))

    assert world.operations().count("token") == 2


async def test_fifty_waits_for_one_run_share_their_looks(world: World) -> None:
    run_id = world.emulator.start_run("c1")
    world.emulator.finish_run("c1")

    async with AsyncITwinClient(real_account(world)) as client:
        outcomes = await asyncio.gather(*(client.wait(WaitSpec(STORAGE, "c1", run_id)) for _ in range(50)))

    assert {outcome.end for outcome in outcomes} == {WaitEnd.FINISHED}
    assert world.operations() == ["token", "get-storage-connection-run"]


async def test_who_gives_up_while_the_token_is_fetched_does_not_take_it_from_the_others(world: World) -> None:
    world.emulator.fail("token", kind="delay", seconds=0.2)

    async with AsyncITwinClient(real_account(world)) as client:
        hasty = asyncio.create_task(client.call(LOOK))
        await asyncio.sleep(0.05)
        patient = [asyncio.create_task(client.call(LOOK)) for _ in range(5)]
        await asyncio.sleep(0.05)
        hasty.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hasty
        assert {(await one).id for one in patient} == {"c1"}

    assert world.operations().count("token") == 1


async def test_a_refusal_of_the_token_reaches_all_who_ask_within_half_a_minute(world: World) -> None:
    wrong = ClientCredentials(world.emulator.client_id, "wrong")
    async with AsyncITwinClient(world.account(wrong)) as client:
        results = await asyncio.gather(*(client.call(LOOK) for _ in range(10)), return_exceptions=True)

        assert all(isinstance(result, ITwinAuthenticationError) for result in results)
        assert world.operations() == ["token"]

        world.clock.advance(29.0)
        with pytest.raises(ITwinAuthenticationError):
            await client.call(LOOK)
        assert world.operations() == []

        world.clock.advance(1.0)
        with pytest.raises(ITwinAuthenticationError):
            await client.call(LOOK)
        assert world.operations() == ["token"], "then it is asked anew"


async def test_an_outage_of_the_issuer_does_not_last_longer_than_it_does(world: World) -> None:
    world.emulator.fail("token", status=500)

    async with AsyncITwinClient(real_account(world)) as client:
        with pytest.raises(ITwinServerError):
            await client.call(LOOK, retry_budget=0.0)
        assert (await client.call(LOOK, retry_budget=0.0)).id == "c1"


async def test_a_token_that_nobody_waits_for_any_more_fails_in_silence(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.emulator.fail("token", kind="delay", seconds=0.1)
    problems: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(str(context)))

    async with AsyncITwinClient(real_account(world, "wrong")) as client:
        task = asyncio.create_task(client.call(LOOK))
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.2)
        gc.collect()

    assert problems == []


async def test_the_client_can_be_left_while_its_token_is_fetched(world: World) -> None:
    world.emulator.fail("token", kind="hang", seconds=5.0)
    problems: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(str(context)))

    async with asyncio.timeout(3.0):
        async with AsyncITwinClient(real_account(world)) as client:
            task = asyncio.create_task(client.call(LOOK))
            await asyncio.sleep(0.05)
            task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    gc.collect()

    assert problems == []


async def test_a_client_is_used_inside_its_block_only(world: World) -> None:
    client = AsyncITwinClient(real_account(world))

    with pytest.raises(RuntimeError, match="outside its `async with` block"):
        await client.call(LOOK, retry_budget=0.0)


async def test_throttling_is_logged_once_as_a_warning_and_in_no_tasks_context(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="nobody")
    logged: list[tuple[str, str, str]] = []

    class Note(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            logged.append((record.levelname, whose.get(), record.getMessage()))
            return True

    note, logger = Note(), logging.getLogger("airflow_provider_itwin.api.http.rate_limit")
    logger.addFilter(note)
    caplog.set_level(logging.INFO)
    world.emulator.fail("get-storage-connection", status=429, headers={"Retry-After": "40"})
    client = AsyncITwinClient(world.account(), world.sleep_async)
    try:
        async with client:
            whose.set("a task")
            with pytest.raises(Exception, match="429"):
                await client.call(LOOK, retry_budget=0.0)
            await asyncio.gather(*(client.call(LOOK) for _ in range(5)))
            world.clock.advance(120.0)
            await client.call(LOOK)
            await client.call(LOOK)
    finally:
        logger.removeFilter(note)

    assert [(level, name) for level, name, _ in logged] == [("WARNING", "nobody"), ("INFO", "nobody")]
    assert "are throttled" in logged[0][2]
    assert "40.0 s" in logged[0][2]
    assert "no longer throttled" in logged[1][2]
