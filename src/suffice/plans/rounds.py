"""What plans of several rounds have in common: calls that are counted, a cost limit, and the way back.

The way back is to ask the query whole, by the router's ranking: where the rounds lead nowhere, a client still
gets an answer, and the record says why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from time import perf_counter
from typing import Any, Final

from suffice.errors import AllAttemptsFailed
from suffice.plans.asking import Reply, ask, predicted_usd
from suffice.plans.base import Event, Note, PlanContext
from suffice.plans.single import Single
from suffice.plans.spent import Spent
from suffice.types import Attempt, Options, Query, content_text

_KEPT: Final = (
    "temperature",
    "top_p",
    "seed",
    "reasoning_effort",
    "max_tokens",
    "max_completion_tokens",
)
"""What a client's wish for the answer says about the calls on the way to it."""


class Rounds:
    """One query under way."""

    def __init__(self, query: Query, context: PlanContext, max_cost_usd: float | None) -> None:
        self.query, self.context = query, context
        self.deadline = perf_counter() + context.timeout_s
        self.spent = Spent()
        self._attempts: list[Attempt] = []
        limits = [max_cost_usd, query.constraints.max_cost_usd]
        self.limit_usd = min((float(limit) for limit in limits if limit is not None), default=None)

    async def ask(
        self,
        query: Query,
        names: Sequence[str],
        role: str = "",
        *,
        options: Options | None = None,
        is_stream: bool = False,
        until: float | None = None,
    ) -> Reply:
        """As `asking.ask`; the call is counted, its attempts are the caller's to yield.

        Parameters
        ----------
        until : on the clock of `perf_counter`, where that is before the deadline
        """
        deadline = self.deadline if until is None else min(until, self.deadline)
        reply = await ask(
            query, self.context, names, deadline, role=role, options=options, is_stream=is_stream
        )
        self.spent.add(reply.answer)
        self._attempts += reply.attempts
        return reply

    def saw(self, attempt: Attempt) -> None:
        """A call that was made elsewhere for this query."""
        self._attempts.append(attempt)

    def expected_usd(self, *names: str) -> float | None:
        """The predicted cost of an answer from each; None where one is unknown."""
        costs = [predicted_usd(self.context.decision, name) for name in names]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def has_room(self, cost_usd: float | None) -> bool:
        """Whether that much may still be spent; an unknown cost keeps to no limit."""
        if self.limit_usd is None:
            return True
        return cost_usd is not None and self.spent.known_usd + cost_usd <= self.limit_usd

    async def alone(self, why: str) -> AsyncIterator[Event]:
        """As the plan `single`."""
        yield Note(why)
        async for event in Single().run(self.query, self.context):
            yield event

    async def whole(self, why: str) -> AsyncIterator[Event]:
        """The query itself, asked by the ranking; where nobody keeps to the limit, whoever is cheapest."""
        ranking = self.context.ranking
        names = [name for name in ranking if self.has_room(self.expected_usd(name))]
        if not names:
            known = {name: self.expected_usd(name) for name in ranking}
            names = sorted(ranking, key=lambda name: (known[name] is None, known[name] or 0.0))[:1]
            why += ", by the cheapest: it is above the cost limit"
        yield Note(why)
        reply = await self.ask(self.query, names, is_stream=self.context.is_stream)
        for attempt in reply.attempts:
            yield attempt
        async for event in self.given(reply):
            yield event

    async def given(self, reply: Reply) -> AsyncIterator[Event]:
        """The answer with the sums of all calls, then its chunks.

        Raises
        ------
        AllAttemptsFailed
            If there is none.
        """
        if reply.answer is None:
            assert reply.error is not None
            raise AllAttemptsFailed(self._attempts, reply.error) from reply.error
        answer, chunks = self.spent.settled(reply)
        yield answer
        for chunk in chunks:
            yield chunk


def inner(options: Options, **fields: Any) -> Options:
    """The options of a call on the way to the answer; `fields` go before what the client said."""
    kept = {name: options.fields[name] for name in _KEPT if name in options.fields}
    return Options(fields={**kept, **fields})


def transcript(messages: Sequence[Mapping[str, Any]]) -> str:
    """A conversation as a text: one message by itself, several with who said them.

    Examples
    --------
    >>> transcript([{"role": "user", "content": "hi"}])
    'hi'
    """
    texts = [(str(one.get("role")), content_text(one.get("content"))) for one in messages]
    if len(texts) == 1:
        return texts[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in texts)


def listed(names: Sequence[str], descriptions: Mapping[str, str]) -> str:
    """Candidates for a model to read, a line each."""
    return "\n".join(
        f"- {name}: {descriptions[name]}" if name in descriptions else f"- {name}" for name in names
    )
