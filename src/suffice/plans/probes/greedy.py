"""The answer itself: one call at temperature 0, with its tokens' probabilities where they can be had."""

from __future__ import annotations

from collections.abc import Sequence

from suffice.plans.probes.base import TOP, Caller, Evidence, Said
from suffice.types import Query


class Greedy:
    """Every signal is about this answer."""

    name = "greedy"
    after: tuple[str, ...] = ()

    def __init__(self, max_tokens: int = 512) -> None:
        self.max_tokens = max_tokens

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        return [await caller(query, max_tokens=self.max_tokens, top=TOP)]
