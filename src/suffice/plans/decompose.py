"""A query is split into parts, every part is routed by itself, and a model writes the answer from theirs.

Which of LLMRouter's two multi-round routers this is, `route` says: `router` has the pipeline's own router
(kNN or any other) choose for every part, `model` lets the decomposer name who answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Final, Literal

from suffice.errors import SufficeError
from suffice.plans.aggregation import trimmed
from suffice.plans.asking import Reply, as_finished, one_answer_only
from suffice.plans.base import Event, Note, PlanContext, check_names
from suffice.plans.decomposition import Part, informed, parts, question, spliced, with_answers
from suffice.plans.rounds import Rounds, inner, listed, transcript
from suffice.plans.usable import fault
from suffice.protocols import Embedder, Estimate
from suffice.types import Candidate, Decision, Options, Query

_LIST_TOKENS: Final = 1_024
_PLAIN: Final = Options()


class Decompose:
    """The plan `decompose`."""

    name = "decompose"

    def __init__(
        self,
        decomposer: str | None = None,
        aggregator: str | None = None,
        route: Literal["router", "model"] = "router",
        descriptions: dict[str, str] | None = None,
        max_parts: int = 5,
        depth: int = 1,
        part_timeout_s: float = 60.0,
        max_cost_usd: float | None = None,
    ) -> None:
        """
        Parameters
        ----------
        decomposer, aggregator : candidates; None: the first of the ranking
        route : who chooses for a part: the pipeline's router, or the decomposer as it splits
        descriptions : candidate -> what it is good at, for a decomposer that routes
        max_parts : in all, at least 2
        depth : how often parts are split again, at least 1
        part_timeout_s : a part that takes longer is not waited for
        max_cost_usd : for one query, by predicted costs; the aggregator's is kept back

        Raises
        ------
        ValueError
            If a parameter is out of range.
        """
        if max_parts < 2 or depth < 1:
            raise ValueError("max_parts is at least 2, and depth at least 1")
        if not part_timeout_s > 0 or (max_cost_usd is not None and max_cost_usd < 0):
            raise ValueError("part_timeout_s is above 0, max_cost_usd is not below")
        self.decomposer, self.aggregator, self.route = decomposer, aggregator, route
        self.descriptions: Mapping[str, str] = dict(descriptions or {})
        self.max_parts, self.depth = max_parts, depth
        self.part_timeout_s, self.max_cost_usd = part_timeout_s, max_cost_usd

    def prepare(self, *, path: Callable[[str], Path], embedder: Embedder, panel: Sequence[Candidate]) -> None:
        """Raises where a candidate is not in the panel."""
        check_names(self.name, [self.decomposer, self.aggregator, *self.descriptions], panel)

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """Unknown: how many parts there are is known once a model has split it."""
        return Estimate(quality=float("nan"))

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Events of one query; chunks come after the answer was written.

        Raises
        ------
        AllAttemptsFailed
            When nobody answered, or the deadline passed.
        InvalidRequest
            When several answers were wanted.
        """
        one_answer_only(self.name, context.options)
        splitting = _Splitting(self, query, context)
        async for event in splitting.follow():
            yield event


@dataclass
class _Answered:
    """A part and what came of it."""

    part: Part
    text: str | None = None
    is_done: bool = False

    def can_begin(self, found: Sequence[_Answered]) -> bool:
        """Whether the parts that it needs are done, answered or not."""
        return all(found[place].is_done for place in self.part.after)


class _Splitting:
    """One query under way."""

    def __init__(self, plan: Decompose, query: Query, context: PlanContext) -> None:
        self._plan, self._query, self._context = plan, query, context
        self._rounds = Rounds(query, context, plan.max_cost_usd)
        ranking = context.ranking
        self._decomposer = next((name for name in ranking if name == plan.decomposer), ranking[0])
        first = next((name for name in ranking if name == plan.aggregator), ranking[0])
        self._writers = [first, *(name for name in ranking if name != first)]
        self._parts: list[Part] = []
        self._wrong: str | None = None
        self._reserved_usd = 0.0
        """Of calls that are under way."""

    async def follow(self) -> AsyncIterator[Event]:
        rounds = self._rounds
        if self._query.needs & {"tools", "vision"}:  # no part can call a tool or see an image
            why = "requests with tools or images are not split: the first of the ranking alone"
            async for event in rounds.alone(why):
                yield event
            return
        async for event in self._split():
            yield event
        if self._wrong is None and len(self._parts) < 2:
            self._wrong = "nothing to split"
        if self._wrong is not None:
            async for event in rounds.whole(f"asked whole: {self._wrong}"):
                yield event
            return
        found = [_Answered(part) for part in self._parts]
        async for event in self._answer(found):
            yield event
        if not any(one.text for one in found):
            async for event in rounds.whole(f"asked whole: none of {len(found)} parts was answered"):
                yield event
            return
        async for event in self._written(found):
            yield event

    async def _split(self) -> AsyncIterator[Event]:
        """Fill `_parts`, level by level; the whole query is the first part."""
        self._parts = [Part(transcript(self._query.chat()))]
        for level in range(self._plan.depth):
            most = self._plan.max_parts - len(self._parts) + 1
            left = [place for place, part in enumerate(self._parts) if not part.is_whole]
            if most < 2 or not left:
                return
            left = left[: self._affordable(len(left))]
            if not left and not level:
                self._wrong = "the cost limit has no room for parts"
            replies: dict[int, Reply] = {}
            calls = [self._asked_to_split(self._parts[place].text, most) for place in left]
            async with aclosing(as_finished(calls)) as finished:
                async for number, reply in finished:
                    replies[left[number]] = reply
                    for attempt in reply.attempts:
                        yield attempt
            for place in reversed(left):  # so that the places before it stay what they are
                wrong = self._replace(place, replies[place])
                if wrong is not None and not level:
                    self._wrong = wrong
                elif wrong is not None:
                    yield Note(f"a part stays whole: {wrong}")

    def _affordable(self, n: int) -> int:
        """How many may be split, with the aggregator's cost kept back."""
        each = self._rounds.expected_usd(self._decomposer)
        last = self._rounds.expected_usd(self._writers[0])
        for k in range(n, 0, -1):
            if self._rounds.has_room(None if each is None or last is None else k * each + last):
                return k
        return 0

    async def _asked_to_split(self, text: str, most: int) -> Reply:
        names = self._context.ranking if self._plan.route == "model" else ()
        asked = question(text, most, listed(names, self._plan.descriptions))
        options = inner(_PLAIN, temperature=0, max_tokens=_LIST_TOKENS)
        return await self._rounds.ask(asked, (self._decomposer,), "decompose", options=options)

    def _replace(self, place: int, reply: Reply) -> str | None:
        """Put a part's own parts in its place; what is wrong with them, if anything is."""
        wrong = fault(reply, _PLAIN)
        if wrong is not None:
            own: list[Part] | str = f"the decomposer {self._decomposer}: {wrong}"
        else:
            assert reply.answer is not None
            own = parts(reply.answer.content, self._plan.max_parts - len(self._parts) + 1)
            own = f"the decomposer {self._decomposer} gave {own}" if isinstance(own, str) else own
        if isinstance(own, str) or len(own) < 2:
            self._parts[place] = replace(self._parts[place], is_whole=True)
            return own if isinstance(own, str) else None
        self._parts = spliced(self._parts, place, own)
        return None

    async def _answer(self, found: Sequence[_Answered]) -> AsyncIterator[Event]:
        """All parts whose needs are met at once, until none is left."""
        while ready := [one for one in found if not one.is_done and one.can_begin(found)]:
            calls = [self._solve(one, found) for one in ready]
            async with aclosing(as_finished(calls)) as finished:
                async for place, reply in finished:
                    for attempt in () if reply is None else reply.attempts:
                        yield attempt
                    ready[place].is_done = True
                    why = "the cost limit has no room for it" if reply is None else fault(reply, _PLAIN)
                    if why is None and reply is not None and reply.answer is not None:
                        ready[place].text = reply.answer.content
                        why = f"{reply.answer.candidate}"
                    yield Note(f"part {found.index(ready[place]) + 1}: {why}")

    async def _solve(self, one: _Answered, found: Sequence[_Answered]) -> Reply | None:
        """The part's answer; None: nobody whom the limit has room for."""
        known = [(found[i].part.text, text) for i in one.part.after if (text := found[i].text)]
        query = Query(text=informed(one.part, known), tags=self._query.tags, user=self._query.user)
        names, costs = await self._ranked(one.part, query)
        last = self._rounds.expected_usd(self._writers[0]) or 0.0
        kept = [
            name
            for name in names
            if self._rounds.has_room(
                None if (cost := costs[name]) is None else self._reserved_usd + cost + last
            )
        ]
        if not kept:
            return None
        mine = max(costs[name] or 0.0 for name in kept)
        self._reserved_usd += mine
        until = perf_counter() + self._plan.part_timeout_s
        options = inner(self._context.options)
        try:
            return await self._rounds.ask(query, kept, "part", options=options, until=until)
        finally:
            self._reserved_usd -= mine

    async def _ranked(self, part: Part, query: Query) -> tuple[Sequence[str], Mapping[str, float | None]]:
        """Who answers a part, the first choice first, of those who can serve the request; predicted costs."""
        allowed, decision = self._context.ranking, self._context.decision
        first = [name for name in allowed if name == part.model]
        if not first and self._context.decide is not None:
            try:
                decision = await self._context.decide(query)
            except SufficeError:  # nobody can serve the part, or no prediction: as the whole query
                pass
            else:
                first = [name for name in decision.ranking if name in allowed]
        names = [*first, *(name for name in allowed if name not in first)]
        costs = {name: None if decision is None else decision.of(decision.costs_usd, name) for name in names}
        return names, costs

    async def _written(self, found: Sequence[_Answered]) -> AsyncIterator[Event]:
        """The answer from the parts' answers; where nobody writes one, the query whole."""
        rounds, options = self._rounds, self._context.options
        asked = self._query
        texts = [one.text or "" for one in found]
        told = "".join(one.part.text for one in found)
        kept, share = trimmed(
            [*texts, told], asked, self._context.models[self._writers[0]].candidate, options
        )
        if share is not None:
            yield Note(
                f"the parts' answers were cut to {share} bytes each, which {self._writers[0]} can read"
            )
        shown = [(one.part.text, text or None) for one, text in zip(found, kept, strict=False)]
        names = [name for name in self._writers if rounds.has_room(rounds.expected_usd(name))]
        reply = await rounds.ask(
            with_answers(asked, shown),
            names or self._writers[:1],
            "aggregate",
            is_stream=self._context.is_stream,
        )
        for attempt in reply.attempts:
            yield attempt
        why = fault(reply, options)
        events = rounds.given(reply) if why is None else rounds.whole(f"asked whole: the aggregator: {why}")
        async for event in events:
            yield event
