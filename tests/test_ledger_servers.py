"""Ledgers whose servers are killed, frozen or hang up: clear errors, books that hold, and on again."""

import asyncio
import importlib.util
import json
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from commands import Commands, FakeProvider
from servers import Missing, Server, benchmark, postgres_process, redis_process
from suffice.budgets import Claim, Ledger, Reserve, Settle, Use
from suffice.errors import LedgerAway
from suffice.store import open_ledger
from test_cli_budgets import ask

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
MODULES = {"postgres": "psycopg", "redis": "redis"}


@pytest.fixture(params=["postgres", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    yield from _server(request.param)


@pytest.fixture
def postgres() -> Iterator[Server]:
    yield from _server("postgres")


def _server(kind: str) -> Iterator[Server]:
    pytest.importorskip(MODULES[kind], reason=f"pip install 'suffice[{kind}]'")
    with ExitStack() as stack:
        try:
            started = redis_process("always") if kind == "redis" else postgres_process(is_kept=True)
            server = stack.enter_context(started)
        except Missing as missing:
            pytest.skip(str(missing))
        yield server


def reserve(name: str, amount: int, lease_s: float = 60.0) -> Reserve:
    return Reserve(name, (Claim("a", 0, 0, 0, amount, 10),), lease_s)


def with_two(url: str, work: Callable[[Ledger, Ledger], Awaitable[None]]) -> None:
    async def main() -> None:
        ledgers = open_ledger(url), open_ledger(url)
        try:
            await work(*ledgers)
        finally:
            for ledger in ledgers:
                await ledger.close()

    asyncio.run(main())


def test_what_was_settled_while_the_server_was_away_comes_before_its_lease_ends(server: Server) -> None:
    async def work(ours: Ledger, theirs: Ledger) -> None:
        await ours.apply([reserve("1", 8, lease_s=0.5)])
        server.kill()
        for operation in (Settle("1", (8,)), reserve("2", 8)):  # the call is over, and nobody takes it down
            with pytest.raises(LedgerAway, match="the ledger on"):
                await (ours if isinstance(operation, Settle) else theirs).apply([operation])
        await asyncio.sleep(0.6)
        server.start()
        (early,) = await theirs.apply([reserve("3", 8)])
        assert early.refused == 0, "it would be spent twice"
        await ours.apply([Settle("1", (8,))])
        assert (await theirs.uses())["a", 0] == Use(8, 0, 0)

    with_two(server.url, work)


def test_a_frozen_server_is_an_error_and_then_no_more(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suffice.store.ledger_postgres._ANSWER_S", 0.5)
    monkeypatch.setattr("suffice.store.ledger_redis._TIMEOUT_S", 0.5)

    async def work(ledger: Ledger, _: Ledger) -> None:
        await ledger.apply([reserve("1", 8)])
        server.freeze()
        start = time.monotonic()
        try:
            with pytest.raises(LedgerAway, match="the ledger on"):
                await ledger.apply([reserve("2", 1)])
        finally:
            server.thaw()
        assert time.monotonic() - start < 3
        await ledger.apply([Settle("2"), Settle("1", (5,))])
        assert (await ledger.uses())["a", 0] == Use(5, 0, 0)

    with_two(server.url, work)


def test_a_connection_that_the_server_ended_is_made_anew(postgres: Server) -> None:
    """As a restart, a pooler or a firewall does between two requests."""
    import psycopg

    async def work(ledger: Ledger, _: Ledger) -> None:
        await ledger.apply([reserve("1", 8)])
        with psycopg.connect(postgres.url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        await ledger.apply([Settle("1", (5,))])
        assert (await ledger.uses())["a", 0] == Use(5, 0, 0)

    with_two(postgres.url, work)


def test_a_gateway_that_stands_still_in_its_transaction_does_not_stop_others(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suffice.store.ledger_postgres._TURN_S", 1)
    held, goes_on = threading.Event(), threading.Event()

    async def work(ours: Any, theirs: Ledger) -> None:
        await theirs.apply([])

        def stands_still(rows: Any, clock: Any) -> None:
            held.set()
            goes_on.wait(30)
            rows.uses()

        frozen = asyncio.create_task(ours._run(stands_still))
        await asyncio.to_thread(held.wait)
        try:
            start = time.monotonic()
            while not await _takes(theirs, reserve("1", 1)):
                assert time.monotonic() - start < 15
        finally:
            goes_on.set()
        with pytest.raises(LedgerAway, match="idle-in-transaction"):
            await frozen
        assert (await ours.uses())["a", 0] == Use(0, 1, 0)

    with_two(postgres.url, work)


async def _takes(ledger: Ledger, operation: Reserve) -> bool:
    try:
        await ledger.apply([operation])
    except LedgerAway:
        return False
    return True


def test_a_gateway_refuses_and_then_serves_again(server: Server, tmp_path: Path, suffice: Commands) -> None:
    with FakeProvider() as provider:
        budget = "budgets: [{name: all, usd: 1, max_tokens: 50}]\n"
        suffice.write(f"{provider.config}{budget}ledger: {server.url!r}\n")
        with suffice.start("up", "--port", "0") as gateway:
            assert gateway.says("suffice ready on")
            url = gateway.out.split("ready on ")[1].split("/v1")[0] + "/v1/chat/completions"
            assert ask(url, "")[0] == 200
            server.kill()
            status, body = ask(url, "")
            server.start()
            end = time.monotonic() + 15
            while (again := ask(url, "")[0]) != 200 and time.monotonic() < end:
                time.sleep(0.05)
            gateway.signals(15)
            assert gateway.ends() == 0
    assert again == 200
    assert (status, body["error"]["code"]) == (503, "ledger_away")
    assert "no call is made" in body["error"]["message"]
    assert "sfc-" not in json.dumps(body), "no address of the server"


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("kind", ["postgres", "redis-always", "redis-everysec"])
def test_kills_of_the_server_lose_nothing_and_overspend_nothing(kind: str) -> None:
    module = MODULES[kind.partition("-")[0]]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    said = benchmark("server_kill.py", "--ledger", kind, "--kills", "2")
    if "left out" in said:
        pytest.skip(said.strip())
    assert ": 0 settled calls lost, 0 ghosts, 0 over the cap" in said, said
    assert ", 0 left reserved;" in said
    acknowledged = re.search(r"(\d+) operations acknowledged", said)
    assert acknowledged is not None and int(acknowledged[1]) > 50
