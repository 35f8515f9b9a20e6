"""Connections to one SQLite database: one that writes, and a pool of those that only read."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from suffice.errors import StoreError
from suffice.store.faults import translated
from suffice.store.migrations import migrate

MEMORY: Final = ":memory:"
_PAUSE_S: Final = 0.01


def connect(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection that writes, to a database in its present schema.

    Raises
    ------
    StoreError
        If there is no such folder, the file is locked, damaged, foreign, or cannot be written.
    """
    if path != MEMORY and not Path(path).parent.is_dir():
        raise StoreError(f"{path}: there is no folder {Path(path).parent}; create it, or change `store:`")
    with translated(path):
        connection = sqlite3.connect(
            path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            _prepare(connection, path, time.monotonic() + busy_timeout_s)
        except BaseException:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, path: str, deadline: float) -> None:
    """Settings and schema, tried until the deadline.

    SQLite does not wait by itself where two processes turn the same new file into WAL mode, or where one
    opens it as another, the last so far, closes it.
    """
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA secure_delete = OFF")  # it would zero every new page
            connection.execute("PRAGMA journal_size_limit = 67108864")
            migrate(connection, path)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)


class Readers:
    """Read-only connections, one per reader at a time; opened when needed, kept for the next."""

    def __init__(self, path: str, busy_timeout_s: float) -> None:
        self._uri = Path(path).absolute().as_uri() + "?mode=ro"
        self._path = path
        self._timeout = busy_timeout_s
        self._free: deque[sqlite3.Connection] = deque()
        self._is_closed = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else uses meanwhile."""
        with translated(self._path):
            try:
                connection = self._free.pop()
            except IndexError:
                connection = self._open()
            try:
                yield connection
            except sqlite3.Error:
                connection.close()
                raise
            except BaseException:
                self._give_back(connection)
                raise
            self._give_back(connection)

    def _open(self) -> sqlite3.Connection:
        if self._is_closed:
            raise StoreError(f"{self._path}: the store is closed")
        return sqlite3.connect(
            self._uri, uri=True, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if self._is_closed:
            connection.close()
        else:
            self._free.append(connection)

    def close(self) -> None:
        self._is_closed = True
        while self._free:
            self._free.pop().close()


class SharedReader:
    """Reads of a database in memory: through the connection that writes, between its transactions."""

    def __init__(self, connection: sqlite3.Connection, lock: threading.RLock) -> None:
        self._connection = connection
        self._lock = lock
        self._is_closed = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(MEMORY):
            if self._is_closed:
                raise StoreError("the store is closed")
            yield self._connection

    def close(self) -> None:
        self._is_closed = True
