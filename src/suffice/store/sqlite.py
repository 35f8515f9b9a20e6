"""The store on SQLite: one file, several processes, no server."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from suffice.errors import InvalidRequest, NotFound, StoreError
from suffice.protocols import Spend
from suffice.store import reading
from suffice.store.base import GROUPS, Amount, usd_text
from suffice.store.connection import MEMORY, Readers, SharedReader, connect
from suffice.store.consents import SqliteConsents
from suffice.store.experiments import SqliteExperiments
from suffice.store.learning import SqliteLearning
from suffice.store.ledger_sqlite import SqliteLedger
from suffice.store.losses import settle_orphans
from suffice.store.sink import SqliteSink
from suffice.store.tally import Counter, NoTally, tally_for
from suffice.store.writer import MAX_QUEUED, Writer
from suffice.types import SHARES, ApiKey, Feedback, Record

_BUSY_S = 5.0


class SqliteStore:
    """Records, feedback and keys in one SQLite file in WAL mode, or in memory.

    Records are committed in batches; feedback and keys are on the disk itself once acknowledged.
    """

    def __init__(
        self, path: str | Path, *, busy_timeout_s: float = _BUSY_S, max_queued: int = MAX_QUEUED
    ) -> None:
        """
        Parameters
        ----------
        path : the database file, made if missing, or ":memory:"
        busy_timeout_s : how long a write waits for another process's
        max_queued : records that may wait for a database that does not answer; more are dropped and counted

        Raises
        ------
        StoreError
            If the database cannot be opened; StoreLocked, StoreFull and StoreCorrupt say why.
        """
        self.path = str(path)
        connection = connect(self.path, busy_timeout_s)
        with ExitStack() as undo:
            undo.callback(connection.close)
            if self.path == MEMORY:
                lock = threading.RLock()
                tally: Counter = NoTally()
                self._readers: Readers | SharedReader = SharedReader(connection, lock)
                sink = SqliteSink(connection, self.path, tally.token, lock)
            else:
                settle_orphans(connection, self.path)
                tally = tally_for(self.path)
                undo.callback(tally.close, is_settled=True)
                self._readers = Readers(self.path, busy_timeout_s)
                sink = SqliteSink(connection, self.path, tally.token)
            undo.pop_all()
        self._writer = Writer(sink, tally, max_queued=max_queued)

    def append(self, record: Record) -> None:
        self._writer.append(record)

    async def drain(self) -> None:
        """Raises the StoreError that keeps the records in the queue, if one does."""
        await asyncio.wrap_future(self._writer.submit(_nothing))

    async def add_feedback(self, feedback: Feedback) -> None:
        """
        Raises
        ------
        InvalidRequest
            If the value is not finite, or leaves [0, 1] for a name in `types.SHARES`.
        NotFound
            If this tenant has no such record.
        StoreError
            If it could not be committed.
        """
        _check(feedback)
        await asyncio.wrap_future(self._writer.submit(lambda on: _add_feedback(on, feedback), durable=True))

    def ledger(self) -> SqliteLedger:
        """The budgets' books, in the same file."""
        return SqliteLedger(self._writer, self._readers)

    def experiments(self) -> SqliteExperiments:
        """What runs on the traffic of this store."""
        return SqliteExperiments(self._writer, self._readers)

    def learning(self) -> SqliteLearning:
        """What policies learn from."""
        return SqliteLearning(self._readers)

    def consents(self) -> SqliteConsents:
        """What may become training data."""
        return SqliteConsents(self._writer, self._readers)

    def record(self, record_id: str, tenant: str | None = None) -> Record | None:
        with self._readers.reading() as connection:
            return reading.one_record(connection, record_id, tenant)

    def records(
        self, *, tenant: str | None = None, since: float | None = None, limit: int = 50
    ) -> list[Record]:
        """Newest first."""
        with self._readers.reading() as connection:
            return reading.newest_records(connection, tenant, since, limit)

    def feedback(self, record_id: str, tenant: str | None = None) -> list[Feedback]:
        """The latest of each name, oldest first."""
        with self._readers.reading() as connection:
            return reading.latest_feedback(connection, record_id, tenant)

    def spend(
        self, *, by: str = "candidate", tenant: str | None = None, since: float | None = None
    ) -> list[Spend]:
        """Exact sums; `by` is one of candidate, tenant, key_id, user, day (UTC)."""
        if by not in GROUPS:
            raise InvalidRequest(f"spend by {by!r} is not kept; use one of {', '.join(GROUPS)}", param="by")
        with self._readers.reading() as connection:
            return reading.spend_by(connection, by, tenant, since)

    def add_key(self, key: ApiKey, digest: bytes) -> None:
        """Returns once the key is on the disk."""
        self._writer.submit(lambda on: _add_key(on, key, digest), durable=True).result()

    def key_by_digest(self, digest: bytes) -> ApiKey | None:
        """The key of a secret's digest; None for an unknown and for a revoked one."""
        with self._readers.reading() as connection:
            return reading.key_of_digest(connection, digest)

    def keys(self) -> list[ApiKey]:
        """Every key, revoked ones too, oldest first."""
        with self._readers.reading() as connection:
            return reading.all_keys(connection)

    def revoke_key(self, key_id: str, at: float) -> bool:
        """False if there is no such key or it was revoked before."""
        result: bool = self._writer.submit(lambda on: _revoke(on, key_id, at), durable=True).result()
        return result

    def stats(self) -> Mapping[str, Any]:
        """Never raises: a database that cannot be asked leaves its numbers None."""
        writer = self._writer
        lost = self._losses()
        return {
            "path": self.path,
            "queued": writer.n_queued,
            "appended": writer.n_appended,
            "committed": writer.n_committed,
            "already_there": writer.n_known,
            "dropped": writer.lost.get("dropped", Amount()).n,
            "rejected": writer.lost.get("rejected", Amount()).n,
            "fault": None if writer.fault is None else str(writer.fault),
            "lost": None if lost is None else {reason: _amount(amount) for reason, amount in lost.items()},
            "bytes": _size(self.path),
        }

    def close(self) -> None:
        """Write what is queued and let go of the file; may be called twice."""
        self._readers.close()  # first: the last connection to close folds the log into the file
        self._writer.close()

    def _losses(self) -> dict[str, Amount] | None:
        try:
            with self._readers.reading() as connection:
                return reading.all_losses(connection)
        except StoreError:
            return None


def _nothing(connection: sqlite3.Connection) -> None:
    """What a drain asks for: only to come after everything before it."""


def _check(feedback: Feedback) -> None:
    if not math.isfinite(feedback.value):
        raise InvalidRequest(f"a feedback value must be a finite number, not {feedback.value}", param="value")
    if feedback.name in SHARES and not 0 <= feedback.value <= 1:
        raise InvalidRequest(
            f"a {feedback.name} lies in [0, 1], {feedback.value:g} does not; give other measures other names",
            param="value",
        )


def _add_feedback(connection: sqlite3.Connection, feedback: Feedback) -> None:
    known = connection.execute(
        "SELECT 1 FROM records WHERE id = ? AND tenant = ?", (feedback.record_id, feedback.tenant)
    ).fetchone()
    if known is None:
        raise NotFound(f"there is no record {feedback.record_id!r}; see `suffice records`", param="id")
    connection.execute(
        "INSERT INTO feedback (record_id, tenant, name, value, comment, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            feedback.record_id,
            feedback.tenant,
            feedback.name,
            feedback.value,
            feedback.comment,
            feedback.created_at,
        ),
    )


def _add_key(connection: sqlite3.Connection, key: ApiKey, digest: bytes) -> None:
    cursor = connection.execute(
        "INSERT OR IGNORE INTO keys "
        "(id, digest, tenant, prefix, created_at, is_admin, keep_content, revoked_at, name) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key.id,
            digest,
            key.tenant,
            key.prefix,
            key.created_at,
            key.is_admin,
            key.keep_content,
            key.revoked_at,
            key.name,
        ),
    )
    if cursor.rowcount == 0:
        raise InvalidRequest(f"the key {key.id!r} or its secret is there already; make another", param="id")


def _revoke(connection: sqlite3.Connection, key_id: str, at: float) -> bool:
    cursor = connection.execute(
        "UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (at, key_id)
    )
    return cursor.rowcount == 1


def _amount(amount: Amount) -> dict[str, Any]:
    return {"records": amount.n, "cost_usd": usd_text(amount.pico)}


def _size(path: str) -> int | None:
    """Bytes of the database and its log."""
    if path == MEMORY:
        return None
    total = 0
    for name in (path, f"{path}-wal"):
        with suppress(FileNotFoundError):  # the log goes when the last process closes
            total += Path(name).stat().st_size
    return total
