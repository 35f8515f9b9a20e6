"""What every store must do; PostgreSQL will join the list of URLs."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store_parts import feedback, record
from suffice.errors import ConfigError, InvalidRequest, NotFound, StoreError
from suffice.protocols import Store
from suffice.store import SqliteStore, digest, new_key, open_store
from suffice.store.base import to_pico, usd_text
from suffice.types import Usage


@pytest.fixture(params=["sqlite:///{}/suffice.db", "sqlite:///:memory:"], ids=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(request.param.format(tmp_path))
    yield opened
    opened.close()


def drain(store: Store) -> None:
    asyncio.run(store.drain())


def until(claim: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)


# -- records -----------------------------------------------------------------------------------


def test_a_record_comes_back_whole(store: Store) -> None:
    kept = record(query='[{"role": "user", "content": "héllo 你好"}]', answer="one\ntwo", session="s")
    store.append(kept)
    drain(store)
    assert store.record(kept.id) == kept
    assert store.record(kept.id, tenant="default") == kept


def test_a_record_with_nothing_known_comes_back_whole(store: Store) -> None:
    kept = record(
        key_id=None, user=None, candidate=None, usage=Usage(), cost_usd=None, baseline_usd=None, status=502
    )
    store.append(kept)
    drain(store)
    assert store.record(kept.id) == kept


def test_records_are_on_disk_soon_without_being_asked(store: Store) -> None:
    kept = record()
    store.append(kept)
    until(lambda: store.record(kept.id) is not None)


def test_records_are_newest_first_by_their_time(store: Store) -> None:
    kept = [record(created_at=at) for at in (30.0, 10.0, 20.0)]
    for one in kept:
        store.append(one)
    drain(store)
    assert [one.created_at for one in store.records()] == [30.0, 20.0, 10.0]
    assert [one.created_at for one in store.records(limit=1)] == [30.0]
    assert [one.created_at for one in store.records(since=20.0)] == [30.0, 20.0]
    assert store.records(limit=0) == []


def test_many_records_all_arrive(store: Store) -> None:
    kept = [record() for _ in range(1300)]  # more than one transaction, and no round number
    for one in kept:
        store.append(one)
    drain(store)
    assert {one.id for one in store.records(limit=5000)} == {one.id for one in kept}


def test_a_known_id_is_kept_as_it_was(store: Store) -> None:
    first = record()
    store.append(first)
    store.append(record(id=first.id, user="another"))
    drain(store)
    assert store.record(first.id) == first
    assert store.stats()["already_there"] == 1


def test_tenants_do_not_see_each_other(store: Store) -> None:
    mine, theirs = record(tenant="mine"), record(tenant="theirs")
    store.append(mine)
    store.append(theirs)
    drain(store)
    assert store.records(tenant="mine") == [mine]
    assert store.record(theirs.id, tenant="mine") is None
    assert [spend.n_requests for spend in store.spend(tenant="mine")] == [1]
    with pytest.raises(NotFound):
        asyncio.run(store.add_feedback(feedback(theirs.id, tenant="mine")))


def test_sql_in_values_is_only_text(store: Store) -> None:
    nasty = "x'; DROP TABLE records; --"
    store.append(record(id=nasty, tenant=nasty, user=nasty, candidate=nasty))
    drain(store)
    assert store.record(nasty, tenant=nasty) is not None
    assert [spend.group for spend in store.spend(by="user", tenant=nasty)] == [nasty]
    with pytest.raises(InvalidRequest, match="spend by"):
        store.spend(by="1; DROP TABLE records")


def test_a_record_that_cannot_be_written_is_counted_and_stops_nobody(store: Store) -> None:
    good = record()
    for bad in (
        record(cost_usd=Decimal("NaN")),
        record(cost_usd=Decimal(-1)),
        record(cost_usd=Decimal(10**8)),
        record(created_at=float("nan")),
        record(usage=Usage(prompt_tokens=2**63)),
        record(user="\ud800"),
        record(query=object()),
    ):
        store.append(bad)
    store.append(good)
    drain(store)
    assert store.records() == [good]
    stats = store.stats()
    assert stats["rejected"] == 7
    assert stats["lost"]["rejected"]["records"] == 7


def test_append_from_many_threads_and_drain_from_many_loops(store: Store) -> None:
    def work() -> None:
        for _ in range(100):
            store.append(record())
        drain(store)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(spend.n_requests for spend in store.spend()) == 500


# -- feedback ----------------------------------------------------------------------------------


def test_feedback_finds_a_record_that_is_still_queued(store: Store) -> None:
    async def rate() -> None:
        one = record()
        store.append(one)
        await store.add_feedback(feedback(one.id, 0.25, comment="meh"))
        assert store.feedback(one.id) == [feedback(one.id, 0.25, comment="meh")]

    asyncio.run(rate())


def test_the_latest_feedback_of_a_name_counts(store: Store) -> None:
    async def rate() -> str:
        one = record()
        store.append(one)
        for value in (0.0, 1.0):
            await store.add_feedback(feedback(one.id, value))
        await store.add_feedback(feedback(one.id, 17.5, name="minutes_saved"))
        return one.id

    record_id = asyncio.run(rate())
    kept = store.feedback(record_id)
    assert {(one.name, one.value) for one in kept} == {("score", 1.0), ("minutes_saved", 17.5)}
    assert store.feedback(record_id, tenant="another") == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1])
def test_impossible_feedback_is_refused(store: Store, value: float) -> None:
    one = record()
    store.append(one)
    with pytest.raises(InvalidRequest):
        asyncio.run(store.add_feedback(feedback(one.id, value)))
    assert store.feedback(one.id) == []


def test_feedback_on_nothing_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        asyncio.run(store.add_feedback(feedback("nowhere")))


def test_refused_feedback_does_not_hold_up_others(store: Store) -> None:
    async def rate() -> list[object]:
        one = record()
        store.append(one)
        calls = (feedback("nowhere"), feedback(one.id), feedback("nowhere"))
        return await asyncio.gather(*map(store.add_feedback, calls), return_exceptions=True)

    results = asyncio.run(rate())
    assert [type(result) for result in results] == [NotFound, type(None), NotFound]


def test_cancelled_feedback_leaves_the_writer_alive(store: Store) -> None:
    async def rate() -> None:
        one = record()
        store.append(one)
        task = asyncio.create_task(store.add_feedback(feedback(one.id)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.add_feedback(feedback(one.id, 0.5))
        assert [kept.value for kept in store.feedback(one.id)] == [0.5]

    asyncio.run(rate())


# -- spend -------------------------------------------------------------------------------------


def test_spend_groups_and_sums(store: Store) -> None:
    day = 86_400.0
    common = {"tenant": "t", "key_id": None, "user": None, "usage": Usage(prompt_tokens=3)}
    price = {"cost_usd": Decimal("0.1"), "baseline_usd": Decimal("0.3")}
    for one in (
        record(created_at=0.0, candidate="a", **common, **price),
        record(created_at=day, candidate="a", **common, cost_usd=None, baseline_usd=Decimal(9)),
        record(created_at=day + 1, candidate="b", **common, **price | {"cost_usd": Decimal("0.2")}),
        record(created_at=day + 2, candidate=None, status=502, **common, cost_usd=None, baseline_usd=None),
    ):
        store.append(one)
    drain(store)
    by_candidate = {spend.group: spend for spend in store.spend(by="candidate")}
    assert list(by_candidate) == ["b", "a", ""]
    a = by_candidate["a"]
    assert (a.n_requests, a.n_failed, a.n_unpriced, a.cost_usd) == (2, 0, 1, "0.1")
    assert (a.baseline_usd, a.saving_usd, a.prompt_tokens, a.completion_tokens) == ("9.3", "0.2", 6, 0)
    assert (by_candidate[""].n_failed, by_candidate[""].n_unpriced, by_candidate[""].cost_usd) == (1, 0, "0")
    assert [(spend.group, spend.n_requests) for spend in store.spend(by="day")] == [
        ("1970-01-01", 1),
        ("1970-01-02", 3),
    ]
    for by in ("tenant", "key_id", "user"):
        assert [spend.n_requests for spend in store.spend(by=by)] == [4]
    assert [spend.n_requests for spend in store.spend(by="tenant", since=day)] == [3]
    assert store.spend(tenant="nobody") == []


cents = st.decimals(min_value=0, max_value=9_000_000, places=12, allow_nan=False, allow_infinity=False)


@given(costs=st.lists(cents, min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_sums_are_exact(costs: list[Decimal]) -> None:
    store = open_store("sqlite:///:memory:")
    try:
        for cost in costs:
            store.append(record(cost_usd=cost, baseline_usd=cost))
        drain(store)
        (spend,) = store.spend()
        assert Decimal(spend.cost_usd) == Decimal(spend.baseline_usd) == sum(costs)
        assert spend.saving_usd == "0"
    finally:
        store.close()


@given(cost=st.decimals(min_value=0, max_value=9_000_000, allow_nan=False, allow_infinity=False))
def test_finer_than_a_pico_dollar_is_rounded_down(cost: Decimal) -> None:
    pico = to_pico(cost)
    assert 0 <= Fraction(cost) - Fraction(pico, 10**12) < Fraction(1, 10**12)
    assert Decimal(usd_text(pico)) == Decimal(pico).scaleb(-12)


# -- keys --------------------------------------------------------------------------------------


def test_a_key_is_found_by_the_digest_of_its_secret(store: Store) -> None:
    secret, key, its_digest = new_key("acme", name="ci", is_admin=True, keep_content=True)
    store.add_key(key, its_digest)
    assert store.key_by_digest(digest(secret)) == key
    assert store.key_by_digest(digest(secret + "x")) is None
    assert store.keys() == [key]
    assert secret.startswith("sk-suffice-")
    assert secret.startswith(key.prefix)
    assert len(secret) - len(key.prefix) > 35


def test_a_revoked_key_opens_nothing_and_stays_listed(store: Store) -> None:
    _, key, its_digest = new_key()
    store.add_key(key, its_digest)
    assert store.revoke_key(key.id, 5.0)
    assert not store.revoke_key(key.id, 6.0)
    assert not store.revoke_key("no such key", 6.0)
    assert store.key_by_digest(its_digest) is None
    assert [kept.revoked_at for kept in store.keys()] == [5.0]


def test_a_key_is_added_once(store: Store) -> None:
    _, key, its_digest = new_key()
    store.add_key(key, its_digest)
    with pytest.raises(InvalidRequest, match="there already"):
        store.add_key(key, its_digest)


def test_no_secret_reaches_the_disk(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/suffice.db")
    secret, key, its_digest = new_key()
    store.add_key(key, its_digest)
    unseen = secret[len(key.prefix) :].encode()
    assert all(unseen not in path.read_bytes() for path in tmp_path.iterdir())
    store.close()


# -- life --------------------------------------------------------------------------------------


def test_close_writes_what_is_queued_and_may_be_repeated(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "suffice.db")
    kept = [record() for _ in range(50)]
    for one in kept:
        store.append(one)
    store.close()
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["suffice.db"]
    again = SqliteStore(tmp_path / "suffice.db")
    assert {one.id for one in again.records()} == {one.id for one in kept}
    assert again.stats()["lost"] == {}
    again.close()


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.append(record())  # must not raise: the last request of a shutdown
    for call in (store.records, store.keys, lambda: drain(store)):
        with pytest.raises(StoreError, match="closed"):
            call()
    assert store.stats()["queued"] == 0


def test_what_does_not_fit_the_queue_is_dropped_and_counted(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "suffice.db", max_queued=10)
    for _ in range(400):
        store.append(record())
    drain(store)
    stats = store.stats()
    assert stats["dropped"] > 0
    assert stats["committed"] + stats["dropped"] == stats["appended"] == 400
    assert stats["lost"]["dropped"]["records"] == stats["dropped"]
    assert Decimal(stats["lost"]["dropped"]["cost_usd"]) == stats["dropped"] * Decimal("0.0000123")
    store.close()


def test_two_stores_share_a_file(tmp_path: Path) -> None:
    one, other = SqliteStore(tmp_path / "suffice.db"), SqliteStore(tmp_path / "suffice.db")
    kept = record()
    one.append(kept)
    drain(one)
    asyncio.run(other.add_feedback(feedback(kept.id)))
    assert one.feedback(kept.id) == other.feedback(kept.id) == [feedback(kept.id)]
    assert other.stats()["lost"] == {}
    one.close()
    other.close()


def test_many_may_make_and_leave_the_same_file_at_once(tmp_path: Path) -> None:
    n_stores, n_records, faults = 6, 5, []
    for number in range(5):
        path, barrier = tmp_path / f"{number}.db", threading.Barrier(n_stores)

        def work(path: Path = path, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            try:
                one = SqliteStore(path)
                for _ in range(n_records):
                    one.append(record())
                one.close()
            except StoreError as error:
                faults.append(error)

        threads = [threading.Thread(target=work) for _ in range(n_stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        store = SqliteStore(path)
        assert [spend.n_requests for spend in store.spend()] == [n_stores * n_records]
        assert store.stats()["lost"] == {}
        store.close()


def test_other_urls_are_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"suffice\[postgres\]"):
        open_store("postgresql://localhost/suffice")
    for url in ("suffice.db", "sqlite://", "sqlite:///", "mysql://x"):
        with pytest.raises(ConfigError, match="names no store"):
            open_store(url)


def test_the_payload_is_plain_messagepack(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "suffice.db")
    store.append(record())
    store.close()
    connection = sqlite3.connect(tmp_path / "suffice.db")
    (payload,) = connection.execute("SELECT payload FROM records").fetchone()
    connection.close()
    assert msgspec.msgpack.decode(payload)["decision"]["policy"] == "utility"
