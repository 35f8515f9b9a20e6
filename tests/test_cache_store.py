"""Kept answers on disk: what one process keeps or forgets, another learns; and files that are no good."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from servers import Missing, postgres_server
from suffice.caching.base import Kept
from suffice.caching.canonical import asked
from suffice.errors import StoreCorrupt, StoreError
from suffice.store.cache_log import CacheLog, Condition, News
from suffice.store.cache_postgres import PostgresCache
from suffice.store.cache_sqlite import SqliteCache
from suffice.types import Answer, Options, Query
from test_ledger import postgres_url  # noqa: F401  a fixture

NOW = 1_000_000.0
VECTOR = np.array([0.6, 0.8], dtype=np.float32)


def kept(text: str, *, tenant: str = "a", candidate: str = "small", at: float = NOW, tags: Any = ()) -> Kept:
    return Kept(
        asked=asked(Query(text=text), Options(), tenant=tenant),
        answer=Answer(content=f"to {text}", candidate=candidate, finish_reason="stop", body=b"{}"),
        candidate=candidate,
        at=at,
        expires_at=at + 100,
        tags=tags,
    )


def put(cache: CacheLog, one: Kept, vector: Any = None, *, entries: int = 100, stage: str = "") -> None:
    cache.put(stage, one, vector, "hashed", entries=entries, now=one.at)


def another(cache: Any) -> Any:
    """As another process opens it."""
    return SqliteCache(cache.path) if isinstance(cache, SqliteCache) else PostgresCache(cache._url)


def heard(cache: CacheLog) -> News:
    """What it learns, which over a network takes a moment."""
    deadline = time.monotonic() + 10
    while (news := cache.news()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert news is not None
    return news


def texts(cache: CacheLog) -> list[str]:
    """What another process would find at its start."""
    other = another(cache)
    news = other.news() or News([], [])
    other.close()
    return [row.kept.asked.text for row in news.rows]


@pytest.fixture(params=["sqlite", "postgres"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "sqlite":
        made: Any = SqliteCache(tmp_path / "cache.db")
    else:
        made = PostgresCache(request.getfixturevalue("postgres_url"))
        made._write([("TRUNCATE suffice.cache_entries, suffice.cache_forgotten", ())])
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Any:
    made = SqliteCache(tmp_path / "cache.db")
    yield made
    made.close()


def test_another_process_learns_what_is_kept_and_forgotten(cache: CacheLog) -> None:
    other = another(cache)
    other.news()
    assert other.news() is None
    one = kept("q", tags=("x",))
    put(cache, one, VECTOR)
    news = heard(other)
    assert other.news() is None
    (row,) = news.rows
    assert (row.kept.asked, row.kept.tags, row.embedder, row.stage) == (one.asked, one.tags, "hashed", "")
    assert row.kept.answer.content == one.answer.content
    assert row.vector is not None and row.vector.tolist() == VECTOR.tolist()
    assert cache.forget(Condition(tag="x", tenant="a"), NOW + 1) == 1
    assert heard(other).forgotten == [Condition(tag="x", tenant="a", before=NOW + 1)]
    own = cache.news()
    assert own is None or not (own.rows or own.forgotten), "nobody hears of its own"
    other.close()


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        (Condition(), []),
        (Condition(tenant="a"), ["3"]),
        (Condition(candidate="large"), ["1", "3"]),
        (Condition(tag="x"), ["2", "3"]),
        (Condition(tag="%"), ["1", "2", "3"]),
        (Condition(before=NOW + 1), ["2", "3"]),
        (Condition(tag="record:sfc-3"), ["1", "2"]),
        (Condition(tenant="a", candidate="large"), ["1", "3"]),
    ],
)
def test_what_meets_the_condition_goes(cache: CacheLog, condition: Condition, left: list[str]) -> None:
    put(cache, kept("1", tags=("x", "y")))
    put(cache, kept("2", candidate="large", at=NOW + 1, tags=("xy",)))
    put(cache, kept("3", tenant="b", at=NOW + 20, tags=("record:sfc-3",)))
    is_ahead = condition.tag == "record:sfc-3"  # the clock of whoever kept it
    assert cache.forget(condition, NOW + (10 if is_ahead else 30)) == 3 - len(left)
    assert texts(cache) == left


def test_the_same_request_has_one_row_and_the_oldest_go(cache: CacheLog) -> None:
    for i in range(130):
        put(cache, kept(str(i), at=NOW + i / 10), entries=5)
        put(cache, kept(str(i), at=NOW + i / 10), entries=5)
    found = texts(cache)
    assert 5 <= len(found) <= 5 + 64 and found[-1] == "129"
    put(cache, kept("late", at=NOW + 1000), entries=5)
    for i in range(64):
        put(cache, kept(f"later {i}", at=NOW + 1000), entries=500)
    assert "129" not in texts(cache), "expired"
    assert len(set(texts(cache))) == len(texts(cache))


def test_stages_have_room_of_their_own(cache: CacheLog) -> None:
    put(cache, kept("top"))
    for i in range(70):
        put(cache, kept(str(i)), entries=3, stage="other")
    assert "top" in texts(cache)
    assert {size.stage for size in cache.sizes(NOW)} == {"", "other"}


def test_a_row_that_cannot_be_read_costs_no_other(file: SqliteCache, caplog: Any) -> None:
    put(file, kept("good"))
    put(file, kept("bad"))
    with sqlite3.connect(file.path) as other:
        other.execute("UPDATE entries SET payload = ? WHERE seq = 2", (b"\xc1nonsense",))
    other.close()
    with caplog.at_level(logging.WARNING):
        assert texts(file) == ["good"]
    assert "cannot be read" in caplog.text


def test_a_damaged_file_is_moved_aside(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "cache.db"
    path.write_bytes(b"no database at all, but long enough to be one " * 40)
    with caplog.at_level(logging.WARNING):
        cache = SqliteCache(path)
    put(cache, kept("anew"))
    assert texts(cache) == ["anew"]
    assert len(list(tmp_path.glob("cache.db.damaged-*"))) == 1 and "moved" in caplog.text
    cache.close()


def holed(path: Path) -> None:
    """A cache whose first page is sound and whose others are not."""
    cache = SqliteCache(path)
    for i in range(200):
        put(cache, kept(f"{i} {'long ' * 100}"))
    cache.close()
    with path.open("r+b") as file:
        file.seek(4096 * 5)
        file.write(os.urandom(path.stat().st_size - 4096 * 5))


def test_damage_beyond_the_first_page_is_found_at_the_start(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "cache.db"
    holed(path)
    was = path.read_bytes()
    looking = SqliteCache(path, mends=False)
    with pytest.raises(StoreCorrupt, match="a gateway moves it aside when it starts"):
        looking.sizes(NOW)
    looking.close()
    assert [one.name for one in tmp_path.glob("cache.db*")] == ["cache.db"] and path.read_bytes() == was
    with caplog.at_level(logging.WARNING):
        cache = SqliteCache(path)
    assert "moved to" in caplog.text and ".recover" not in caplog.text
    put(cache, kept("anew"))
    assert texts(cache) == ["anew"]
    (aside,) = tmp_path.glob("cache.db.damaged-*")
    assert aside.read_bytes() == was
    cache.close()


def test_processes_that_start_at_once_move_a_damaged_file_once(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    holed(path)
    with ThreadPoolExecutor(4) as pool:
        caches = list(pool.map(lambda _: SqliteCache(path), range(4)))
    assert len(list(tmp_path.glob("cache.db.damaged-*"))) == 1
    put(caches[0], kept("anew"))
    assert [len((one.news() or News([], [])).rows) for one in caches] == [0, 1, 1, 1]
    for one in caches:
        one.close()


def test_a_file_that_is_removed_is_begun_anew(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "cache.db"
    one, two = SqliteCache(path), SqliteCache(path)
    put(one, kept("before"))
    assert len(heard(two).rows) == 1
    path.unlink()
    with caplog.at_level(logging.WARNING):
        assert one.news() is not None and two.news() is not None
    assert "begins anew" in caplog.text
    put(one, kept("after"))
    assert [row.kept.asked.text for row in heard(two).rows] == ["after"]
    assert texts(one) == ["after"] and one.damage() is None
    one.close()
    two.close()


def test_files_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no folder"):
        SqliteCache(tmp_path / "nowhere" / "cache.db")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE notes (text TEXT)")
    other.close()
    with pytest.raises(StoreError, match="something else"):
        SqliteCache(tmp_path / "other.db")
    newer = SqliteCache(tmp_path / "newer.db")
    newer.close()
    with sqlite3.connect(tmp_path / "newer.db") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StoreError, match="newer version"):
        SqliteCache(tmp_path / "newer.db")


WRITER = """
import sys, time
sys.path.insert(0, sys.argv[2])
from test_cache_store import SqliteCache, kept, put
cache = SqliteCache(sys.argv[1])
print("ready", flush=True)
for i in range(1_000_000):
    put(cache, kept(f"{sys.argv[3]} {i}", at=time.time()), entries=1_000_000)
    print(i, flush=True)
"""


def test_writers_that_are_killed_lose_nothing_they_said(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    command = [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent)]
    environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    writers = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True, env=environ) for name in "ab"
    ]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    time.sleep(0.5)
    said = {}
    for name, writer in zip("ab", writers, strict=True):
        writer.send_signal(signal.SIGKILL)
        out, _ = writer.communicate(timeout=10)
        said[name] = len(out.splitlines()) - (not out.endswith("\n"))
    cache = SqliteCache(path)
    found = set(texts(cache))
    for name, n in said.items():
        assert n > 0 and {f"{name} {i}" for i in range(n)} <= found
    assert cache.damage() is None
    cache.close()


def test_a_database_that_goes_away_costs_no_answer(caplog: Any) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match="PostgreSQL"):
        PostgresCache("postgresql://nobody@127.0.0.1:9/nothing")
    with suppress(Missing), postgres_server() as url:
        cache = PostgresCache(url)
        put(cache, kept("q"))
    if "cache" not in locals():
        pytest.skip("PostgreSQL is not installed")
    with pytest.raises(StoreError), caplog.at_level(logging.WARNING):
        put(cache, kept("late"))
    assert cache.news() is None
    cache.close()
