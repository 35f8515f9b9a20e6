"""The writer's way into SQLite: batches of rows, and the books of this process."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Final

from suffice.errors import StoreError
from suffice.store.base import COLUMNS, Amount
from suffice.store.faults import translated

_ONE: Final = f"({', '.join('?' * len(COLUMNS))})"
_INSERTS: Final = tuple(
    (
        f"INSERT OR IGNORE INTO records ({', '.join(COLUMNS)}) VALUES {', '.join([_ONE] * n)}",
        n * len(COLUMNS),
    )
    for n in (64, 16, 4, 1)
)
"""Statements for so many rows, and the number of their values.

Each step of a statement hands the interpreter to another thread and must win it back, so a batch takes
few of them; and few lengths keep the statements prepared.
"""


class SqliteSink:
    """Writes through one connection, which nothing else writes through."""

    def __init__(self, connection: sqlite3.Connection, path: str, token: str, lock: Any = None) -> None:
        """
        Parameters
        ----------
        token : names this process in the table of writers
        lock : held during each transaction, for a database in memory whose connection readers share
        """
        self._connection = connection
        self._path = path
        self._token = token
        self._lock = lock if lock is not None else nullcontext()
        self._is_durable = False
        self._file = _file_id(path)
        with self._lock, translated(path):
            connection.execute("INSERT INTO writers VALUES (?, 0, '0')", (token,))

    def begin(self, *, durable: bool) -> None:
        self._lock.__enter__()
        if _file_id(self._path) != self._file:
            raise StoreError(
                f"{self._path} was moved or deleted while in use; put it back, or restart to begin a new one"
            )
        with translated(self._path):
            if durable != self._is_durable:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._is_durable = durable
            self._connection.execute("BEGIN IMMEDIATE")

    def insert(self, values: Sequence[Any]) -> int:
        with translated(self._path):
            n_before = self._connection.total_changes
            start = 0
            for statement, n_values in _INSERTS:
                while len(values) - start >= n_values:
                    self._connection.execute(statement, values[start : start + n_values])
                    start += n_values
            return self._connection.total_changes - n_before

    def settle(self, settled: Amount, lost: dict[str, Amount]) -> None:
        with translated(self._path):
            self._connection.execute(
                "UPDATE writers SET n_settled = ?, pico_settled = ? WHERE token = ?",
                (settled.n, str(settled.pico), self._token),
            )
            for reason, amount in lost.items():
                note_loss(self._connection, reason, amount)

    def perform(self, operation: Callable[[sqlite3.Connection], Any]) -> Any:
        with translated(self._path):
            return operation(self._connection)

    def commit(self) -> None:
        with translated(self._path):
            self._connection.execute("COMMIT")
        self._lock.__exit__(None, None, None)

    def rollback(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite rolls back by itself after the errors that make this fail
        finally:
            self._lock.__exit__(None, None, None)

    def close(self, *, is_settled: bool) -> None:
        try:
            if is_settled:
                self._connection.execute("DELETE FROM writers WHERE token = ?", (self._token,))
        except sqlite3.Error:
            pass  # the next start finds no tally for it and removes the row
        finally:
            self._connection.close()


def _file_id(path: str) -> tuple[int, int] | None:
    """Which file has that name; None for no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def note_loss(connection: sqlite3.Connection, reason: str, amount: Amount) -> None:
    """Write down what was lost, when it was noticed."""
    connection.execute(
        "INSERT INTO losses (noticed_at, reason, n_records, cost_pico) VALUES (?, ?, ?, ?)",
        (time.time(), reason, amount.n, amount.pico),
    )
