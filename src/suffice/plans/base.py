"""What a plan is: a way to answer a query that may call models.

A plan is an async generator of events, so that one code serves streams and whole answers, can be
cancelled by closing it, and can hold a stream back until it accepts what it sees.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

from suffice.protocols import Estimate, Model
from suffice.types import Answer, Attempt, Chunk, Decision, Options, Query

Event = Attempt | Chunk | Answer
"""`Attempt`: a call ended, well or badly. `Chunk`: to be streamed on. `Answer`: the last event."""


class PlanContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan may use for one query."""

    models: Mapping[str, Model]
    ranking: Sequence[str]
    """Candidates, best first."""
    options: Options
    is_stream: bool = False
    timeout_s: float = 300.0
    retries: int = 1


class Plan(Protocol):
    @property
    def name(self) -> str: ...

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """What the plan would bring for this query, as far as the decision's numbers tell."""
        ...

    def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Answer; raises AllAttemptsFailed when nobody could."""
        ...
