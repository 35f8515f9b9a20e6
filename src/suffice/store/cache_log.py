"""What is shared by all places where kept answers outlive a process.

They are logs beside the caches in memory, which do the finding: each process reads every row once. What is
forgotten is written down as the condition by which it was, so that every process does the same.
"""

from __future__ import annotations

import logging
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np

from suffice.caching.base import Kept, Vector

_log = logging.getLogger(__name__)

RECORD: Final = "record:"
"""Before a record's id: the tag of the one answer that it left."""
EDGE: Final = "\x1f"
"""Around tags."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is forgotten: entries that meet all that is given. See `suffice.caching.Cache.forget`."""

    tenant: str | None = None
    tag: str | None = None
    candidate: str | None = None
    before: float | None = None


def told(condition: Condition, now: float) -> Condition:
    """The condition as others are told it: what is kept later, by somebody's clock, is not meant.

    One record's answer is never kept again: it needs no bound, and so no clocks that agree.
    """
    if condition.tag is not None and condition.tag.startswith(RECORD):
        return condition
    before = now if condition.before is None else min(condition.before, now)
    return msgspec.structs.replace(condition, before=before)


class Row(NamedTuple):
    """One answer that a process kept."""

    stage: str
    kept: Kept
    vector: Vector | None
    embedder: str
    """The name of that which made the vector."""


class News(NamedTuple):
    """What came since the last look, of other processes (at the first look, all there is)."""

    rows: list[Row]
    forgotten: list[Condition]


class Size(NamedTuple):
    """What a part of the file holds."""

    stage: str
    tenant: str
    candidate: str
    n: int
    n_expired: int
    bytes: int
    oldest: float


class CacheLog(Protocol):
    """Methods that write may be called from any thread; each may raise a StoreError."""

    def news(self) -> News | None:
        """What others kept and forgot since the last call; None where nothing came. Does not wait."""
        ...

    def put(
        self, stage: str, kept: Kept, vector: Vector | None, embedder: str, *, entries: int, now: float
    ) -> None:
        """Write an answer down, in place of one to the same request; beyond `entries` the oldest go."""
        ...

    def forget(self, condition: Condition, now: float) -> int:
        """Drop what meets the condition, and have other processes drop it; how many rows that were."""
        ...

    def sizes(self, now: float) -> list[Size]:
        """What is kept, by stage, tenant and candidate."""
        ...

    def close(self) -> None: ...


def row_of(stage: str, kept: Kept, vector: Vector | None, embedder: str, writer: str) -> tuple[Any, ...]:
    """An answer as it is written."""
    return (
        stage,
        kept.key,
        kept.asked.tenant,
        kept.candidate,
        EDGE.join(("", *(tag.replace(EDGE, " ") for tag in kept.tags), "")),
        kept.at,
        kept.expires_at,
        writer,
        embedder,
        None if vector is None else np.asarray(vector, dtype="<f4").tobytes(),
        msgspec.msgpack.encode(kept),
    )


def read_row(stage: str, payload: bytes, vector: bytes | None, embedder: str) -> Row | None:
    """None if it cannot be read: one such row must not cost the others."""
    try:
        kept = msgspec.msgpack.decode(payload, type=Kept)
        return Row(stage, kept, None if vector is None else np.frombuffer(vector, dtype="<f4"), embedder)
    except (msgspec.MsgspecError, ValueError):
        _log.warning("a row of the cache cannot be read; it is left out")
        return None
