"""The ledgers: one list of checks over all of them."""

import asyncio
import itertools
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers import Missing, postgres_server, redis_server
from suffice.budgets import Budget, Claim, Ledger, MemoryLedger, Operation, Reserve, Settle, Use
from suffice.errors import ConfigError, StoreError
from suffice.store import SqliteStore, open_ledger
from suffice.store.desk import Desk

KINDS = ("memory", "sqlite", "postgres", "redis")
Work = Callable[[Ledger], Awaitable[Any]]
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="the extra [postgres] is not installed")
    try:
        with postgres_server() as url:
            yield url
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    pytest.importorskip("redis", reason="the extra [redis] is not installed")
    try:
        with redis_server() as url:
            yield url
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(autouse=True)
def _long_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases end on servers that were started a moment ago."""
    monkeypatch.setattr("suffice.store.ledger_postgres._GRACE_S", 0)
    monkeypatch.setattr("suffice.store.ledger_redis._GRACE_S", 0)


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Work], Any]:
    """Runs work on an empty ledger."""

    def running(work: Work) -> Any:
        async def main() -> Any:
            async with emptied(request, tmp_path) as ledger:
                return await work(ledger)

        return asyncio.run(main())

    return running


@asynccontextmanager
async def emptied(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    kind = request.param
    if kind == "memory":
        yield MemoryLedger()
        return
    if kind == "sqlite":
        store = SqliteStore(tmp_path / f"{next(_numbers)}.db")
        yield open_ledger(None, store)
        await asyncio.to_thread(store.close)
        return
    url = request.getfixturevalue(f"{kind}_url")
    if kind == "postgres":
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS suffice CASCADE")
    else:
        import redis

        with redis.Redis.from_url(url) as client:
            client.flushall()
    ledger = open_ledger(url)
    try:
        yield ledger
    finally:
        await ledger.close()


def claim(account: str = "a", amount: int = 1, limit: int | None = 10, period: int = 0, **more: Any) -> Claim:
    more = {"since": period, "until": period} | more
    return Claim(account, period, more.pop("since"), more.pop("until"), amount, limit, **more)


def reserve(name: str, *claims: Claim, lease_s: float = 60.0) -> Reserve:
    return Reserve(name, claims, lease_s)


async def one(ledger: Ledger, operation: Operation) -> Any:
    (outcome,) = await ledger.apply([operation])
    return outcome


def test_what_is_reserved_is_replaced_by_what_was_used(run: Any) -> None:
    async def work(ledger: Ledger) -> None:
        outcome = await one(ledger, reserve("1", claim(amount=7)))
        assert (outcome.refused, outcome.used) == (None, ((0, 7),))
        refused = await one(ledger, reserve("2", claim(amount=4)))
        assert (refused.refused, refused.used, refused.oldest) == (0, ((0, 7),), None)
        await one(ledger, Settle("1", (2,)))
        assert (await one(ledger, reserve("2", claim(amount=8)))).used == ((2, 8),)
        await one(ledger, Settle("2"))
        assert await ledger.uses() == {("a", 0): Use(2, 0, 0)}

    run(work)


def test_all_claims_or_none(run: Any) -> None:
    async def work(ledger: Ledger) -> None:
        claims = claim("team", 5), claim("key", 5, limit=4), claim("global", 5)
        refused = await one(ledger, reserve("1", *claims))
        assert (refused.refused, len(refused.used)) == (1, 2)
        assert all(use == Use() for use in (await ledger.uses()).values())
        await one(ledger, reserve("2", claim("team", 5), claim("global", 5, limit=None)))
        assert dict(await ledger.uses()) == {("team", 0): Use(0, 5, 0), ("global", 0): Use(0, 5, 0)}

    run(work)


def test_settlements_sent_twice_change_nothing(run: Any) -> None:
    """As after a commit whose word was lost."""

    async def work(ledger: Ledger) -> None:
        await one(ledger, reserve("1", claim(amount=6)))
        await ledger.apply([Settle("1", (3,)), Settle("1", (3,)), Settle("unknown", (3,))])
        assert (await ledger.uses())["a", 0] == Use(3, 0, 0)

    run(work)


def test_one_batch_sees_what_came_before(run: Any) -> None:
    async def work(ledger: Ledger) -> None:
        batch: list[Operation] = [reserve(str(i), claim(amount=1, limit=3)) for i in range(5)]
        batch += [Settle("0", (1,)), Settle("1"), reserve("x", claim(amount=1, limit=3))]
        refused = [outcome.refused for outcome in await ledger.apply(batch)]
        assert refused == [None, None, None, 0, 0, None, None, None]
        assert (await ledger.uses())["a", 0] == Use(1, 2, 0)

    run(work)


def test_amounts_beyond_what_a_float_holds_are_exact(run: Any) -> None:
    async def work(ledger: Ledger) -> None:
        limit = 9_000_000_000_000_000_003
        first = limit - 5
        await one(ledger, reserve("1", claim(amount=first, limit=limit)))
        await one(ledger, Settle("1", (first,)))
        assert (await one(ledger, reserve("2", claim(amount=6, limit=limit)))).refused == 0
        assert (await one(ledger, reserve("3", claim(amount=5, limit=limit)))).used == ((first, 5),)
        wide = claim(amount=1, limit=limit, since=-60, until=60)
        assert (await one(ledger, reserve("4", wide))).used == ((first, 5),)
        assert (await ledger.uses())["a", 0] == Use(first, 5, 0)

    run(work)


def test_a_rolling_window_counts_its_parts(run: Any) -> None:
    async def work(ledger: Ledger) -> None:
        async def at(period: int, amount: int) -> Any:
            asked = claim(amount=amount, period=period, since=period - 60, until=period + 60, lasts_s=61)
            name = f"{period}-{random.random()}"
            outcome = await one(ledger, reserve(name, asked))
            if outcome.refused is None:
                await one(ledger, Settle(name, (amount,)))
            return outcome

        assert (await at(100, 4)).refused is None
        assert (await at(130, 4)).used == ((4, 4),)
        refused = await at(150, 4)
        assert (refused.refused, refused.oldest) == (0, 100)
        assert (await at(161, 4)).used == ((4, 4),)
        assert (await at(130, 4)).refused == 0, "a clock that jumped back sees what it left ahead"

    run(work)


def test_a_lease_that_ends_is_given_back_and_noted(run: Any) -> None:
    async def work(ledger: Ledger) -> None:
        await one(ledger, reserve("dead", claim(amount=9), lease_s=0.05))
        assert (await one(ledger, reserve("2", claim(amount=2)))).refused == 0
        await passed(ledger, 1.2)
        assert (await one(ledger, reserve("3", claim(amount=2)))).refused is None
        assert (await ledger.uses())["a", 0] == Use(0, 2, 9)
        await one(ledger, Settle("dead", (5,)))  # it lived after all
        assert (await ledger.uses())["a", 0] == Use(5, 2, 0)

    run(work)


def test_a_lease_that_ends_can_be_charged_instead(run: Any) -> None:
    async def work(ledger: Ledger) -> None:
        await one(ledger, reserve("dead", claim(amount=9, charges_lost=True), lease_s=0.05))
        await passed(ledger, 1.2)
        assert (await one(ledger, reserve("3", claim(amount=2)))).refused == 0
        assert (await ledger.uses())["a", 0] == Use(9, 0, 9)
        await one(ledger, Settle("dead", (5,)))
        assert (await ledger.uses())["a", 0] == Use(5, 0, 0)

    run(work)


async def passed(ledger: Ledger, seconds: float) -> None:
    if isinstance(ledger, MemoryLedger):
        ledger.tick(seconds)
    else:
        await asyncio.sleep(seconds)


def test_budgets_are_set_and_cleared(run: Any) -> None:
    async def work(ledger: Ledger) -> None:
        first = Budget(name="b", per="key", only="k", usd=1.5, every="day")
        await ledger.set_budget(first)
        await ledger.set_budget(Budget(name="a", tokens=5))
        assert sorted(await ledger.budgets(), key=lambda b: b.name) == [Budget(name="a", tokens=5), first]
        await ledger.set_budget(Budget(name="b", usd=2))
        assert (await ledger.clear_budget("a"), await ledger.clear_budget("a")) == (True, False)
        assert await ledger.budgets() == [Budget(name="b", usd=2)]

    run(work)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.one_of(
            st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 6)), min_size=1, max_size=2),
            st.integers(0, 8),
        ),
    ),
    max_size=25,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_ledger_says_what_a_book_in_memory_says(run: Any, steps: Any) -> None:
    operations: list[Operation] = []
    amounts: dict[str, int] = {}
    for name, step in steps:
        if isinstance(step, int):
            operations.append(Settle(str(name), (min(step, 6),) * amounts.get(str(name), 1)))
        elif str(name) not in amounts:
            accounts = dict(step)
            amounts[str(name)] = len(accounts)
            operations.append(reserve(str(name), *(claim(a, n) for a, n in accounts.items())))

    async def work(ledger: Ledger) -> Any:
        outcomes = [await ledger.apply(operations[i : i + 4]) for i in range(0, len(operations), 4)]
        return [(o.refused, o.used) for batch in outcomes for o in batch], nonzero(await ledger.uses())

    def nonzero(uses: Any) -> Any:
        return {key: use for key, use in uses.items() if use != Use()}

    assert run(work) == asyncio.run(work(MemoryLedger()))


# --- the desk


class Stubborn(MemoryLedger):
    """Refuses so many batches, some of them after it did what they say."""

    def __init__(self, n: int, *, is_done: bool) -> None:
        super().__init__()
        self._n, self._is_done = n, is_done

    async def apply(self, operations: Any) -> Any:
        await asyncio.sleep(0)
        if self._n:
            self._n -= 1
            if self._is_done:
                await super().apply(operations)
            raise StoreError("no")
        return await super().apply(operations)


@pytest.mark.parametrize("is_done", [False, True])
def test_a_desk_holds_nothing_after_a_failure(is_done: bool) -> None:
    async def main() -> Any:
        desk = Desk(Stubborn(1, is_done=is_done))
        with pytest.raises(StoreError):
            await desk.reserve(reserve("1", claim(amount=9)))
        outcome = await desk.reserve(reserve("2", claim(amount=9)))
        desk.settle(Settle("2", (4,)))
        await desk.close()
        return outcome.refused, await desk.ledger.uses()

    assert asyncio.run(main()) == (None, {("a", 0): Use(4, 0, 0)})


def test_settlements_wait_for_a_ledger_that_does_not_answer() -> None:
    async def main() -> Any:
        ledger = Stubborn(0, is_done=True)
        desk = Desk(ledger)
        await desk.reserve(reserve("1", claim(amount=9)))
        ledger._n = 2
        desk.settle(Settle("1", (4,)))
        await desk.close()
        return await ledger.uses()

    assert asyncio.run(main()) == {("a", 0): Use(4, 0, 0)}


def test_a_reservation_whose_caller_left_is_given_back() -> None:
    async def main() -> Any:
        desk = Desk(Stubborn(0, is_done=False))
        task = asyncio.create_task(desk.reserve(reserve("1", claim(amount=9))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await desk.close()
        return await desk.ledger.uses()

    assert asyncio.run(main()) == {("a", 0): Use(0, 0, 0)}


def test_a_closed_desk_takes_nothing() -> None:
    async def main() -> Any:
        desk = Desk(MemoryLedger())
        await desk.reserve(reserve("1", claim(amount=9)))
        await desk.close()
        desk.settle(Settle("1", (4,)))
        with pytest.raises(StoreError, match="closed"):
            await desk.reserve(reserve("2", claim(amount=1)))
        return await desk.ledger.uses()

    assert asyncio.run(main()) == {("a", 0): Use(0, 9, 0)}


def test_reservations_of_an_earlier_boot_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.path.exists("/proc/sys/kernel/random/boot_id"):
        pytest.skip("this system names no boots")

    async def main() -> Any:
        store = SqliteStore(tmp_path / "s.db")
        await open_ledger(None, store).apply([reserve("1", claim(amount=9), lease_s=1e6)])
        monkeypatch.setattr("suffice.store.ledger_sqlite._boot", lambda: "another")
        later = open_ledger(None, store)
        (outcome,) = await later.apply([reserve("2", claim(amount=9))])
        await asyncio.to_thread(store.close)
        return outcome.refused

    assert asyncio.run(main()) is None


def test_urls() -> None:
    assert isinstance(open_ledger(None, None), MemoryLedger)
    with pytest.raises(ConfigError, match="postgresql"):
        open_ledger("mysql://x")


def test_servers_that_are_not_there_are_errors() -> None:
    async def main(url: str) -> None:
        ledger = open_ledger(url)
        with pytest.raises(StoreError, match="the ledger on"):
            await ledger.apply([reserve("1", claim())])
        await ledger.close()

    pytest.importorskip("redis")
    asyncio.run(main("unix:///nowhere.sock"))
    pytest.importorskip("psycopg")
    asyncio.run(main("postgresql://x@/db?host=/nowhere"))
