"""What a policy learns from: the records it decided and the feedback on them, in the order they came.

The log is the one truth: whoever reads all of it, from the start or from where a saved state stopped, knows
what every other reader knows.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from suffice.store.connection import Readers, SharedReader
from suffice.types import Learnable

MOST_AT_ONCE: Final = 5_000
"""Rows that one look reads at most, of each kind."""
_ENDS: Final = "SELECT (SELECT ifnull(max(seq), 0) FROM records), (SELECT ifnull(max(seq), 0) FROM feedback)"


class Decided(msgspec.Struct):
    """Of a decision, what is learnt from."""

    candidate: str = ""
    arms: tuple[str, ...] = ()
    scores: tuple[float | None, ...] = ()
    costs_usd: tuple[float | None, ...] = ()
    propensities: tuple[float, ...] = ()
    learnable: Learnable | None = None


class Asked(msgspec.Struct):
    """Of a record, what is learnt from."""

    id: str
    created_at: float
    tenant: str
    decision: Decided
    user: str | None = None
    candidate: str | None = None
    cost_usd: Decimal | None = None


class Word(NamedTuple):
    """Feedback on a record, and the words (name, value) on it that came before."""

    asked: Asked
    name: str
    value: float
    at: float
    before: tuple[tuple[str, float], ...]


class News(NamedTuple):
    """What came since, and up to which rows that is."""

    asked: list[Asked]
    words: list[Word]
    records_seq: int
    feedback_seq: int


_asked: Final = msgspec.msgpack.Decoder(Asked)


class SqliteLearning:
    """Reads; blocks, and takes no lock that a writer waits for."""

    def __init__(self, readers: Readers | SharedReader) -> None:
        self._readers = readers

    def identity(self) -> str:
        """Of this store: rows of another one have other numbers."""
        with self._readers.reading() as connection:
            (born,) = connection.execute("SELECT min(applied_at) FROM migrations").fetchone()
        return repr(born)

    def news(self, learner: str, records_seq: int, feedback_seq: int) -> News:
        """What came after those rows; call again while it moves on.

        Parameters
        ----------
        learner : the pipeline
        """
        mark = msgspec.msgpack.encode("learner") + msgspec.msgpack.encode(learner)
        with self._readers.reading() as connection:
            records_to, feedback_to = connection.execute(_ENDS).fetchone()
            records_to = min(records_to, records_seq + MOST_AT_ONCE)  # less than before, if rows were deleted
            feedback_to = min(feedback_to, feedback_seq + MOST_AT_ONCE)
            payloads = connection.execute(
                "SELECT payload FROM records WHERE seq > ? AND seq <= ? AND instr(payload, ?) ORDER BY seq",
                (records_seq, records_to, mark),
            ).fetchall()
            rows = connection.execute(
                "SELECT f.seq, f.record_id, f.name, f.value, f.created_at, r.payload FROM feedback f "
                "JOIN records r ON r.id = f.record_id WHERE f.seq > ? AND f.seq <= ? "
                "AND instr(r.payload, ?) ORDER BY f.seq",
                (feedback_seq, feedback_to, mark),
            ).fetchall()
            before = [
                connection.execute(
                    "SELECT name, value FROM feedback WHERE record_id = ? AND seq < ? ORDER BY seq",
                    (record_id, seq),
                ).fetchall()
                for seq, record_id, *_ in rows
            ]
        asked = [one for (payload,) in payloads if (one := _read(payload, learner)) is not None]
        words = [
            Word(one, name, value, at, tuple(known))
            for (_, _, name, value, at, payload), known in zip(rows, before, strict=True)
            if (one := _read(payload, learner)) is not None
        ]
        return News(asked, words, records_to, feedback_to)


def _read(payload: bytes, learner: str) -> Asked | None:
    """None if it is another learner's, or cannot be read: one such row must not stop all learning."""
    try:
        asked = _asked.decode(payload)
    except msgspec.MsgspecError:
        return None
    seen = asked.decision.learnable
    return asked if seen is not None and seen.learner == learner else None
