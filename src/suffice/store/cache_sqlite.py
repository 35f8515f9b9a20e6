"""Kept answers in one SQLite file: what one process keeps or forgets, all others learn before they look next.

The file is a log beside the caches in memory, which do the finding: its rows are read once by each process.
What is forgotten is written down as the condition by which it was, so that every process does the same.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from suffice.caching.base import Kept, Vector
from suffice.errors import StoreCorrupt, StoreError
from suffice.store.cache_log import EDGE, Condition, News, Size, read_row, row_of, told
from suffice.store.connection import MEMORY
from suffice.store.faults import translate

try:  # Unix only; elsewhere processes that open a damaged file in one moment may both move it
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x53554643
"""Stands in the header of these files ("SUFC")."""
_VERSION: Final = 1
_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS entries (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        stage TEXT NOT NULL,
        key BLOB NOT NULL,
        tenant TEXT NOT NULL,
        candidate TEXT NOT NULL,
        tags TEXT NOT NULL,
        at REAL NOT NULL,
        expires_at REAL NOT NULL,
        writer TEXT NOT NULL,
        embedder TEXT NOT NULL,
        vector BLOB,
        payload BLOB NOT NULL,
        UNIQUE (stage, key)
    )
    """,
    "CREATE INDEX IF NOT EXISTS entries_stage ON entries (stage, seq)",
    "CREATE INDEX IF NOT EXISTS entries_expires_at ON entries (expires_at)",
    """
    CREATE TABLE IF NOT EXISTS forgotten (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, writer TEXT NOT NULL, condition TEXT NOT NULL
    )
    """,
)
_FORGET: Final = """
    DELETE FROM entries WHERE (?1 IS NULL OR at < ?1) AND (?2 IS NULL OR tenant = ?2)
    AND (?3 IS NULL OR candidate = ?3) AND (?4 IS NULL OR instr(tags, ?4))
"""
_TRIM_EVERY: Final = 64
_TAILS: Final = ("-wal", "-shm")
_REMEMBERED_S: Final = 7 * 86_400.0
"""So long a condition stays in the file."""


class SqliteCache:
    """Several processes may open the same file; methods that write may be called from any thread."""

    def __init__(self, path: str | Path, *, busy_timeout_s: float = 5.0, mends: bool = True) -> None:
        """
        Parameters
        ----------
        path : the file, made if missing, or ":memory:"
        mends : whether one that is damaged is moved aside and begun anew, since what was kept can be asked
            for again; False raises a StoreCorrupt where the damage shows

        Raises
        ------
        StoreError
            If it cannot be opened, or belongs to another program or version.
        """
        self.path = str(path)
        self._token = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._n_put = 0
        self._seen = self._heard = 0
        self._version: int | None = None
        if self.path != MEMORY and not Path(path).parent.is_dir():
            raise StoreError(f"{path}: there is no folder {Path(path).parent}; create it, or change `cache:`")
        self._busy_timeout_s, self._mends = busy_timeout_s, mends
        self._open()

    def _open(self) -> None:
        if self.path == MEMORY:
            self._reader = self._writer = _opened(self.path, self._busy_timeout_s)
            return
        with _alone(Path(self.path)):
            self._writer = (_mended if self._mends else _opened)(self.path, self._busy_timeout_s)
            self._reader = _opened(self.path, self._busy_timeout_s)
            self._file = _file(self.path)

    def _follow(self) -> None:
        """Where the file was removed or moved aside: begin anew, since nobody else reads what is written."""
        if self.path == MEMORY or _file(self.path) == self._file:
            return
        _log.warning("%s is gone; the cache on disk begins anew", self.path)
        with self._lock:
            self._reader.close()
            self._writer.close()
            self._open()
            self._seen = self._heard = 0
            self._version = None

    def news(self) -> News | None:
        """What others kept and forgot since the last call; None, at the cost of one look, where nothing came.

        Raises
        ------
        StoreError
            If the file cannot be read.
        """
        with _translated(self.path):
            self._follow()
            (version,) = self._reader.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return None
            found = self._reader.execute(
                "SELECT seq, stage, payload, vector, embedder FROM entries "
                "WHERE seq > ? AND writer != ? ORDER BY seq",
                (self._seen, self._token),
            ).fetchall()
            said = self._reader.execute(
                "SELECT seq, condition FROM forgotten WHERE seq > ? AND writer != ? ORDER BY seq",
                (self._heard, self._token),
            ).fetchall()
        self._version = version
        self._seen = found[-1][0] if found else self._seen
        self._heard = said[-1][0] if said else self._heard
        rows = [row for _, *parts in found if (row := read_row(*parts)) is not None]
        return News(rows, [msgspec.json.decode(text, type=Condition) for _, text in said])

    def put(
        self, stage: str, kept: Kept, vector: Vector | None, embedder: str, *, entries: int, now: float
    ) -> None:
        """Write an answer down, in place of one to the same request; beyond `entries` the oldest go.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        values = row_of(stage, kept, vector, embedder, self._token)
        with self._lock, _translated(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._writer.execute(
                    "INSERT OR REPLACE INTO entries (stage, key, tenant, candidate, tags, at, expires_at, "
                    "writer, embedder, vector, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
                if self._n_put % _TRIM_EVERY == 0:
                    self._trim(stage, entries, now)
                self._writer.execute("COMMIT")
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._n_put += 1

    def _trim(self, stage: str, entries: int, now: float) -> None:
        self._writer.execute("DELETE FROM entries WHERE expires_at <= ?", (now,))
        self._writer.execute(
            "DELETE FROM entries WHERE stage = ?1 AND seq <= "
            "(SELECT seq FROM entries WHERE stage = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
            (stage, entries),
        )
        self._writer.execute("DELETE FROM forgotten WHERE at < ?", (now - _REMEMBERED_S,))

    def forget(self, condition: Condition, now: float) -> int:
        """Drop what meets the condition, and have other processes drop it; how many rows that were.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        said = told(condition, now)
        tag = None if said.tag is None else f"{EDGE}{said.tag}{EDGE}"
        bounds = (said.before, said.tenant, said.candidate, tag)
        with self._lock, _translated(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                gone = self._writer.execute(_FORGET, bounds)
                self._writer.execute(
                    "INSERT INTO forgotten (at, writer, condition) VALUES (?, ?, ?)",
                    (now, self._token, msgspec.json.encode(said).decode()),
                )
                self._writer.execute("COMMIT")
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
        return gone.rowcount

    def sizes(self, now: float) -> list[Size]:
        """What the file holds, by stage, tenant and candidate.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        with self._lock, _translated(self.path):
            found = self._writer.execute(
                "SELECT stage, tenant, candidate, count(*), sum(expires_at <= ?), "
                "sum(length(payload) + ifnull(length(vector), 0)), min(at) "
                "FROM entries GROUP BY stage, tenant, candidate ORDER BY stage, tenant, candidate",
                (now,),
            ).fetchall()
        return [Size(*one) for one in found]

    def damage(self) -> str | None:
        """What SQLite's quick check finds; None for a sound file."""
        with self._lock, _translated(self.path):
            (said,) = self._writer.execute("PRAGMA quick_check(1)").fetchone()
        return None if said == "ok" else str(said)

    def close(self) -> None:
        with self._lock:
            self._reader.close()
            self._writer.close()


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Errors as the StoreErrors that they stand for; of a damaged file nothing need be salvaged."""
    try:
        yield
    except sqlite3.Error as error:
        found = translate(error, path)
        if isinstance(found, StoreCorrupt):
            raise _damaged(path, str(error)) from error
        raise found from error


def _damaged(path: str, why: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"{path}: {why}: the file is damaged; a gateway moves it aside when it starts, and begins anew"
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time opens the file, so that none moves aside what another just began."""
    folder = None if fcntl is None else os.open(path.parent, os.O_RDONLY)
    try:
        if folder is not None:
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        if folder is not None:
            os.close(folder)


def _file(path: str) -> tuple[int, int] | None:
    """What stands at the path; None: nothing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _mended(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    """Opened; a damaged file is moved aside, and what is left of a removed one goes with it."""
    if not Path(path).exists():
        for tail in _TAILS:
            Path(path + tail).unlink(missing_ok=True)
    try:
        connection = _opened(path, busy_timeout_s)
        try:
            with _translated(path):
                (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if said == "ok":
                return connection
            raise _damaged(path, " ".join(str(said).split()))
        except BaseException:
            connection.close()
            raise
    except StoreCorrupt as error:
        _log.warning("%s; it was moved to %s", error, _aside(Path(path)))
        return _opened(path, busy_timeout_s)


def _opened(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    with _translated(path):
        connection = sqlite3.connect(
            path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, path, time.monotonic() + busy_timeout_s)
        except BaseException:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, path: str, deadline: float) -> None:
    """Settings and schema; tried until the deadline, since SQLite does not wait for a switch to WAL."""
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID and (owner or n_tables):
        raise StoreError(f"{path}: a database of something else; `cache: {{store: ...}}` wants its own file")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > _VERSION:
        raise StoreError(f"{path}: a cache of a newer version; remove it, or name another file")
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = NORMAL")
            if owner == APPLICATION_ID and version == _VERSION:
                return
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")
            return
        except sqlite3.OperationalError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _aside(path: Path) -> Path:
    """Move a damaged file, and what belongs to it, out of the way."""
    aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
    for tail in _TAILS:  # first, so that no new file meets them
        path.with_name(path.name + tail).unlink(missing_ok=True)
    path.rename(aside)
    return aside
