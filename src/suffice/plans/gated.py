"""A gate, live: for every query it decides between memory, one look-up and several.

A gate that looks at the query alone decides before anybody is asked, and the candidate is chosen for the
prompt that comes of it. A gate that looks at answers has memory asked first, and holds that answer back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import Any, Final

import msgspec
import numpy as np

from suffice.cascades import Move, Seen
from suffice.errors import AllAttemptsFailed, ConfigError, ProviderError
from suffice.gating.cuts import budgeted
from suffice.plans.asking import AskedForLogprobs, Reply, narrowed
from suffice.plans.base import Event, Note, Plan, PlanContext
from suffice.plans.confidence import N_ALTERNATIVES
from suffice.plans.lookups import NO_RETRIEVAL
from suffice.plans.readings import Readings
from suffice.plans.rounds import Rounds, inner
from suffice.plans.spent import onward
from suffice.protocols import Estimate
from suffice.types import Answer, Chunk, Decision, FloatArray, Query, Retrieval

LIVE_NAMES: Final[Mapping[str, str]] = {"prefix_margin": "targ_margin", "prefix_entropy": "token_entropy"}
"""What a recording calls a reading of a draft, and the signal that reads it live."""
_WINDOW: Final = 512
_LEAST: Final = 8
"""Readings before a share of them means anything; until then the answer is looked up."""
Scores = Callable[[Sequence[Query]], FloatArray]


class Gated:
    """The stage `gate` of a pipeline: a rule over strategies, each of which is a plan."""

    name = "gated"

    def __init__(self, rule: Any, plans: Mapping[str, Plan], *, scores: Scores | None = None) -> None:
        """
        Parameters
        ----------
        rule : a gate (`suffice.gating.Gate`), fitted or made by hand
        plans : by strategy, "none" among them
        scores : (n, S), predicted quality of the rule's strategies, for a gate that reads them

        Raises
        ------
        ConfigError
            If a strategy of the rule has no plan, or one of its signals cannot be read live.
        """
        missing = [arm for arm in rule.arms if arm not in plans]
        if missing or NO_RETRIEVAL not in plans:
            raise ConfigError(
                f"the gate {rule.name!r} chooses between {', '.join(rule.arms)}; there is no plan for "
                f"{', '.join(missing) or NO_RETRIEVAL}"
            )
        if not getattr(rule, "higher_is_surer", True):
            raise ConfigError(
                f"the gate {rule.name!r} was fitted to a reading of which lower is surer; live signals are "
                "confidences: fit it to one"
            )
        self.rule, self.plans = rule, dict(plans)
        self._scores = scores
        self._live = {name: LIVE_NAMES.get(name, name) for name in rule.signals}
        self._readings = Readings(tuple(self._live.values())) if self._live else None
        self._drafting = AskedForLogprobs(N_ALTERNATIVES)
        self.cut = RunningCut(share) if (share := getattr(rule, "share", None)) is not None else None

    @property
    def looks_at_answers(self) -> bool:
        return bool(getattr(self.rule, "looks_at_answers", True))

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """That of memory: what a look-up brings is known once it is made."""
        return self.plans[NO_RETRIEVAL].estimate(query, decision)

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Events of one query; a stream begins once the strategy is final.

        Raises
        ------
        AllAttemptsFailed
            When nobody answered, or the deadline passed.
        """
        wanted, why = self._wanted(query, context)
        course = _Course(self, query, context)
        events = course.follow() if wanted is None else course.last(wanted, why)
        async with aclosing(events) as running:  # type: ignore[type-var]  # async generators
            async for event in running:
                yield event

    def _wanted(self, query: Query, context: PlanContext) -> tuple[str | None, str]:
        """The strategy where the gate is not asked, and why."""
        if context.retrieval is not None:
            if context.retrieval in self.plans:
                return context.retrieval, "the client's wish"
            return NO_RETRIEVAL, f"no plan for {context.retrieval!r}"
        if query.needs & {"tools", "vision"}:
            return NO_RETRIEVAL, "requests with tools or images are not gated"
        if self.looks_at_answers and context.options.fields.get("n") not in (None, 1):
            return NO_RETRIEVAL, "several answers are wanted, and this gate looks at one"
        return None, ""

    async def predicted(self, query: Query) -> FloatArray:
        """(S,), NaN where nobody predicts."""
        if self._scores is None:
            return np.full(len(self.rule.arms), np.nan)
        found = await asyncio.to_thread(self._scores, [query])
        return np.asarray(found[0])

    async def read(self, query: Query, answer: Answer, course: _Course) -> Mapping[str, float | None]:
        """The rule's readings of an answer."""
        if self._readings is None:
            return {}
        model = course.rounds.spent.watched(course.context.models[answer.candidate], "verify")
        left_s = max(course.rounds.deadline - perf_counter(), 0.0)
        found = await self._readings.read(tuple(self._live.values()), query, answer, model, timeout_s=left_s)
        return {name: found.get(live) for name, live in self._live.items()}

    def asking(self, context: PlanContext, *, drafts: bool) -> PlanContext:
        """The context whose models are asked for what the rule reads."""
        if self._readings is None:
            return context
        models = self._drafting.of(context.models) if drafts else self._readings.asking(context.models)
        return msgspec.structs.replace(context, models=models)

    async def next(self, query: Query, scores: FloatArray, seen: Sequence[Seen]) -> Move:
        """What the rule says; with a running cut where a share was given."""
        costs = np.full(len(self.rule.arms), np.nan)
        if self.cut is None or len(seen) != 1:
            if self.looks_at_answers and len(seen):
                return await asyncio.to_thread(self.rule.next, query, scores, costs, tuple(seen))
            move: Move = self.rule.next(query, scores, costs, tuple(seen))
            return move
        reading = seen[0].readings.get(self.rule.signal)
        cut, told = self.cut.saw(reading), self.rule.other_
        if reading is not None and reading >= cut:
            return Move(ask=None, accept=0, reason=f"{self.rule.signal} {reading:.3g}: kept")
        shown = "could not be read" if reading is None else f"{reading:.3g}, among the least sure"
        return Move(ask=told, accept=None, reason=f"{self.rule.signal} {shown}")


class RunningCut:
    """The cut that lets at most a share of the latest readings be looked up."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._latest: deque[float] = deque(maxlen=_WINDOW)

    def saw(self, reading: float | None) -> float:
        """The cut for this reading, with itself among the latest."""
        if reading is None:
            return float("inf")
        self._latest.append(reading)
        if len(self._latest) < _LEAST:
            return float("inf") if self._share > 0 else float("-inf")
        return budgeted(np.array(self._latest), self._share)


class _Course:
    """One query's way through the gate."""

    def __init__(self, gated: Gated, query: Query, context: PlanContext) -> None:
        self._gated, self._query, self.context = gated, query, context
        self.rounds = Rounds(query, context, None)
        self._replies: list[Reply] = []
        self._told: list[Retrieval] = []

    async def follow(self) -> AsyncIterator[Event]:
        """Do what the rule says."""
        gated, arms = self._gated, self._gated.rule.arms
        scores = await gated.predicted(self._query)
        seen: list[Seen] = []
        while True:
            move = await gated.next(self._query, scores, seen)
            is_draft = getattr(gated.rule, "draft_tokens", 0) > 0
            if move.ask is None and not is_draft:
                yield Note(f"gate: {move.reason}")
                async for event in self._give(move.accept or 0):
                    yield event
                return
            if is_draft and not seen:
                async for event in self._draft(seen):
                    yield event
                continue
            arm = arms[0] if move.ask is None else arms[move.ask]
            if is_draft or getattr(gated.rule, "gives_after", None) == len(seen) + 1:
                async for event in self.last(arm, move.reason):
                    yield event
                return
            yield Note(f"gate: {move.reason}")
            async for event in self._held(arm, seen):
                yield event

    async def last(self, arm: str, why: str) -> AsyncIterator[Event]:
        """The strategy whose answer is given; streamed as it comes."""
        plan, decision = self._gated.plans[arm], self.context.decision
        is_other = arm not in (NO_RETRIEVAL, "single") and decision is not None
        decision = msgspec.structs.replace(decision, plan=plan.name) if is_other and decision else None
        yield Note(f"gate: {why or arm}", retrieval=Retrieval(strategy=arm), decision=decision)
        own = narrowed(self.context, self.context.ranking, self.rounds.deadline)
        own = msgspec.structs.replace(own, retrieval=None)
        async with aclosing(onward(self.rounds.spent, plan.run(self._query, own))) as events:  # type: ignore[type-var]
            async for event in events:
                yield self._summed(event)

    async def _draft(self, seen: list[Seen]) -> AsyncIterator[Event]:
        """A few tokens from memory, which are read and thrown away."""
        gated = self._gated
        self.rounds.context = gated.asking(self.context, drafts=True)
        reply = await self.rounds.ask(
            self._query,
            self.context.ranking,
            "draft",
            options=inner(self.context.options, max_tokens=gated.rule.draft_tokens),
        )
        self.rounds.context = self.context
        for attempt in reply.attempts:
            yield attempt
        values: Mapping[str, float | None] = dict.fromkeys(gated.rule.signals)
        text = ""
        if reply.answer is not None:
            text = reply.answer.content
            values = await gated.read(self._query, reply.answer, self)
        seen.append(Seen(0, values, text))

    async def _held(self, arm: str, seen: list[Seen]) -> AsyncIterator[Event]:
        """A strategy's answer, read and held back."""
        gated, place = self._gated, self._gated.rule.arms.index(arm)
        own = narrowed(gated.asking(self.context, drafts=False), self.context.ranking, self.rounds.deadline)
        answer: Answer | None = None
        chunks: list[Chunk] = []
        told = Retrieval(strategy=arm)
        error: ProviderError | None = None
        try:
            async with aclosing(gated.plans[arm].run(self._query, own)) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, Answer):
                        answer = event
                    elif isinstance(event, Chunk):
                        chunks.append(event)
                    elif isinstance(event, Note):
                        told = event.retrieval or told
                        yield msgspec.structs.replace(event, retrieval=None)
                    else:
                        self.rounds.saw(event)
                        yield event
        except AllAttemptsFailed as failed:
            error = failed.last
        except ProviderError as broken:
            error = broken
        self.rounds.spent.add(answer)
        self._told.append(told)
        self._replies.append(Reply(answer=answer, chunks=tuple(chunks), error=error))
        values: Mapping[str, float | None] = dict.fromkeys(gated.rule.signals)
        if answer is not None and gated.rule.signals:
            values = await gated.read(self._query, answer, self)
            for attempt in self.rounds.spent.taken():
                yield attempt
        seen.append(Seen(place, values, "" if answer is None else answer.content))

    async def _give(self, place: int) -> AsyncIterator[Event]:
        """A held answer: that which was accepted, or any that came where it failed."""
        came = [at for at, reply in enumerate(self._replies) if reply.answer is not None]
        at = place if place in came else (came[-1] if came else place)
        yield self._summed(Note(retrieval=self._told[at]), is_held=True)
        async for event in self.rounds.given(self._replies[at]):
            yield event

    def _summed(self, event: Event, *, is_held: bool = False) -> Event:
        """A note on look-ups, with those of strategies before."""
        if not isinstance(event, Note) or event.retrieval is None:
            return event
        told = event.retrieval
        n_before = sum(one.n_lookups for one in self._told)
        n = n_before if is_held else n_before + told.n_lookups
        return msgspec.structs.replace(event, retrieval=msgspec.structs.replace(told, n_lookups=n))
