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

    def ends(self) -> tuple[int, int]:
        """The last rows of records and of feedback."""
        with self._readers.reading() as connection:
            records, feedback = connection.execute(_ENDS).fetchone()
        return int(records), int(feedback)

    def news(self, learner: str, records_seq: int, feedback_seq: int) -> News:
        """What came after those rows; call again while it moves on.

        Parameters
        ----------
        learner : the pipeline
        """
        mark = msgspec.msgpack.encode("learner") + msgspec.msgpack.encode(learner)
        with self._readers.reading() as connection:
            records_to, feedback_to = connection.execute(_ENDS).fetchone()
            records_to = max(records_seq, min(records_to, records_seq + MOST_AT_ONCE))
            feedback_to = max(feedback_seq, min(feedback_to, feedback_seq + MOST_AT_ONCE))
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
        words = [
            Word(_asked.decode(payload), name, value, at, tuple(known))
            for (_, _, name, value, at, payload), known in zip(rows, before, strict=True)
        ]
        asked = [_asked.decode(payload) for (payload,) in payloads]
        return News(
            [one for one in asked if _is_of(one, learner)],
            [word for word in words if _is_of(word.asked, learner)],
            records_to,
            feedback_to,
        )


def _is_of(asked: Asked, learner: str) -> bool:
    return asked.decision.learnable is not None and asked.decision.learnable.learner == learner
