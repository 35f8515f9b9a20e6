"""What a grader of shadowed answers is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from suffice.registry import Registry
from suffice.types import Answer, Options, Query

Ask = Callable[[str, Query, Options], Awaitable[Answer]]
"""Asks a candidate by name, on the account of the request that is shadowed; raises ProviderError and
AllAttemptsFailed."""


class Grader(Protocol):
    """Says how much better the strong model's answer is."""

    async def drop(self, query: Query, weak: Answer, strong: Answer, ask: Ask) -> float | None:
        """Quality of the strong answer less that of the weak one, in [-1, 1]; None where it cannot tell."""
        ...


registry = Registry(
    "grader",
    "suffice.graders",
    {
        "agreement": "suffice.plans.shadow.agreement:Agreement",
        "judge": "suffice.plans.shadow.judge:Judge",
    },
)
