"""A small model drafts, a large one checks, and writes only what has to change.

References
----------
After speculative decoding (Leviathan et al., 2023) and speculative cascades (Narasimhan et al., 2024, arXiv
2405.19261), lifted from tokens to whole answers: no provider lets another model's tokens be verified. The
large model reads the draft, which is cheap, and its reply is a word or a few edits, where writing is dear.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from suffice.plans.asking import Reply, one_answer_only
from suffice.plans.base import Event, Note, PlanContext, check_names
from suffice.plans.composed import composed
from suffice.plans.editing import edited, verdict, with_draft
from suffice.plans.rounds import Rounds
from suffice.plans.usable import fault
from suffice.protocols import Embedder, Estimate
from suffice.types import Candidate, Decision, Options, Query

_TOOLS: Final = "calls of tools are not drafted: the first of the ranking alone"


class Speculative:
    """The plan `speculative`."""

    name = "speculative"

    def __init__(
        self,
        draft: str | None = None,
        verifier: str | None = None,
        max_edit_tokens: int = 400,
        max_cost_usd: float | None = None,
    ) -> None:
        """
        Parameters
        ----------
        draft : a candidate; None: the cheapest of the ranking, by predicted cost
        verifier : a candidate; None: the strongest, where it can serve the request
        max_edit_tokens : of the check's reply; one that is longer is none
        max_cost_usd : for one query, by predicted costs: without room for the check the draft is given

        Raises
        ------
        ValueError
            If a parameter is out of range.
        """
        if max_edit_tokens < 1 or (max_cost_usd is not None and max_cost_usd < 0):
            raise ValueError("max_edit_tokens is at least 1, max_cost_usd is not below 0")
        self.draft, self.verifier = draft, verifier
        self.max_edit_tokens, self.max_cost_usd = max_edit_tokens, max_cost_usd

    def prepare(self, *, path: Callable[[str], Path], embedder: Embedder, panel: Sequence[Candidate]) -> None:
        """Raises where a candidate is not in the panel."""
        check_names(self.name, [self.draft, self.verifier], panel)

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """A draft and a check: both costs and times at most, the verifier's score."""
        both = self.roles(decision.ranking, decision)
        costs = [decision.of(decision.costs_usd, name) for name in both]
        times = [decision.of(decision.latencies_s, name) for name in both]
        score = decision.of(decision.scores, both[1])
        return Estimate(
            quality=float("nan") if score is None else score,
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            latency_s=None if None in times else sum(time for time in times if time is not None),
        )

    def roles(self, ranking: Sequence[str], decision: Decision | None) -> tuple[str, str]:
        """Who drafts and who checks, of those who can serve the request."""
        costs = {
            name: None if decision is None else decision.of(decision.costs_usd, name) for name in ranking
        }
        cheapest = min(ranking, key=lambda name: (costs[name] is None, costs[name] or 0.0))
        strongest = None if decision is None else decision.baseline
        drafter = self.draft if self.draft in costs else cheapest
        checker = next((name for name in (self.verifier, strongest) if name in costs), ranking[0])
        assert drafter is not None and checker is not None
        return drafter, checker

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Events of one query; chunks come after the draft was checked.

        A check that cannot be understood approves of nothing: the verifier is asked whole where the limit has
        room. One that fails leaves the draft.

        Raises
        ------
        AllAttemptsFailed
            When nobody answered, or the deadline passed.
        InvalidRequest
            When several answers were wanted.
        """
        one_answer_only(self.name, context.options)
        rounds = Rounds(query, context, self.max_cost_usd)
        drafter, checker = self.roles(context.ranking, context.decision)
        if "tools" in query.needs or drafter == checker:
            why = _TOOLS if "tools" in query.needs else f"{drafter} alone can serve this: no draft"
            async for event in rounds.alone(why):
                yield event
            return
        draft = await rounds.ask(query, (drafter,), "draft", is_stream=context.is_stream)
        for attempt in draft.attempts:
            yield attempt
        wrong = fault(draft, context.options)
        if wrong is not None:
            async for event in self._written(rounds, draft, checker, f"the draft of {drafter}: {wrong}"):
                yield event
            return
        if not rounds.has_room(rounds.expected_usd(checker)):
            yield Note("the cost limit has no room for a check: the draft as it is")
            async for event in rounds.given(draft):
                yield event
            return
        async for event in self._checked(rounds, draft, checker):
            yield event

    async def _checked(self, rounds: Rounds, draft: Reply, checker: str) -> AsyncIterator[Event]:
        assert draft.answer is not None
        text, context = draft.answer.content, rounds.context
        options = Options(fields={"temperature": 0, "max_tokens": self.max_edit_tokens})
        said = await rounds.ask(with_draft(rounds.query, text), (checker,), "verify", options=options)
        for attempt in said.attempts:
            yield attempt
        if said.answer is None:
            yield Note(f"{checker} could not check the draft ({type(said.error).__name__}): it is given")
            async for event in rounds.given(draft):
                yield event
            return
        found = verdict(said.answer.content)
        if found is not None and found.kind == "accept":
            yield Note(f"{checker} accepted the draft")
            async for event in rounds.given(draft):
                yield event
            return
        if found is not None and found.kind == "edit":
            better = edited(text, found.edits)
            reply = None if better is None else composed(better, draft.answer, context)
            if reply is not None and fault(reply, context.options) is None:
                yield Note(f"{checker} changed {len(found.edits)} place(s) of the draft")
                async for event in rounds.given(reply):
                    yield event
                return
            found = None
        why = f"{checker} wants the draft written anew"
        if found is None:
            why = f"{checker} said nothing usable about the draft"
        async for event in self._written(rounds, draft, checker, why):
            yield event

    async def _written(self, rounds: Rounds, draft: Reply, checker: str, why: str) -> AsyncIterator[Event]:
        """The verifier asked whole, then the rest of the ranking; the draft where nobody may or can."""
        others = (name for name in rounds.context.ranking if name != checker)
        names = [name for name in (checker, *others) if rounds.has_room(rounds.expected_usd(name))]
        if not names:
            yield Note(f"{why}; the cost limit has no room for another answer")
            events = rounds.whole("nothing else is there") if draft.answer is None else rounds.given(draft)
            async for event in events:
                yield event
            return
        yield Note(f"{why}: {names[0]} is asked")
        reply = await rounds.ask(rounds.query, names, is_stream=rounds.context.is_stream)
        for attempt in reply.attempts:
            yield attempt
        if reply.answer is None and draft.answer is not None:
            yield Note(f"nobody else answered ({type(reply.error).__name__}): the draft is given")
            reply = draft
        async for event in rounds.given(reply):
            yield event
