"""One look-up, then the answer: by one candidate, or by whatever plan a pipeline has.

The decision is made anew with the passages in the prompt, which is longer then: another candidate may answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import ClassVar

import msgspec

from suffice.errors import SufficeError
from suffice.plans.asking import narrowed
from suffice.plans.base import Event, Note, Plan, PlanContext
from suffice.plans.lookups import NO_RETRIEVAL, RetrievalPlan, Trip, cited, with_passages
from suffice.plans.single import Single
from suffice.plans.spent import onward
from suffice.types import Query, Retrieval


class Retrieve(RetrievalPlan):
    """The plan `retrieve`."""

    name = "retrieve"
    strategy: ClassVar[str] = "single"

    def __init__(
        self,
        corpus: str = "corpus.db",
        retriever: str = "fts5",
        k: int = 5,
        rewriter: str | None = None,
        max_characters: int = 16_000,
    ) -> None:
        """Parameters as of `RetrievalPlan`."""
        super().__init__(corpus, retriever, k, rewriter, max_lookups=1, max_characters=max_characters)
        self.inner: Plan = Single()
        """Answers from the passages; a gate puts its pipeline's plan here."""

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Events of one query, with those of the inner plan.

        Raises
        ------
        AllAttemptsFailed
            When nobody answered, or the deadline passed.
        """
        trip = Trip(self, query, context)
        if context.retrieval == NO_RETRIEVAL:
            yield Note("no retrieval: the client's wish", retrieval=Retrieval(strategy=NO_RETRIEVAL))
        else:
            async for event in trip.first():
                yield event
        asked, routed = await _routed(trip)
        if routed.decision is not context.decision:
            yield Note(decision=routed.decision)
        own = narrowed(routed, routed.ranking, trip.rounds.deadline)
        events = onward(trip.rounds.spent, self.inner.run(asked, own))
        if context.retrieval != NO_RETRIEVAL:
            events = cited(events, trip.lookups)
        async with aclosing(events) as told:  # type: ignore[type-var]  # plans are async generators
            async for event in told:
                yield event


async def _routed(trip: Trip) -> tuple[Query, PlanContext]:
    """The query with as many passages as somebody can read, and who answers it."""
    lookups, context = trip.lookups, trip.context
    while lookups.passages and context.decide is not None:
        asked = with_passages(trip.query, lookups.passages)
        try:
            decision = await context.decide(asked)
        except SufficeError:  # longer than every window
            lookups.passages = lookups.passages[: len(lookups.passages) // 2]
            continue
        before = context.decision
        if before is not None and before.reason != decision.reason:
            reason = f"{before.reason}; with passages: {decision.reason}"
            decision = msgspec.structs.replace(decision, reason=reason)
        return asked, msgspec.structs.replace(context, ranking=decision.ranking, decision=decision)
    return with_passages(trip.query, lookups.passages), context
