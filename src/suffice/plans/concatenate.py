"""Questions that come at the same time are asked in one call, as far as they may be.

References
----------
Chen et al. (2023), FrugalGPT, section 3: "query concatenation". Departures: questions wait for one another
for a moment only; an answer that is empty or a refusal is asked for singly, and where the reply is no list of
as many answers, all are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import blake2b
from time import perf_counter
from typing import Any, Final

import msgspec

from suffice.errors import ProviderTimeout
from suffice.plans.asking import Reply, ask, one_answer_only, with_role
from suffice.plans.base import Event, Note, PlanContext
from suffice.plans.composed import composed
from suffice.plans.joint import apart, joined, shared_usage, shared_usd, widened
from suffice.plans.single import Single
from suffice.plans.spent import shown, total, with_usage
from suffice.protocols import Estimate
from suffice.types import Answer, Attempt, Chunk, Decision, Query

_NO_MATTER: Final = frozenset({"stream", "stream_options", "user", "metadata"})


class Concatenate:
    """The plan `concatenate`."""

    name = "concatenate"

    def __init__(self, size: int = 4, wait_s: float = 0.05, max_characters: int = 2_000) -> None:
        """
        Parameters
        ----------
        size : questions in one call, at least 2
        wait_s : how long the first one waits for others
        max_characters : a longer question is asked by itself

        Raises
        ------
        ValueError
            If a parameter is out of range.
        """
        if size < 2 or not wait_s > 0 or max_characters < 1:
            raise ValueError("size is at least 2, max_characters at least 1, wait_s above 0")
        self.size, self.wait_s, self.max_characters = size, wait_s, max_characters
        self._open: dict[bytes, _Group] = {}

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """Of one call: at most that, and a moment more."""
        return Single().estimate(query, decision)

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Events of one query; chunks come when the answer is whole.

        Raises
        ------
        AllAttemptsFailed
            When nobody answered, or the deadline passed.
        ProviderError
            When a stream of a question that was asked singly broke after its first content.
        InvalidRequest
            When several answers were wanted.
        """
        one_answer_only(self.name, context.options)
        why = self._alone(query, context)
        found: _Part | None = None
        if why is None:
            found = await self._together(query, context)
            why = found.why
            if found.attempt is not None:
                yield found.attempt
            if found.reply is not None:
                yield Note(f"asked together with {found.n - 1} others")
                assert found.reply.answer is not None
                yield found.reply.answer
                for chunk in found.reply.chunks:
                    yield chunk
                return
        yield Note(f"asked singly: {why}")
        async for event in Single().run(query, context):
            yield event if found is None else found.added_to(event)

    def _alone(self, query: Query, context: PlanContext) -> str | None:
        """Why a query cannot be asked with others; None: it can."""
        if query.needs or context.options.wants_logprobs or context.options.fields.get("response_format"):
            return "it wants more than a text"
        last = query.chat()[-1]
        if last.get("role") != "user" or not isinstance(last.get("content"), str):
            return "its last message is not a user's text"
        return "it is long" if len(last["content"]) > self.max_characters else None

    async def _together(self, query: Query, context: PlanContext) -> _Part:
        key = _key(query, context)
        group = self._open.get(key)
        if group is None:
            group = self._open[key] = _Group(self, key, query, context)
        place = group.join(str(query.chat()[-1]["content"]))
        try:
            await asyncio.wait({group.task})
        finally:
            group.leave()
        return group.part(place, context)

    def close(self, key: bytes, group: _Group) -> None:
        """Nobody joins that group any more."""
        if self._open.get(key) is group:
            del self._open[key]


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a call for several came to for one of them."""

    n: int = 1
    attempt: Attempt | None = None
    reply: Reply | None = None
    why: str = "nobody else asked at that moment"
    spent: Answer | None = None
    """Its share of a call that gave it no answer."""

    def added_to(self, event: Event) -> Event:
        """What it got singly, with what both calls took."""
        if self.spent is None or not isinstance(event, Answer | Chunk) or event.usage is None:
            return event
        usage = total([self.spent.usage, event.usage])
        if isinstance(event, Chunk):
            return shown(event, usage)
        costs = self.spent.cost_usd, event.cost_usd
        cost = None if costs[0] is None or costs[1] is None else costs[0] + costs[1]
        body = None if event.body is None else with_usage(event.body, usage)
        return msgspec.structs.replace(event, usage=usage, cost_usd=cost, body=body)


class _Group:
    """Queries of one caller with the same conversation before the last message, asked for in the same way."""

    def __init__(self, plan: Concatenate, key: bytes, query: Query, context: PlanContext) -> None:
        self._plan, self._key, self._query, self._context = plan, key, query, context
        self._texts: list[str] = []
        self._n_waiting = 0
        self._is_full = asyncio.Event()
        self._deadline = perf_counter() + context.timeout_s
        self.task = asyncio.ensure_future(self._work())

    def join(self, text: str) -> int:
        """The place of one more question."""
        self._texts.append(text)
        self._n_waiting += 1
        if len(self._texts) == self._plan.size:
            self._plan.close(self._key, self)
            self._is_full.set()
        return len(self._texts) - 1

    def leave(self) -> None:
        """One who waited is gone; the call ends with the last."""
        self._n_waiting -= 1
        if not self._n_waiting:
            self._plan.close(self._key, self)
            self.task.cancel()

    async def _work(self) -> Reply | None:
        try:
            await asyncio.wait_for(self._is_full.wait(), self._plan.wait_s)
        except TimeoutError:
            self._plan.close(self._key, self)
        if len(self._texts) < 2:
            return None
        options = widened(self._context.options, len(self._texts))
        query = joined(self._query, self._texts)
        names = self._context.ranking[:1]
        return await ask(
            query, self._context, names, self._deadline, role="joint", options=options, is_stream=False
        )

    def part(self, place: int, context: PlanContext) -> _Part:
        """What it came to for the question at that place."""
        n = len(self._texts)
        reply = Reply(error=ProviderTimeout("cancelled")) if self.task.cancelled() else self.task.result()
        if reply is None:
            return _Part()
        attempt = reply.attempts[-1] if reply.attempts else None
        if reply.answer is None:
            failed = attempt if place == 0 else None
            return _Part(n=n, attempt=failed, why=f"the joint call failed ({type(reply.error).__name__})")
        cost = shared_usd(reply.answer.cost_usd, n)[place]
        share = msgspec.structs.replace(
            reply.answer, cost_usd=cost, usage=shared_usage(reply.answer.usage, n)[place]
        )
        if attempt is not None:
            attempt = with_role(msgspec.structs.replace(attempt, cost_usd=cost), "joint")
        texts = apart(reply.answer.content, n)
        text = None if texts is None else texts[place]
        if text is None:
            why = f"no list of {n} answers" if texts is None else "no answer to this one"
            return _Part(n=n, attempt=attempt, why=f"the joint call gave {why}", spent=share)
        return _Part(n=n, attempt=attempt, reply=composed(text, share, context))


def _key(query: Query, context: PlanContext) -> bytes:
    """What queries must share to be asked together: the caller above all."""
    fields: dict[str, Any] = {
        name: value for name, value in context.options.fields.items() if name not in _NO_MATTER
    }
    before = list(query.chat()[:-1])
    parts = (context.caller, query.user, query.session, query.constraints, before, context.ranking[0], fields)
    return blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=16).digest()
