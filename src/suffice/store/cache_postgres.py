"""Kept answers on PostgreSQL, for gateways on several machines: as `cache_sqlite`, over a network.

A request never waits for it: a thread reads what others kept and forgot, twice a second.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from suffice.caching.base import Kept, Vector
from suffice.errors import MissingDependency, StoreError
from suffice.store.cache_log import EDGE, Condition, News, Row, Size, read_row, row_of, told

_log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""So late one gateway may learn what another kept or forgot."""
_LOCK: Final = 0x5355464649434501
"""Names the lock among others of the database; writers take turns, so that rows appear in their order."""
_CONNECT_S: Final = 5
_TRIM_EVERY: Final = 64
_REMEMBERED_S: Final = 7 * 86_400.0
_SCHEMA: Final = (
    "CREATE SCHEMA IF NOT EXISTS suffice",
    """
    CREATE TABLE IF NOT EXISTS suffice.cache_entries (
        seq BIGSERIAL PRIMARY KEY, stage TEXT NOT NULL, key BYTEA NOT NULL, tenant TEXT NOT NULL,
        candidate TEXT NOT NULL, tags TEXT NOT NULL, at FLOAT8 NOT NULL, expires_at FLOAT8 NOT NULL,
        writer TEXT NOT NULL, embedder TEXT NOT NULL, vector BYTEA, payload BYTEA NOT NULL,
        UNIQUE (stage, key)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS suffice.cache_forgotten (
        seq BIGSERIAL PRIMARY KEY, at FLOAT8 NOT NULL, writer TEXT NOT NULL, condition TEXT NOT NULL
    )
    """,
)
_PUT: Final = """
    INSERT INTO suffice.cache_entries
    (stage, key, tenant, candidate, tags, at, expires_at, writer, embedder, vector, payload)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_TRIM: Final = """
    DELETE FROM suffice.cache_entries WHERE stage = %s AND seq <=
    (SELECT seq FROM suffice.cache_entries WHERE stage = %s ORDER BY seq DESC LIMIT 1 OFFSET %s)
"""
_FORGET: Final = """
    DELETE FROM suffice.cache_entries WHERE (%s::float8 IS NULL OR at < %s)
    AND (%s::text IS NULL OR tenant = %s) AND (%s::text IS NULL OR candidate = %s)
    AND (%s::text IS NULL OR strpos(tags, %s) > 0)
"""
_SIZES: Final = """
    SELECT stage, tenant, candidate, count(*), count(*) FILTER (WHERE expires_at <= %s),
    sum(length(payload) + coalesce(length(vector), 0))::bigint, min(at)
    FROM suffice.cache_entries GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_ROWS: Final = """
    SELECT seq, stage, payload, vector, embedder FROM suffice.cache_entries
    WHERE seq > %s AND writer != %s ORDER BY seq
"""
_SAID: Final = """
    SELECT seq, condition FROM suffice.cache_forgotten WHERE seq > %s AND writer != %s ORDER BY seq
"""


class PostgresCache:
    """Tables in the schema `suffice`, made where they are missing. A text cannot hold U+0000 there."""

    def __init__(self, url: str) -> None:
        """
        Raises
        ------
        MissingDependency
            Without psycopg.
        StoreError
            If the database cannot be asked.
        """
        try:
            import psycopg
        except ImportError:
            raise MissingDependency("psycopg", "postgres", "a cache on PostgreSQL") from None
        self._psycopg, self._url = psycopg, url
        self._token = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._writer: Any = None
        self._reader: Any = None
        self._n_put = self._seen = self._heard = 0
        self._news: deque[News] = deque()
        self._is_closed = threading.Event()
        self._is_silent = False
        self._read()
        self._thread = threading.Thread(target=self._listen, name="suffice-cache", daemon=True)
        self._thread.start()

    def news(self) -> News | None:
        """What the thread has read since the last call."""
        rows: list[Row] = []
        forgotten: list[Condition] = []
        while self._news:
            news = self._news.popleft()
            rows += news.rows
            forgotten += news.forgotten
        return News(rows, forgotten) if rows or forgotten else None

    def put(
        self, stage: str, kept: Kept, vector: Vector | None, embedder: str, *, entries: int, now: float
    ) -> None:
        """As `CacheLog.put`."""
        statements: list[tuple[str, Sequence[Any]]] = [
            ("DELETE FROM suffice.cache_entries WHERE stage = %s AND key = %s", (stage, kept.key)),
            (_PUT, row_of(stage, kept, vector, embedder, self._token)),
        ]
        if self._n_put % _TRIM_EVERY == 0:
            statements += [
                ("DELETE FROM suffice.cache_entries WHERE expires_at <= %s", (now,)),
                (_TRIM, (stage, stage, entries)),
                ("DELETE FROM suffice.cache_forgotten WHERE at < %s", (now - _REMEMBERED_S,)),
            ]
        self._write(statements)
        self._n_put += 1

    def forget(self, condition: Condition, now: float) -> int:
        """As `CacheLog.forget`."""
        said = told(condition, now)
        tag = None if said.tag is None else f"{EDGE}{said.tag}{EDGE}"
        bounds = [twice for one in (said.before, said.tenant, said.candidate, tag) for twice in (one, one)]
        tell = "INSERT INTO suffice.cache_forgotten (at, writer, condition) VALUES (%s, %s, %s)"
        text = msgspec.json.encode(said).decode()
        counts = self._write([(_FORGET, bounds), (tell, (now, self._token, text))])
        return counts[0]

    def sizes(self, now: float) -> list[Size]:
        """As `CacheLog.sizes`."""
        with self._lock:
            try:
                found = self._connected().execute(_SIZES, (now,))
                return [Size(*one) for one in found.fetchall()]
            except self._psycopg.Error as error:
                raise self._failed(error) from error

    def close(self) -> None:
        self._is_closed.set()
        self._thread.join(_CONNECT_S)
        with self._lock:
            for connection in (self._writer, self._reader):
                if connection is not None:
                    connection.close()

    def _write(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[int]:
        """All or none; how many rows each touched."""
        with self._lock:
            try:
                connection = self._connected()
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                    return [connection.execute(text, values).rowcount for text, values in statements]
            except self._psycopg.Error as error:
                raise self._failed(error) from error

    def _connected(self) -> Any:
        if self._writer is None or self._writer.closed:
            self._writer = self._connect()
        return self._writer

    def _connect(self) -> Any:
        connection = self._psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_S)
        try:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                for statement in _SCHEMA:
                    connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection

    def _failed(self, error: Exception) -> StoreError:
        return StoreError(f"the cache on PostgreSQL: {str(error).strip()}")

    def _listen(self) -> None:
        while not self._is_closed.wait(LOOK_S):
            try:
                self._read()
                self._is_silent = False
            except StoreError as error:
                if not self._is_silent:
                    _log.warning("%s; what is in memory goes on serving", error)
                self._is_silent = True

    def _read(self) -> None:
        try:
            if self._reader is None or self._reader.closed:
                self._reader = self._connect()
            found = self._reader.execute(_ROWS, (self._seen, self._token)).fetchall()
            said = self._reader.execute(_SAID, (self._heard, self._token)).fetchall()
        except self._psycopg.Error as error:
            raise self._failed(error) from error
        self._seen = found[-1][0] if found else self._seen
        self._heard = said[-1][0] if said else self._heard
        rows: list[Row] = [row for _, *parts in found if (row := read_row(*parts)) is not None]
        conditions = [msgspec.json.decode(text, type=Condition) for _, text in said]
        if rows or conditions:
            self._news.append(News(rows, conditions))
