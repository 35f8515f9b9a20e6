"""One query on its way through a mixture: proposals side by side, then the synthesis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from suffice.errors import AllAttemptsFailed
from suffice.plans.aggregation import BYTES_PER_TOKEN, trimmed, with_proposals
from suffice.plans.asking import Reply, as_finished, ask, narrowed, predicted_usd, with_role
from suffice.plans.base import Event, Note, PlanContext
from suffice.plans.single import Single
from suffice.plans.spent import Spent, shown, total
from suffice.plans.structured import wants_json
from suffice.plans.usable import fault
from suffice.types import Answer, Attempt, Chunk, Options, Query

if TYPE_CHECKING:
    from suffice.plans.mixture import Mixture


class Mixing:
    """One query under way."""

    def __init__(self, plan: Mixture, query: Query, context: PlanContext) -> None:
        self._plan, self._query, self._context = plan, query, context
        self._deadline = perf_counter() + context.timeout_s
        self._spent = Spent()
        self._proposals: list[Reply] = []
        """Usable ones of the last layer that had any."""
        self._texts: list[str] = []
        """What the aggregator has still to read."""
        self._attempts: list[Attempt] = []
        limits = [plan.max_cost_usd, query.constraints.max_cost_usd]
        self._limit_usd = min((float(limit) for limit in limits if limit is not None), default=None)

    async def alone(self) -> AsyncIterator[Event]:
        """As the plan `single`."""
        yield Note("calls of tools are not mixed: the first of the ranking alone")
        async for event in Single().run(self._query, self._context):
            yield event

    async def mix(self) -> AsyncIterator[Event]:
        """Propose, layer by layer; then aggregate."""
        names = self._within_limit(self._plan.named(self._context.ranking))
        for _ in range(self._plan.layers):
            async for event in self._layer(names):
                yield event
            names = self._within_limit(names)
        if not self._proposals:
            yield Note("nobody proposed anything: the ranking, one after the other")
        self._texts = _texts(self._proposals)
        writers = self._writers()
        if not writers:
            yield Note("the cost limit has no room for an aggregator: the first proposal")
            async for event in self._given(self._proposals[0]):
                yield event
            return
        async for event in self._condensed(writers):
            yield event
        asked, note = self._asked(self._texts, writers[0])
        if note is not None:
            yield note
        is_live = self._context.is_stream and not wants_json(self._context.options)
        written = self._live(asked, writers) if is_live else self._held(asked, writers)
        async for event in written:
            yield event

    async def _layer(self, names: Sequence[str]) -> AsyncIterator[Event]:
        query = with_proposals(self._query, _texts(self._proposals)) if self._proposals else self._query
        until = min(self._deadline, perf_counter() + self._plan.proposer_timeout_s)
        calls = [
            ask(query, self._context, (name,), until, role="propose", options=self._sampling(names, place))
            for place, name in enumerate(names)
        ]
        found: dict[int, Reply] = {}
        async with aclosing(as_finished(calls)) as replies:
            async for place, reply in replies:
                self._spent.add(reply.answer)
                self._attempts += reply.attempts
                for attempt in reply.attempts:
                    yield attempt
                why = fault(reply, self._context.options)
                if why is None:
                    found[place] = reply
                else:
                    yield Note(f"proposer {names[place]}: {why}")
        self._proposals = [found[place] for place in sorted(found)] or self._proposals

    def _sampling(self, names: Sequence[str], place: int) -> Options:
        """A proposer that is asked several times is drawn, each time with another seed."""
        options = self._context.options
        if names.count(names[place]) == 1:
            return options
        fields = dict(options.fields)
        seed = fields.get("seed")
        fields["seed"] = (seed if isinstance(seed, int) else 0) + place + 1
        if not fields.get("temperature"):
            fields["temperature"] = self._plan.temperature
        return msgspec.structs.replace(options, fields=fields)

    async def _condensed(self, writers: Sequence[str]) -> AsyncIterator[Event]:
        """Sequentially down to one window; a synthesis that fails leaves the first of its proposals."""
        window = self._plan.window
        while window is not None and len(self._texts) > window:
            asked, note = self._asked(self._texts[:window], writers[0])
            if note is not None:
                yield note
            reply = await ask(
                asked, self._context, writers, self._deadline, role="aggregate", is_stream=False
            )
            self._spent.add(reply.answer)
            self._attempts += reply.attempts
            for attempt in reply.attempts:
                yield attempt
            is_good = fault(reply, self._context.options) is None
            self._texts = [*(_texts([reply]) if is_good else self._texts[:1]), *self._texts[window:]]

    def _asked(self, texts: Sequence[str], writer: str) -> tuple[Query, Note | None]:
        """What the aggregator is asked, and whether proposals were cut for it."""
        if not texts:
            return self._query, None
        candidate = self._context.models[writer].candidate
        kept, share = trimmed(texts, self._query, candidate, self._context.options)
        note = Note(f"proposals were cut to {share} bytes each, which {writer} can read") if share else None
        return with_proposals(self._query, kept), note

    async def _live(self, asked: Query, writers: Sequence[str]) -> AsyncIterator[Event]:
        """The aggregator's stream as it comes, with usage and cost of all calls at its end."""
        left = list(writers)
        has_begun = is_empty = False
        held: list[Chunk] = []
        """What came before anything was said: an answer that stays empty is not given."""
        try:
            async for event in Single().run(asked, narrowed(self._context, writers, self._deadline)):
                if isinstance(event, Attempt):
                    self._attempts.append(event)
                    if event.error is not None and event.candidate in left:
                        left.remove(event.candidate)
                    yield with_role(event, "aggregate")
                elif isinstance(event, Chunk):
                    held.append(event)
                    if is_empty or not (has_begun or event.has_content or not self._proposals):
                        continue
                    if not has_begun:
                        has_begun = True
                        yield Note(candidate=(left or writers)[0])
                    for chunk in held:
                        yield self._summed(chunk)
                    held.clear()
                elif isinstance(event, Answer):
                    began = perf_counter() - self._spent.start - event.latency_s
                    first = None if event.first_token_s is None else began + event.first_token_s
                    self._spent.add(event)
                    is_empty = not has_begun and bool(self._proposals)
                    if is_empty:
                        yield Note("aggregator: empty; the first proposal")
                        async for given in self._given(self._proposals[0]):
                            yield given
                        continue
                    whole, _ = self._spent.settled(Reply(answer=event))
                    yield msgspec.structs.replace(whole, first_token_s=first)
        except AllAttemptsFailed as failed:
            async for event in self._unwritten(failed):
                yield event

    def _summed(self, chunk: Chunk) -> Chunk:
        if chunk.usage is None or not self._spent.has_answers:
            return chunk
        return shown(chunk, total([self._spent.usage, chunk.usage]))

    async def _held(self, asked: Query, writers: Sequence[str]) -> AsyncIterator[Event]:
        """The aggregator's answer, given if it is usable; else the best proposal."""
        reply = await ask(asked, self._context, writers, self._deadline, role="aggregate")
        self._spent.add(reply.answer)
        self._attempts += reply.attempts
        for attempt in reply.attempts:
            yield attempt
        why = fault(reply, self._context.options)
        if why is not None and self._proposals:
            yield Note(f"aggregator: {why}; the first proposal")
            reply = self._proposals[0]
        if reply.answer is None:
            assert reply.error is not None
            raise AllAttemptsFailed(self._attempts, reply.error) from reply.error
        async for event in self._given(reply):
            yield event

    async def _unwritten(self, failed: AllAttemptsFailed) -> AsyncIterator[Event]:
        if not self._proposals:
            raise AllAttemptsFailed(self._attempts, failed.last) from failed.last
        yield Note(f"aggregator: failed ({type(failed.last).__name__}); the first proposal")
        async for event in self._given(self._proposals[0]):
            yield event

    async def _given(self, reply: Reply) -> AsyncIterator[Event]:
        answer, chunks = self._spent.settled(reply)
        yield answer
        for chunk in chunks:
            yield chunk

    def _writers(self) -> list[str]:
        """The aggregator and, behind it, the others of the ranking; those within the limit."""
        first = self._plan.writer(self._context.ranking)
        order = [first, *(name for name in self._context.ranking if name != first)]
        if self._limit_usd is None or not self._texts:
            return order
        room = self._limit_usd - self._spent.known_usd
        expected = {name: self._expected_usd(name) for name in order}
        return [name for name, cost in expected.items() if cost is not None and cost <= room]

    def _expected_usd(self, name: str) -> float | None:
        """The predicted cost of an answer, and of reading the proposals."""
        cost = predicted_usd(self._context.decision, name)
        price = self._context.models[name].candidate.price.input_usd_per_mtok
        if cost is None or price is None:
            return cost
        return cost + sum(map(len, self._texts)) / BYTES_PER_TOKEN * float(price) / 1e6

    def _within_limit(self, names: Sequence[str]) -> list[str]:
        """The first proposers whose predicted costs, with the aggregator's, keep to the limit."""
        if self._limit_usd is None:
            return list(names)
        writer = self._plan.writer(self._context.ranking)
        last = predicted_usd(self._context.decision, writer) or 0.0
        left = self._limit_usd - self._spent.known_usd - last
        kept = []
        for name in names:
            cost = predicted_usd(self._context.decision, name)
            if cost is not None and cost <= left:
                left -= cost
                kept.append(name)
        return kept


def _texts(replies: Sequence[Reply]) -> list[str]:
    return [reply.answer.content for reply in replies if reply.answer is not None]
