"""The exact cache: the same request again.

References
----------
Chen et al. (2023), FrugalGPT, section 3: "completion cache".
"""

from __future__ import annotations

from collections import OrderedDict

from suffice.caching.base import Asked, Found, Kept, Vector
from suffice.errors import ConfigError

ENTRIES = 10_000
MAX_BYTES = 256 << 20


class ExactCache:
    """In memory, of one process; the least recently used goes first.

    An entry is found by its digest; tenant and scope must be equal as well.
    """

    def __init__(self, *, entries: int = ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        """
        Parameters
        ----------
        entries : at most so many answers
        max_bytes : of texts and answers together, about; an answer larger than that is not kept

        Raises
        ------
        ConfigError
            If a bound is below 1.
        """
        if entries < 1 or max_bytes < 1:
            raise ConfigError(f"entries is {entries} and max_bytes {max_bytes}: at least 1 is needed")
        self._entries, self._max_bytes = entries, max_bytes
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.n_bytes = 0
        """About what texts and answers take."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, asked: Asked, vector: Vector | None, now: float) -> Found | None:
        """The answer to this very request; the vector is not looked at."""
        kept = self._kept.get(asked.exact)
        if kept is None or not _is_same(kept.asked, asked):
            return None
        if not kept.is_fresh(now):
            if now >= kept.expires_at:
                self.drop(kept.key)
            return None
        self._kept.move_to_end(kept.key)
        return Found(kept=kept, way="exact", reason="the same request was answered before")

    def put(self, kept: Kept, vector: Vector | None, now: float) -> None:
        """Keep an answer; one that is already stale is not."""
        self.drop(kept.key)
        size = size_of(kept)
        if now >= kept.expires_at or size > self._max_bytes:
            return
        self._kept[kept.key] = kept
        self.n_bytes += size
        while len(self._kept) > self._entries or self.n_bytes > self._max_bytes:
            self.drop(next(iter(self._kept)))

    def forget(
        self,
        *,
        tenant: str | None = None,
        tag: str | None = None,
        candidate: str | None = None,
        before: float | None = None,
    ) -> int:
        """Drop what meets every condition that is given; how much that was."""
        meant = [
            key
            for key, kept in self._kept.items()
            if kept.is_meant(tenant=tenant, tag=tag, candidate=candidate, before=before)
        ]
        for key in meant:
            self.drop(key)
        return len(meant)

    def drop(self, key: bytes) -> None:
        """Drop one entry, if it is there."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.n_bytes -= size_of(kept)


def size_of(kept: Kept) -> int:
    """About how many bytes an entry takes in memory, its vector left aside."""
    answer = kept.answer
    logprobs = 64 * len(answer.logprobs or ())
    return 500 + len(kept.asked.text) + len(answer.content) + len(answer.body or b"") + logprobs


def _is_same(one: Asked, other: Asked) -> bool:
    return one.tenant == other.tenant and one.scope == other.scope
