"""Answers to requests that were answered before: the same conversation, asked for in the same way.

References
----------
Chen et al. (2023), FrugalGPT, section 3: "completion cache". Here a request must be equal to the byte, and of
the same tenant.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

import msgspec

from suffice.plans.base import PlanContext
from suffice.types import Answer, Query

_NO_MATTER: Final = frozenset({"stream", "stream_options", "user", "metadata", "store"})
"""Fields of a request that do not change what is said."""


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand under `cache:` of a plan."""

    entries: int = 1_000
    ttl_s: float = 3_600.0

    def __post_init__(self) -> None:
        if self.entries < 1 or not self.ttl_s > 0:
            raise ValueError("entries is at least 1, ttl_s above 0")


class Completions:
    """In memory, of one process; the least recently used goes first."""

    def __init__(self, settings: CacheSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._kept: OrderedDict[bytes, tuple[float, Answer]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def key(self, query: Query, context: PlanContext) -> bytes | None:
        """What a request is known by; None: its answer is not to be kept."""
        if context.options.wants_logprobs or "tools" in query.needs:
            return None
        fields = {name: value for name, value in context.options.fields.items() if name not in _NO_MATTER}
        known = (context.caller.tenant, list(query.chat()), sorted(context.ranking), fields)
        return blake2b(msgspec.json.encode(known, order="sorted"), digest_size=16).digest()

    def get(self, key: bytes) -> Answer | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if self._clock() >= kept[0]:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return kept[1]

    def put(self, key: bytes, answer: Answer) -> None:
        """Keep an answer; one that was cut off or calls tools is not."""
        if answer.finish_reason != "stop" or answer.tool_calls:
            return
        self._kept[key] = self._clock() + self._settings.ttl_s, answer
        self._kept.move_to_end(key)
        while len(self._kept) > self._settings.entries:
            self._kept.popitem(last=False)
