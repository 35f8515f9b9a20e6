"""The store under faults: each is named, none is hidden, and what was acknowledged is there."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store_parts import feedback, record
from suffice.cli.checks import check_store
from suffice.config import Config
from suffice.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked
from suffice.store import SqliteStore, new_key, open_store
from suffice.store import sqlite as sqlite_module
from suffice.store.migrations import MIGRATIONS

HERE = Path(__file__).parent


def child(program: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Another process that runs a program with the same modules to import."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(HERE), *filter(None, sys.path)))},
        **options,
    )


def filled(path: Path, n_records: int = 300) -> None:
    store = SqliteStore(path)
    for _ in range(n_records):
        store.append(record())
    store.close()


# -- at the door -------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "suffice.db"
    path.write_bytes(b"these are not the records you are looking for\n" * 100)
    with pytest.raises(StoreCorrupt, match="move it aside") as caught:
        SqliteStore(path)
    assert str(path) in str(caught.value)


def test_a_truncated_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "suffice.db"
    filled(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StoreCorrupt, match="recover"):
        SqliteStore(path).records()


def test_damaged_pages_are_named_when_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "suffice.db"
    filled(path)
    with path.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * (path.stat().st_size - 20 * 4096))
    store = SqliteStore(path)
    with pytest.raises(StoreCorrupt):
        store.records(limit=1000)
    store.close()


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreError, match="another program"):
        SqliteStore(path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "suffice.db"
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO migrations VALUES ('m999_later', 0)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match=r"newer version.*m999_later"):
        SqliteStore(path)


def test_an_older_schema_is_brought_forward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "suffice.db"
    with monkeypatch.context() as patch:
        patch.setattr("suffice.store.migrations.MIGRATIONS", MIGRATIONS[:2])
        with pytest.raises(StoreError, match="no such table"):
            SqliteStore(path)  # the code of today needs all tables; the file keeps the old schema
    store = SqliteStore(path)
    store.append(record())
    store.close()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        SqliteStore(tmp_path / "nowhere" / "suffice.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreFull, match="permissions"):
            SqliteStore(tmp_path / "suffice.db")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="needs a folder in which even root makes no files"
)
def test_a_folder_that_takes_no_files_is_named() -> None:
    with pytest.raises(StoreFull, match="permissions"):
        SqliteStore("/proc/suffice.db")


# -- at run time -------------------------------------------------------------------------------

HOLD = """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_records_outlast_a_lock_held_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "suffice.db"
    store = SqliteStore(path, busy_timeout_s=0.05)
    one = record()
    store.append(one)
    asyncio.run(store.drain())
    with child(HOLD, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreLocked, match="another process"):
            asyncio.run(store.add_feedback(feedback(one.id)))
        with pytest.raises(StoreLocked):
            SqliteStore(path, busy_timeout_s=0.05)
        waiting = [record() for _ in range(20)]
        for each in waiting:
            store.append(each)
        time.sleep(0.3)
        assert store.records() == [one]  # reading goes on
        assert store.stats()["queued"] == 20
        assert "locked" in store.stats()["fault"]
        holder.communicate("let go\n")
    asyncio.run(store.drain())
    assert {each.id for each in store.records()} == {one.id, *(each.id for each in waiting)}
    assert store.stats()["fault"] is None
    assert store.feedback(one.id) == []
    store.close()


def test_records_go_in_by_themselves_once_the_lock_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "suffice.db"
    store = SqliteStore(path, busy_timeout_s=0.01)
    with child(HOLD, path) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        store.append(record())
        time.sleep(1.0)
        holder.communicate("let go\n")
    deadline = time.monotonic() + 5
    while not store.records():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    store.close()


FILL = """
    import asyncio, resource, sys
    from store_parts import feedback, record
    from suffice.errors import StoreFull
    from suffice.store import SqliteStore

    async def main():
        store = SqliteStore(sys.argv[1])
        first = record()
        store.append(first)
        await store.add_feedback(feedback(first.id))
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        for _ in range(1000):
            store.append(record())
        for attempt in range(3):
            try:
                await store.add_feedback(feedback(first.id, 0.0))
            except StoreFull as error:
                assert "disk space" in str(error), error
            else:
                raise AssertionError("acknowledged on a full disk")
        assert store.stats()["fault"] is not None
        assert store.stats()["queued"] > 0
        assert [kept.value for kept in store.feedback(first.id)] == [1.0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await store.drain()
        await store.add_feedback(feedback(first.id, 0.5))
        stats = store.stats()
        assert (stats["committed"], stats["fault"], stats["lost"]) == (1001, None, {}), stats
        store.close()
        print("done", flush=True)

    asyncio.run(main())
"""


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_FSIZE)[1] != resource.RLIM_INFINITY, reason="limited")
def test_a_full_disk_fails_feedback_and_keeps_records(tmp_path: Path) -> None:
    with child(FILL, tmp_path / "suffice.db") as filler:
        assert filler.communicate(timeout=60)[0] == "done\n"


def test_a_deleted_database_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "suffice.db"
    store = SqliteStore(path)
    store.append(record())
    asyncio.run(store.drain())
    aside = path.rename(tmp_path / "aside.db")
    store.append(record())
    with pytest.raises(StoreError, match="moved or deleted"):
        asyncio.run(store.drain())
    aside.rename(path)
    asyncio.run(store.drain())
    assert store.stats()["committed"] == 2
    store.close()


# -- every call fails once ---------------------------------------------------------------------


class Flaky:
    """A connection of which one call fails, before or after it took effect."""

    def __init__(self, connection: sqlite3.Connection, fail_at: int, code: int, *, is_late: bool) -> None:
        self._connection = connection
        self._fail_at = fail_at
        self._code = code
        self._is_late = is_late
        self.n_calls = 0

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self.n_calls += 1
        is_failing = self.n_calls == self._fail_at
        if is_failing and not self._is_late:
            raise self._error()
        cursor = self._connection.execute(*arguments)
        if is_failing:
            cursor.close()
            raise self._error()
        return cursor

    def _error(self) -> sqlite3.Error:
        error = sqlite3.OperationalError("made to fail")
        error.sqlite_errorcode = self._code
        return error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def scenario(store: SqliteStore) -> tuple[list[str], list[str]]:
    """Records, feedback and a key; returns record ids and the ids whose feedback was acknowledged."""
    ids, acknowledged = [], []
    for _ in range(4):
        one = record()
        store.append(one)
        ids.append(one.id)
        try:
            await store.add_feedback(feedback(one.id))
            acknowledged.append(one.id)
        except StoreError:
            pass
    try:
        await store.drain()
        _, key, its_digest = new_key()
        store.add_key(key, its_digest)
        assert store.key_by_digest(its_digest) == key
    except StoreError:
        pass
    return ids, acknowledged


@pytest.mark.parametrize(
    ("code", "is_late"),
    [(sqlite3.SQLITE_FULL, False), (sqlite3.SQLITE_BUSY, False), (sqlite3.SQLITE_IOERR_WRITE, True)],
    ids=["full", "busy", "written-but-reported-as-failed"],
)
def test_any_one_call_may_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_late: bool
) -> None:
    connect = sqlite_module.connect
    fail_at, n_calls = 0, 1
    while fail_at < n_calls:
        fail_at += 1
        flaky: list[Flaky] = []

        def connect_flaky(*arguments: Any, at: int = fail_at, made: list[Flaky] = flaky) -> Any:
            made.append(Flaky(connect(*arguments), at, code, is_late=is_late))
            return made[-1]

        monkeypatch.setattr(sqlite_module, "connect", connect_flaky)
        path = tmp_path / f"{fail_at}.db"
        try:
            store = SqliteStore(path)
        except StoreError:
            assert fail_at <= 2  # only the entry among the writers is made while it opens
            n_calls = max(n_calls, flaky[0].n_calls + 1)
            assert not list(tmp_path.glob(f"{fail_at}.db-tally-*"))
            continue
        ids, acknowledged = asyncio.run(scenario(store))
        store.close()
        n_calls = max(n_calls, flaky[0].n_calls)
        monkeypatch.setattr(sqlite_module, "connect", connect)
        again = SqliteStore(path)
        assert sorted(kept.id for kept in again.records()) == sorted(ids), f"call {fail_at} of {n_calls}"
        assert all(again.feedback(one) for one in acknowledged)
        assert again.stats()["lost"] == {}
        again.close()
    assert n_calls > 20


# -- kill -9 -----------------------------------------------------------------------------------

LOAD = """
    import asyncio, mmap, struct, sys
    from store_parts import feedback, record
    from suffice.store import SqliteStore

    path, oracle, number = sys.argv[1:]
    with open(oracle, "r+b") as file:
        count = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")

    async def main():
        store = SqliteStore(path)
        print("open", flush=True)
        async def rate():
            for index in range(10**9):
                one = record(id=f"{number}-rated-{index}")
                store.append(one)
                count[0] += 1
                await store.add_feedback(feedback(one.id))
                print(one.id, flush=True)
        task = asyncio.create_task(rate())
        for index in range(10**9):
            store.append(record(id=f"{number}-{index}"))
            count[0] += 1
            if index % 20 == 0:
                await asyncio.sleep(0.002)

    asyncio.run(main())
"""


def test_a_kill_loses_only_what_is_counted(tmp_path: Path) -> None:
    path, oracle = tmp_path / "suffice.db", tmp_path / "oracle"
    rng = random.Random(5)
    n_appended, n_rounds, n_acknowledged = 0, 20, 0
    for number in range(n_rounds):
        oracle.write_bytes(bytes(8))
        with child(LOAD, path, oracle, number) as loader:
            assert loader.stdout is not None
            assert loader.stdout.readline() == "open\n"
            time.sleep(rng.uniform(0.0, 0.25))
            loader.send_signal(signal.SIGKILL)
            said = loader.stdout.read()
        acknowledged = said[: said.rfind("\n") + 1].splitlines()
        n_acknowledged += len(acknowledged)
        n_appended += int.from_bytes(oracle.read_bytes(), sys.byteorder)
        store = open_store(f"sqlite:///{path}")
        assert all(store.feedback(one) for one in acknowledged)
        n_committed = sum(spend.n_requests for spend in store.spend())
        lost = store.stats()["lost"].get("killed", {"records": 0, "cost_usd": "0"})
        # The oracle counts after each append, so each kill may leave it one behind.
        assert n_appended <= n_committed + lost["records"] <= n_appended + number + 1
        assert Decimal(lost["cost_usd"]) == lost["records"] * Decimal("0.0000123")
        store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT count(*) FROM writers").fetchone() == (0,)
    connection.close()
    assert not list(tmp_path.glob("*-tally-*"))
    assert n_appended > 200
    assert n_acknowledged > n_rounds


def test_the_living_are_not_taken_for_dead(tmp_path: Path) -> None:
    path = tmp_path / "suffice.db"
    store = SqliteStore(path)
    store.append(record())
    SqliteStore(path).close()
    assert len(list(tmp_path.glob("*-tally-*"))) == 1
    assert store.stats()["lost"] == {}
    store.close()


def test_what_is_left_at_the_end_is_counted_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "suffice.db"
    store = SqliteStore(path, busy_timeout_s=0.01)
    with child(HOLD, path) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        for _ in range(3):
            store.append(record())
        store.close()
        holder.communicate("let go\n")
    again = SqliteStore(path)
    assert again.stats()["lost"]["killed"] == {"records": 3, "cost_usd": "0.0000369"}
    again.close()
    (finding,) = check_store(Config(store=f"sqlite:///{path}"))
    assert finding.status == "warn"
    assert "lost 3 killed" in finding.detail
