"""Answers to requests that were answered before, as a plan keeps them: the exact cache, by candidates.

References
----------
Chen et al. (2023), FrugalGPT, section 3: "completion cache".
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from suffice.caching.base import Asked, Kept
from suffice.caching.canonical import asked
from suffice.caching.exact import ExactCache
from suffice.plans.base import PlanContext
from suffice.types import Answer, Query


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand under `cache:` of a plan."""

    entries: int = 1_000
    ttl_s: float = 3_600.0

    def __post_init__(self) -> None:
        if self.entries < 1 or not self.ttl_s > 0:
            raise ValueError("entries is at least 1, ttl_s above 0")


class Completions:
    """In memory, of one process; the least recently used goes first."""

    def __init__(self, settings: CacheSettings, clock: Callable[[], float] = time.time) -> None:
        self._ttl_s, self._clock = settings.ttl_s, clock
        self._kept = ExactCache(entries=settings.entries)

    def __len__(self) -> int:
        return len(self._kept)

    def key(self, query: Query, context: PlanContext) -> Asked | None:
        """What a request is known by; None: its answer is not to be kept."""
        if context.options.wants_logprobs or "tools" in query.needs:
            return None
        return asked(query, context.options, tenant=context.caller.tenant, also=sorted(context.ranking))

    def get(self, key: Asked) -> Answer | None:
        found = self._kept.get(key, None, self._clock())
        return None if found is None else found.kept.answer

    def put(self, key: Asked, answer: Answer) -> None:
        """Keep an answer; one that was cut off or calls tools is not."""
        if answer.finish_reason != "stop" or answer.tool_calls:
            return
        now = self._clock()
        kept = Kept(
            asked=key, answer=answer, candidate=answer.candidate, at=now, expires_at=now + self._ttl_s
        )
        self._kept.put(kept, None, now)
