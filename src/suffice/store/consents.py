"""Which records may become training data: whose keys said so, since when; and the right to be forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec

from suffice.errors import NotFound
from suffice.store.base import decode
from suffice.store.connection import Readers, SharedReader
from suffice.store.writer import Writer
from suffice.types import Record

_PAGE: Final = 1_000
KEYLESS: Final = ""
"""The key id of callers without a key (on loopback)."""


class SqliteConsents:
    """Consent is given per key, apart from the consent to store content, and holds for later records only."""

    def __init__(self, writer: Writer, readers: Readers | SharedReader) -> None:
        self._writer, self._readers = writer, readers

    def allow(self, key_id: str, at: float) -> None:
        """From now on records of this key may become training data; an earlier consent stays as it is.

        Raises
        ------
        NotFound
            If there is no such key.
        """

        def write(connection: sqlite3.Connection) -> bool:
            is_there = connection.execute("SELECT 1 FROM keys WHERE id = ?", (key_id,)).fetchone()
            if is_there is None:
                return False
            connection.execute("INSERT OR IGNORE INTO training_consents VALUES (?, ?)", (key_id, at))
            return True

        if not self._writer.submit(write, durable=True).result():
            raise NotFound(f"no key has the id {key_id!r}; `suffice keys list` shows them")

    def withdraw(self, key_id: str) -> bool:
        """No record of this key, earlier ones neither; False if there was no consent."""

        def write(connection: sqlite3.Connection) -> bool:
            gone = connection.execute("DELETE FROM training_consents WHERE key_id = ?", (key_id,))
            return gone.rowcount == 1

        result: bool = self._writer.submit(write, durable=True).result()
        return result

    def since(self) -> dict[str, float]:
        """Key id to the time (Unix seconds) from which on its records may be used."""
        with self._readers.reading() as connection:
            return dict(connection.execute("SELECT key_id, since FROM training_consents ORDER BY key_id"))

    def records(
        self,
        *,
        tenant: str | None = None,
        after: float | None = None,
        keyless: bool = False,
        feedback: str = "score",
    ) -> Iterator[tuple[Record, float | None]]:
        """Records with consent and content, oldest first, and the latest feedback of that name on each.

        Parameters
        ----------
        after : Unix seconds
        keyless : those of callers without a key too
        """
        allowed = self.since() | ({KEYLESS: float("-inf")} if keyless else {})
        start = float("-inf") if after is None else after
        seq = 0
        while True:
            with self._readers.reading() as connection:
                page = connection.execute(
                    "SELECT r.seq, r.payload, (SELECT value FROM feedback f WHERE f.record_id = r.id "
                    "AND f.name = ? ORDER BY f.seq DESC LIMIT 1) FROM records r "
                    "WHERE r.seq > ? AND r.created_at >= ? AND (? IS NULL OR r.tenant = ?) "
                    "AND r.status < 400 ORDER BY r.seq LIMIT ?",
                    (feedback, seq, start, tenant, tenant, _PAGE),
                ).fetchall()
            if not page:
                return
            for seq, payload, value in page:  # noqa: B007  the last one is where the next page starts
                record = decode(payload)
                begins = allowed.get(record.key_id or KEYLESS)
                has_content = record.query is not None and record.answer is not None
                if begins is not None and has_content and record.created_at >= begins:
                    yield record, value

    def forget(self, user: str, *, tenant: str | None = None) -> int:
        """Erase a user's questions, answers and name from the records, and the words of their feedback.

        What was spent stays. How many records there were.
        """

        def write(connection: sqlite3.Connection) -> int:
            found = connection.execute(
                "SELECT seq, id, payload FROM records WHERE user_id = ? AND (? IS NULL OR tenant = ?)",
                (user, tenant, tenant),
            ).fetchall()
            connection.execute("PRAGMA secure_delete = ON")
            for seq, record_id, payload in found:
                bare = msgspec.structs.replace(
                    decode(payload), query=None, answer=None, user=None, session=None
                )
                connection.execute(
                    "UPDATE records SET payload = ?, user_id = '' WHERE seq = ?",
                    (msgspec.msgpack.encode(bare), seq),
                )
                connection.execute("UPDATE feedback SET comment = NULL WHERE record_id = ?", (record_id,))
            connection.execute("PRAGMA secure_delete = OFF")  # as `connect` leaves it
            return len(found)

        result: int = self._writer.submit(write, durable=True).result()
        return result
