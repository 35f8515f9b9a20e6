"""The ledger of one machine: tables of the store's SQLite file, shared by all processes that have it open.

A batch goes through the store's writer, in one transaction with the records that wait: while one is written,
the next gathers.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from suffice.budgets import Budget, Operation, Outcome, Use
from suffice.store.connection import Readers, SharedReader
from suffice.store.ledger_rows import Row, Rows
from suffice.store.writer import Writer

_LOOK_S: Final = 1.0
"""Leases are looked at that often."""
_BOOT_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", None)


class SqliteLedger:
    """Reservations survive a killed process at once, and a power cut up to its last seconds."""

    def __init__(self, writer: Writer, readers: Readers | SharedReader) -> None:
        self._writer, self._readers = writer, readers
        self._boot = _boot()
        self._looked_at = float("-inf")

    async def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        def work(connection: sqlite3.Connection) -> list[Outcome]:
            now = _now()
            looks = now - self._looked_at >= _LOOK_S
            outcomes = self._rows(connection).apply(operations, now, looks_at_leases=looks)
            self._looked_at = now if looks else self._looked_at
            return outcomes

        done: list[Outcome] = await asyncio.wrap_future(self._writer.submit(work))
        return done

    async def uses(self) -> Mapping[tuple[str, int], Use]:
        def read() -> dict[tuple[str, int], Use]:
            with self._readers.reading() as connection:
                return self._rows(connection).uses()

        return await asyncio.to_thread(read)

    async def budgets(self) -> list[Budget]:
        def read() -> list[Budget]:
            with self._readers.reading() as connection:
                return self._rows(connection).budgets()

        return await asyncio.to_thread(read)

    async def set_budget(self, budget: Budget) -> None:
        await self._durably(lambda rows: rows.set_budget(budget))

    async def clear_budget(self, name: str) -> bool:
        return bool(await self._durably(lambda rows: rows.clear_budget(name)))

    async def close(self) -> None:
        """The store closes what it opened."""

    async def _durably(self, work: Any) -> Any:
        return await asyncio.wrap_future(
            self._writer.submit(lambda connection: work(self._rows(connection)), durable=True)
        )

    def _rows(self, connection: sqlite3.Connection) -> Rows:
        def execute(statement: str, values: Sequence[Any]) -> list[Row]:
            return connection.execute(statement, values).fetchall()

        return Rows(execute, connection.executemany, boot=self._boot)


def _now() -> float:
    """Seconds on a clock that all processes of this machine share and nobody sets."""
    return time.time() if _CLOCK is None else time.clock_gettime(_CLOCK)


def _boot() -> str:
    """Which run of the machine that clock belongs to; empty where the system does not say."""
    try:
        return _BOOT_FILE.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
