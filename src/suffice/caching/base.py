"""What every cache of answers shares: what a request is known by, what is kept, what is found.

A cache never asks the time and never embeds: `now` and the vector are handed in, so that the same
cache answers the gateway, a replay of last year's requests and a test.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.types import Answer

Vector = NDArray[np.float32]
"""(d,): of `Asked.text`, of length 1, or all zeros for an empty text."""

Way = Literal["exact", "semantic", "near"]
"""How a kept answer was found: the same request; another that it serves as well; one that is close, whose
answer may be rewritten but not served."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a request is known by; made by `canonical.asked`."""

    tenant: str
    scope: bytes
    """Digest of all that decides an answer but the last user message: earlier turns, system prompt, tools,
    sampling, response format, pipeline, version. Answers never cross from one scope to another."""
    text: str
    """The last user message, as it was sent."""
    exact: bytes
    """Digest of tenant, scope and text: what `exact` caches go by."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One answer in a cache."""

    asked: Asked
    answer: Answer
    candidate: str
    """Who gave the answer."""
    at: float
    """Unix seconds at which it was kept."""
    expires_at: float
    """Unix seconds from which on it is no longer served."""
    tags: tuple[str, ...] = ()

    @property
    def key(self) -> bytes:
        return self.asked.exact

    def is_fresh(self, now: float) -> bool:
        """False once it expired, and where the clock was set back to before it was kept."""
        return self.at <= now < self.expires_at

    def is_meant(
        self,
        *,
        tenant: str | None = None,
        tag: str | None = None,
        candidate: str | None = None,
        before: float | None = None,
    ) -> bool:
        """Whether every condition that is given holds; without one, all entries are meant."""
        return (
            (tenant is None or self.asked.tenant == tenant)
            and (tag is None or tag in self.tags)
            and (candidate is None or self.candidate == candidate)
            and (before is None or self.at < before)
        )


class Found(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A kept answer, and why it was taken for this request."""

    kept: Kept
    way: Way
    probability: float | None = None
    """That the answer serves the request, in [0, 1]; None for an exact hit."""
    reason: str = ""
    """In words."""


class Cache(Protocol):
    """A store of answers. All times are Unix seconds and come from the caller."""

    def get(self, asked: Asked, vector: Vector | None, now: float) -> Found | None:
        """What was kept for this request, or None. Without a vector only exact hits are found."""
        ...

    def put(self, kept: Kept, vector: Vector | None, now: float) -> None:
        """Keep an answer, in place of one to the same request; the least recently used make room."""
        ...

    def forget(
        self,
        *,
        tenant: str | None = None,
        tag: str | None = None,
        candidate: str | None = None,
        before: float | None = None,
    ) -> int:
        """Drop what meets every condition that is given (all, if none is), and say how much that was.

        `before` is Unix seconds: what was kept earlier goes.
        """
        ...

    def __len__(self) -> int:
        """How many answers are kept, expired ones that were not yet met included."""
        ...
