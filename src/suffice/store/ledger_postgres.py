"""The ledger of several machines on PostgreSQL: a batch is one transaction, one at a time.

One transaction per call on the row of a busy budget would end at a few hundred calls a second; a batch holds
all that waited for it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from suffice.budgets import Budget, Operation, Outcome, Use
from suffice.errors import MissingDependency, StoreError
from suffice.store.ledger_rows import TABLES, Row, Rows

T = TypeVar("T")
_LOCK: Final = 0x5355464649434500
"""Names the lock among others of the database ("SUFFICE")."""
_LOOK_S: Final = 1.0
_CONNECT_S: Final = 5


class PostgresLedger:
    """Tables in the schema `suffice`, made where they are missing. Leases run on the server's clock."""

    def __init__(self, url: str) -> None:
        """
        Raises
        ------
        MissingDependency
            Without psycopg.
        """
        try:
            import psycopg
        except ImportError:
            raise MissingDependency("psycopg", "postgres", "a ledger on PostgreSQL") from None
        self._psycopg = psycopg
        self._url = url
        self._connection: Any = None
        self._looked_at = float("-inf")
        self._lock = threading.Lock()

    async def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        def work(rows: Rows, now: float) -> list[Outcome]:
            looks = time.monotonic() - self._looked_at >= _LOOK_S
            outcomes = rows.apply(operations, now, looks_at_leases=looks)
            if looks:
                self._looked_at = time.monotonic()
            return outcomes

        return await self._run(work)

    async def uses(self) -> Mapping[tuple[str, int], Use]:
        return await self._run(lambda rows, _: rows.uses())

    async def budgets(self) -> list[Budget]:
        return await self._run(lambda rows, _: rows.budgets())

    async def set_budget(self, budget: Budget) -> None:
        await self._run(lambda rows, _: rows.set_budget(budget))

    async def clear_budget(self, name: str) -> bool:
        return await self._run(lambda rows, _: rows.clear_budget(name))

    async def close(self) -> None:
        with self._lock:
            self._drop()

    async def _run(self, work: Callable[[Rows, float], T]) -> T:
        """In a transaction that excludes all others.

        Raises
        ------
        StoreError
            If it is not known to be done.
        """
        return await asyncio.to_thread(self._transact, work)

    def _transact(self, work: Callable[[Rows, float], T]) -> T:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                with self._connection.transaction(), self._connection.cursor() as cursor:
                    now = _locked(cursor)
                    return work(_rows(cursor), now)
            except self._psycopg.Error as error:
                self._drop()
                raise StoreError(f"the ledger on PostgreSQL: {str(error).strip()}") from error

    def _connect(self) -> Any:
        connection = self._psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_S)
        try:
            with connection.transaction(), connection.cursor() as cursor:
                _locked(cursor)
                _create(cursor)
            connection.execute("SET search_path TO suffice")
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _locked(cursor: Any) -> float:
    """Wait for the others' transactions; returns the server's time."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
    return float(cursor.fetchone()[0])


def _create(cursor: Any) -> None:
    cursor.execute("SELECT to_regclass('suffice.budgets') IS NOT NULL")
    if not cursor.fetchone()[0]:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS suffice")
        cursor.execute("SET LOCAL search_path TO suffice")
        for statement in TABLES:
            cursor.execute(statement.format(bytes="BYTEA", tail=""))


def _rows(cursor: Any) -> Rows:
    def execute(statement: str, values: Sequence[Any]) -> list[Row]:
        rows: list[Row] = cursor.execute(statement, values).fetchall()
        return rows

    return Rows(execute, cursor.executemany, mark="%s")
