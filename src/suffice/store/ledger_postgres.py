"""The ledger of several machines on PostgreSQL: a batch is one transaction, one at a time.

One transaction per call on the row of a busy budget would end at a few hundred calls a second; a batch holds
all that waited for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from suffice.budgets import Budget, Operation, Outcome, Use
from suffice.errors import LedgerAway, MissingDependency
from suffice.store.ledger_rows import TABLES, Row, Rows

T = TypeVar("T")
_LOCK: Final = 0x5355464649434500
"""Names the lock among others of the database ("SUFFICE")."""
_LOOK_S: Final = 1.0
_GRACE_S: Final = 10.0
"""So long after the server's start no lease ends: what was settled while it was away comes first."""
_CONNECT_S: Final = 5
_ANSWER_S: Final = 10.0
"""A server that is silent for so long counts as away: its machine is off, or frozen."""
_TURN_S: Final = 5
"""So long others' transactions are waited for, and may one stand still whose process is frozen."""


class _Clock(NamedTuple):
    """The server's."""

    now: float
    up_s: float
    """Since its start."""


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
        def work(rows: Rows, clock: _Clock) -> list[Outcome]:
            now, up_s = clock
            looks = up_s >= _GRACE_S and time.monotonic() - self._looked_at >= _LOOK_S
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
        if self._lock.locked():  # by a transaction that nobody waits for any more
            self._cut()
        with self._lock:
            self._drop()

    async def _run(self, work: Callable[[Rows, _Clock], T]) -> T:
        """In a transaction that excludes all others.

        Raises
        ------
        LedgerAway
            If it is not known to be done.
        """
        thread = asyncio.ensure_future(asyncio.to_thread(self._transact, work))
        thread.add_done_callback(_heard)
        try:
            return await asyncio.wait_for(asyncio.shield(thread), _ANSWER_S)
        except TimeoutError:
            self._cut()
            raise LedgerAway(f"the ledger on PostgreSQL: no answer for {_ANSWER_S:g} s") from None

    def _transact(self, work: Callable[[Rows, _Clock], T]) -> T:
        with self._lock:
            try:
                if self._connection is None or _has_ended(self._connection):
                    self._drop()
                    self._connect()
                with self._connection.transaction(), self._connection.cursor() as cursor:
                    clock = _locked(cursor)
                    return work(_rows(cursor), clock)
            except self._psycopg.Error as error:
                self._drop()
                raise LedgerAway(f"the ledger on PostgreSQL: {str(error).strip()}") from error

    def _connect(self) -> None:
        connection = self._psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_S)
        self._connection = connection  # from here on it can be cut
        try:
            for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
                connection.execute("SELECT set_config(%s, %s, false)", (name, f"{_TURN_S}s"))
            with connection.transaction(), connection.cursor() as cursor:
                _locked(cursor)
                _create(cursor)
            connection.execute("SET search_path TO suffice")
        except BaseException:
            self._drop()
            raise

    def _cut(self) -> None:
        """Let the thread that waits for the server fail."""
        with (
            contextlib.suppress(OSError, AttributeError, self._psycopg.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as line,
        ):
            line.shutdown(socket.SHUT_RDWR)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _has_ended(connection: Any) -> bool:
    """Whether the server hung up while nothing was asked: there is something to read, its last word."""
    if connection.closed:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))


def _heard(thread: asyncio.Future[Any]) -> None:
    """Nobody waits any more for what a cut transaction says."""
    if not thread.cancelled():
        thread.exception()


def _locked(cursor: Any) -> _Clock:
    """Wait for the others' transactions; returns the server's time."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    cursor.execute(
        "SELECT extract(epoch FROM clock_timestamp())::float8, "
        "extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8"
    )
    return _Clock(*cursor.fetchone())


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
