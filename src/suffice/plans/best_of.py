"""Several answers of one model, drawn side by side; one of them is given.

References
----------
Wang et al. (2023), Self-Consistency, for the majority among final answers; Kang et al. (2025), Scalable
Best-of-N Selection via Self-Certainty, for the answer whose tokens are surest. Departures: of self-certainty
only what the returned log-probabilities say is used, not the whole vocabulary; drawing stops as soon as the
answers still to come cannot change the vote.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from time import perf_counter
from typing import Final, Literal

import msgspec

from suffice.errors import AllAttemptsFailed, ConfigError, ProviderError
from suffice.plans.asking import (
    AskedForLogprobs,
    Reply,
    as_finished,
    ask,
    narrowed,
    one_answer_only,
    predicted_usd,
)
from suffice.plans.base import Event, Note, PlanContext, check_names
from suffice.plans.confidence import N_ALTERNATIVES, AnswerConfidence
from suffice.plans.probes.answers import answer_key
from suffice.plans.single import Single
from suffice.plans.spent import Spent
from suffice.plans.usable import fault
from suffice.protocols import Embedder, Estimate
from suffice.types import Attempt, Candidate, Decision, Options, Query

Select = Literal["majority", "certainty", "judge"]
_PROMPT: Final = """\
Question: {question}

{answers}

Which of these answers is the best? Reply with its number only."""
_MAX_CHARS: Final = 4_000
_NUMBER: Final = re.compile(r"\d+")


class BestOf:
    """The plan `best_of`: `n` answers of the model that the policy chose."""

    name = "best_of"

    def __init__(
        self,
        n: int = 5,
        select: Select = "majority",
        answers: str = "",
        temperature: float = 0.8,
        signal: str = "normalised_probability",
        judge: str | None = None,
        stop_early: bool = True,
    ) -> None:
        """
        Parameters
        ----------
        n : at least 2
        select : majority among final answers, the surest by `signal`, or what `judge` picks
        answers : which part of an answer counts when two are compared: number, choice, or empty for all
        temperature : where the client sets none
        signal : of `suffice.plans.confidence.SIGNALS`
        judge : a candidate

        Raises
        ------
        ValueError, ConfigError
            If a parameter is out of range, or a judge is missing or superfluous.
        """
        if n < 2:
            raise ValueError("n is at least 2; for one answer there is the plan `single`")
        if not temperature > 0:
            raise ValueError("temperature is above 0: without chance all answers are the same")
        if (judge is not None) != (select == "judge"):
            raise ConfigError("plan 'best_of': `judge` names who picks, and goes with `select: judge`")
        self.n, self.select, self.answers, self.temperature = n, select, answers, temperature
        self.judge, self.stop_early = judge, stop_early
        self.confidence = AnswerConfidence(signal)
        wanted = N_ALTERNATIVES if self.confidence.needs_alternatives else None
        self.asked = AskedForLogprobs(wanted)

    def prepare(self, *, path: Callable[[str], Path], embedder: Embedder, panel: Sequence[Candidate]) -> None:
        """Raises where the judge is not in the panel."""
        check_names(self.name, [self.judge], panel)

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """`n` calls at once: the cost of all, the time and (at least) the quality of one."""
        one = Single().estimate(query, decision)
        cost = None if one.cost_usd is None else one.cost_usd * self.n
        return msgspec.structs.replace(one, cost_usd=cost)

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Events of one query; chunks come after the answer was chosen.

        Raises
        ------
        AllAttemptsFailed
            When nobody answered, or the deadline passed.
        InvalidRequest
            When several answers were wanted.
        """
        one_answer_only(self.name, context.options)
        n = 1 if "tools" in query.needs else self._affordable(query, context)
        if n < 2:
            why = "calls of tools are not voted on" if n else "the cost limit has room for one answer"
            yield Note(f"one answer only: {why}")
            async for event in Single().run(query, context):
                yield event
            return
        drawing = _Drawing(self, query, context, n)
        async for event in drawing.draw():
            yield event
        usable = drawing.usable
        if not usable:
            yield Note(f"none of {n} answers can be given: asked once more, the next in the ranking first")
            rest = (*context.ranking[1:], context.ranking[0])
            reply = await ask(query, context, rest, drawing.deadline)
            for attempt in reply.attempts:
                yield attempt
            drawing.spent.add(reply.answer)
            reply = reply if reply.answer is not None else drawing.any_answer(reply)
        else:
            reply, why = await self._picked(drawing, usable)
            for attempt in drawing.spent.taken():
                yield attempt
            yield Note(why)
        answer, chunks = drawing.spent.settled(reply)
        yield answer
        for chunk in chunks:
            yield chunk

    def sampling(self, options: Options, place: int) -> Options:
        """The options of one of the draws, each with a seed of its own."""
        fields = dict(options.fields)
        fields.pop("n", None)
        seed = fields.get("seed")
        fields["seed"] = (seed if isinstance(seed, int) else 0) + place + 1
        if not fields.get("temperature"):
            fields["temperature"] = self.temperature
        return msgspec.structs.replace(options, fields=fields)

    def key(self, reply: Reply) -> str:
        """What of an answer counts."""
        assert reply.answer is not None
        return answer_key(reply.answer.content, self.answers)

    def _affordable(self, query: Query, context: PlanContext) -> int:
        limit = query.constraints.max_cost_usd
        if limit is None:
            return self.n
        cost = predicted_usd(context.decision, context.ranking[0])
        return 1 if cost is None else self.n if cost <= 0 else min(self.n, int(float(limit) / cost))

    async def _picked(self, drawing: _Drawing, usable: Sequence[Reply]) -> tuple[Reply, str]:
        """One of the answers, and why."""
        if self.select == "certainty":
            sure = [self.confidence.of(one.answer)[0] for one in usable if one.answer is not None]
            known = [(value, -place) for place, value in enumerate(sure) if value is not None]
            if known:
                value, place = max(known)
                return usable[-place], f"the surest of {len(usable)} ({self.confidence.signal} {value:.3g})"
        votes = Counter(map(self.key, usable))
        if self.select == "judge" and len(votes) > 1:
            found = await drawing.judged(usable)
            if found is not None:
                return found, f"{self.judge} picked one of {len(usable)}"
        said, most = votes.most_common(1)[0]
        first = next(one for one in usable if self.key(one) == said)
        other = "" if self.select == "majority" or len(votes) == 1 else f"; no word of {self.select}"
        return first, f"{most} of {len(usable)} agree{other}"


class _Drawing:
    """The answers of one query."""

    def __init__(self, plan: BestOf, query: Query, context: PlanContext, n: int) -> None:
        self._plan, self._query, self._n = plan, query, n
        if plan.select == "certainty":
            context = msgspec.structs.replace(context, models=plan.asked.of(context.models))
        self._context = context
        self.deadline = perf_counter() + context.timeout_s
        self.spent = Spent()
        self._replies: dict[int, Reply] = {}
        self._usable: dict[int, Reply] = {}

    @property
    def usable(self) -> list[Reply]:
        """In the order of their seeds."""
        return [self._usable[place] for place in sorted(self._usable)]

    async def draw(self) -> AsyncIterator[Event]:
        """All at once; those under way are cancelled when they can change nothing more."""
        name = self._context.ranking[0]
        calls = [self._one(name, place) for place in range(self._n)]
        async with aclosing(as_finished(calls)) as replies:
            async for place, reply in replies:
                self._replies[place] = reply
                self.spent.add(reply.answer)
                if fault(reply, self._context.options) is None:
                    self._usable[place] = reply
                for attempt in reply.attempts:
                    yield attempt
                if self._is_decided():
                    break
        for _ in range(self._n - len(self._replies)):
            yield self._cancelled(name)

    def any_answer(self, last: Reply) -> Reply:
        """An empty or refused one, where nobody gave another. Raises where there is none at all."""
        there = [reply for reply in self._replies.values() if reply.answer is not None]
        if there:
            return there[0]
        replies = [*self._replies.values(), last]
        error = next(reply.error for reply in reversed(replies) if reply.error is not None)
        raise AllAttemptsFailed([one for reply in replies for one in reply.attempts], error) from error

    async def judged(self, usable: Sequence[Reply]) -> Reply | None:
        """The answer that the judge names; None where it names none, or cannot be asked."""
        judge = self._plan.judge
        if judge is None or judge not in self._context.ranking:
            return None  # an answer about an image needs a judge who sees it
        shown = [one.answer.content[:_MAX_CHARS] for one in usable if one.answer is not None]
        listed = "\n\n".join(f"Answer {place}: {text}" for place, text in enumerate(shown, 1))
        prompt = _PROMPT.format(question=self._query.text, answers=listed)
        options = Options(fields={"max_tokens": 8, "temperature": 0})
        model = self.spent.watched(self._context.models[judge], "judge")
        left = narrowed(self._context, (judge,), self.deadline).timeout_s
        try:
            said = await model.answer(
                Query(text=prompt), msgspec.structs.replace(options, timeout_s=max(left, 0.001))
            )
        except ProviderError:
            return None
        number = _NUMBER.search(said.content)
        place = int(number[0]) - 1 if number else -1
        return usable[place] if 0 <= place < len(usable) else None

    async def _one(self, name: str, place: int) -> Reply:
        options = self._plan.sampling(self._context.options, place)
        return await ask(self._query, self._context, (name,), self.deadline, role="sample", options=options)

    def _is_decided(self) -> bool:
        """Whether the answers still to come cannot change who wins."""
        left = self._n - len(self._replies)
        if not left or not self._plan.stop_early or self._plan.select != "majority":
            return False
        counts = [count for _, count in Counter(map(self._plan.key, self._usable.values())).most_common(2)]
        return bool(counts) and counts[0] - (counts[1] if len(counts) > 1 else 0) > left

    def _cancelled(self, name: str) -> Attempt:
        """A call that was cut: nobody reports its cost, so it counts as much as the dearest that ended."""
        costs = [reply.answer.cost_usd for reply in self._replies.values() if reply.answer is not None]
        known = [cost for cost in costs if cost is not None]
        cost = max(known) if known else None
        self.spent.estimate(cost)
        took = perf_counter() - self.spent.start
        return Attempt(candidate=name, latency_s=took, cost_usd=cost, role="cancelled")
