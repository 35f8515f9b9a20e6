"""The semantic cache: an answer that was given to another way of asking the same.

Kept texts that hold the same words are found by those, others by their vectors; then each is read and
judged: nearness alone serves nothing. What is kept back may still be near enough to be rewritten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from suffice.caching.base import Asked, Found, Kept, Vector
from suffice.caching.exact import ENTRIES, MAX_BYTES, size_of
from suffice.caching.index import FEW, Neighbours, check
from suffice.caching.judgement import Judgement
from suffice.caching.reading import MAX_CHARACTERS, read
from suffice.errors import ConfigError
from suffice.protocols import Embedder

NEIGHBOURS: Final = 3
"""How many of the nearest kept texts are judged."""
_FLOOR: Final = 0.6
"""A kept text whose cosine is lower is not read, unless lower ones are wanted as near."""
_Part = tuple[str, bytes, int]
"""Tenant, scope and `Reading.marks`."""


class SemanticCache:
    """In memory, of one process; the least recently used goes first.

    Every tenant and scope has indexes of its own, so no neighbour can come from another; the entry's tenant
    and scope are compared once more before it is served. Where nothing is wanted as near, every set of
    numbers, units and dates has one too: texts of another set could not be served. Long and empty texts are
    neither kept nor looked for.
    """

    def __init__(
        self,
        embedder: str,
        dimensions: int,
        *,
        entries: int = ENTRIES,
        max_bytes: int = MAX_BYTES,
        threshold: float | None = None,
        near: float | None = None,
        neighbours: int = NEIGHBOURS,
        judgement: Judgement | None = None,
        few: int = FEW,
    ) -> None:
        """
        Parameters
        ----------
        embedder : the name of what makes the vectors; it chooses the judgement
        dimensions : of its vectors
        entries : at most so many answers, of all tenants together
        max_bytes : of texts, answers and vectors together, about
        threshold : the probability from which on an answer is served, in (0, 1]; None: the judgement's
        near : the cosine from which on an answer that is not served is found as "near"; None: never
        neighbours : how many kept texts are judged for one request, from 1
        judgement : instead of the one that ships for the embedder
        few : see `Neighbours`

        Raises
        ------
        ConfigError
            If a value is out of range.
        """
        if entries < 1 or max_bytes < 1 or neighbours < 1 or dimensions < 1:
            raise ConfigError("entries, max_bytes, neighbours and dimensions are at least 1")
        if threshold is not None and not 0 < threshold <= 1:
            raise ConfigError(f"threshold is {threshold}; a probability above 0 is needed")
        if near is not None and not 0 <= near <= 1:
            raise ConfigError(f"near is {near}; a cosine in [0, 1] is needed")
        self.embedder, self.dimensions = embedder, dimensions
        self._entries, self._max_bytes = entries, max_bytes
        self._near, self._neighbours, self._few = near, neighbours, few
        self._floor = _FLOOR if near is None else min(_FLOOR, near)
        self._judgement = judgement or Judgement.shipped(embedder)
        self.threshold = self._judgement.threshold if threshold is None else threshold
        self._kept: OrderedDict[int, Kept] = OrderedDict()
        self._number: dict[bytes, int] = {}
        self._parts: dict[_Part, Neighbours] = {}
        self._gists: dict[int, int] = {}
        """Of tenant, scope and what a text holds: the number last kept under it."""
        self._next = 0
        self.n_bytes = 0
        """About what texts, answers and vectors take."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, asked: Asked, vector: Vector | None, now: float) -> Found | None:
        """The first kept answer that probably serves the request; else the likeliest of the near ones.

        Raises
        ------
        EmbedderError
            If the vector is of another embedder.
        """
        if vector is None or not self._is_compared(asked.text, vector):
            return None
        part = self._parts.get(self._part(asked))
        if part is None:
            return None
        near: Found | None = None
        for number, cosine in self._candidates(asked, vector, part):
            found = self._judged(number, asked, cosine, now)
            if found is not None and found.way == "semantic":
                self._kept.move_to_end(number)
                return found
            if found is not None and (near is None or _of(found) > _of(near)):
                near = found
        return near

    def _candidates(self, asked: Asked, vector: Vector, part: Neighbours) -> Iterator[tuple[int, float]]:
        """Numbers and cosines of what is worth reading, the likeliest first."""
        same = self._gists.get(_gist(asked))
        if same is not None:
            yield same, part.cosine(same, vector) if self._judgement.uses_vectors else 1.0
        for number, cosine in part.search(vector, self._neighbours):
            if cosine < self._floor:
                break
            if number != same and number in self._kept:
                yield number, cosine

    def put(self, kept: Kept, vector: Vector | None, now: float) -> None:
        """Keep an answer under its vector; without one, or for a text that is never compared, do nothing.

        Raises
        ------
        EmbedderError
            If the vector is of another embedder.
        """
        if vector is None or now >= kept.expires_at or not self._is_compared(kept.asked.text, vector):
            return
        part = self._part(kept.asked)
        index = self._parts.get(part) or Neighbours(self.dimensions, few=self._few)
        self.drop(kept.key)
        number, self._next = self._next, self._next + 1
        index.add(number, vector)
        self._parts[part] = index
        self._kept[number] = kept
        self._number[kept.key] = number
        self._gists[_gist(kept.asked)] = number
        self.n_bytes += self._size(kept)
        while len(self._kept) > self._entries or self.n_bytes > self._max_bytes:
            self.drop(next(iter(self._kept.values())).key)

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
            kept.key
            for kept in self._kept.values()
            if kept.is_meant(tenant=tenant, tag=tag, candidate=candidate, before=before)
        ]
        for key in meant:
            self.drop(key)
        return len(meant)

    def drop(self, key: bytes) -> None:
        """Drop one entry, if it is there."""
        number = self._number.pop(key, None)
        if number is None:
            return
        kept = self._kept.pop(number)
        self.n_bytes -= self._size(kept)
        part = self._part(kept.asked)
        self._parts[part].remove(number)
        gist = _gist(kept.asked)
        if self._gists.get(gist) == number:
            del self._gists[gist]
        if not len(self._parts[part]):
            del self._parts[part]

    def rebuilt(self, embedder: Embedder, now: float) -> SemanticCache:
        """The same entries under the vectors of another embedder, with the judgement that ships for it."""
        new = SemanticCache(
            embedder.name,
            embedder.dimensions,
            entries=self._entries,
            max_bytes=self._max_bytes,
            near=self._near,
            neighbours=self._neighbours,
            few=self._few,
        )
        entries = list(self._kept.values())
        for start in range(0, len(entries), 256):
            some = entries[start : start + 256]
            for kept, vector in zip(some, embedder.embed([one.asked.text for one in some]), strict=True):
                new.put(kept, vector, now)
        return new

    def _judged(self, number: int, asked: Asked, cosine: float, now: float) -> Found | None:
        kept = self._kept[number]
        if not kept.is_fresh(now):
            if now >= kept.expires_at:
                self.drop(kept.key)
            return None
        if kept.asked.tenant != asked.tenant or kept.asked.scope != asked.scope:
            return None
        verdict = self._judgement.verdict(read(asked.text), read(kept.asked.text), cosine)
        if not verdict.vetoes and verdict.probability >= self.threshold:
            nearness = f", cosine {cosine:.2f}" if self._judgement.uses_vectors else ""
            reason = f"{verdict.probability:.3f} probable to serve{nearness}"
            return Found(kept=kept, way="semantic", probability=verdict.probability, reason=reason)
        if self._near is None or cosine < self._near:
            return None
        against = "differs in " + ", ".join(verdict.vetoes) if verdict.vetoes else "not sure enough"
        reason = f"{against}, cosine {cosine:.2f}"
        return Found(kept=kept, way="near", probability=verdict.probability, reason=reason)

    def _part(self, asked: Asked) -> _Part:
        """Which index a text is in: where only a text without a guard's objection helps, by its marks too."""
        return asked.tenant, asked.scope, read(asked.text).marks() if self._near is None else 0

    def _is_compared(self, text: str, vector: Vector) -> bool:
        check(vector, self.dimensions)
        return 0 < len(text) <= MAX_CHARACTERS and bool(vector.any())

    def _size(self, kept: Kept) -> int:
        return size_of(kept) + 4 * self.dimensions


def _of(found: Found) -> float:
    return found.probability or 0.0


def _gist(asked: Asked) -> int:
    return hash((asked.tenant, asked.scope, read(asked.text).gist()))
