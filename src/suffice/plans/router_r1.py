"""A policy thinks, asks models one after the other, and answers: Router-R1, with any candidate as the policy.

What is said and understood is in `thinking`; here calls are made, and counted against the caps. A policy that
was trained for this (`suffice.distillation.learn_to_route`) is a candidate like any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

from suffice.plans.asking import Reply, one_answer_only
from suffice.plans.base import Event, Note, PlanContext, check_names
from suffice.plans.composed import composed
from suffice.plans.rounds import Rounds, inner, transcript
from suffice.plans.thinking import STOPS, Finish, Search, Thread
from suffice.plans.usable import fault
from suffice.protocols import Embedder, Estimate
from suffice.types import Attempt, Candidate, Decision, Options, Query

_MOST_CHARS: Final = 4_000
"""Of what a model said, for the policy to read."""


class RouterR1:
    """The plan `router_r1`."""

    name = "router_r1"

    def __init__(
        self,
        policy: str | None = None,
        models: list[str] | None = None,
        descriptions: dict[str, str] | None = None,
        max_steps: int = 4,
        max_tokens: int = 512,
        call_timeout_s: float = 60.0,
        max_cost_usd: float | None = None,
    ) -> None:
        """
        Parameters
        ----------
        policy : the candidate that thinks; None: the first of the ranking
        models : candidates that may be asked; None: all of the ranking
        descriptions : candidate -> what it is good at, for the policy to read
        max_steps : replies of the policy, its answer among them, at least 2
        max_tokens : of each
        call_timeout_s : a model that takes longer is not waited for
        max_cost_usd : for one query, by predicted costs; the policy's next reply is kept back

        Raises
        ------
        ValueError
            If a parameter is out of range.
        """
        given: object = models  # a file says what it likes
        if isinstance(given, str):
            raise ValueError("models is a list of names")
        if max_steps < 2 or max_tokens < 1:
            raise ValueError("max_steps is at least 2, and max_tokens at least 1")
        if not call_timeout_s > 0 or (max_cost_usd is not None and max_cost_usd < 0):
            raise ValueError("call_timeout_s is above 0, max_cost_usd is not below")
        self.policy, self.models = policy, None if models is None else tuple(models)
        self.descriptions: Mapping[str, str] = dict(descriptions or {})
        self.max_steps, self.max_tokens = max_steps, max_tokens
        self.call_timeout_s, self.max_cost_usd = call_timeout_s, max_cost_usd

    def prepare(self, *, path: Callable[[str], Path], embedder: Embedder, panel: Sequence[Candidate]) -> None:
        """Raises where a candidate is not in the panel."""
        check_names(self.name, [self.policy, *(self.models or ()), *self.descriptions], panel)

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """Unknown: whom the policy asks is known once it has thought."""
        return Estimate(quality=float("nan"))

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Events of one query; chunks come after the policy answered.

        Where it does not within the caps, or fails, the query is asked whole, by the router's ranking.

        Raises
        ------
        AllAttemptsFailed
            When nobody answered, or the deadline passed.
        InvalidRequest
            When several answers were wanted.
        """
        one_answer_only(self.name, context.options)
        rounds = Rounds(query, context, self.max_cost_usd)
        if query.needs & {"tools", "vision"}:  # a question in words shows no image
            why = "requests with tools or images are not thought about: the first of the ranking alone"
            async for event in rounds.alone(why):
                yield event
            return
        loop = _Loop(self, rounds)
        async for event in loop.follow():
            yield event
        found = loop.answer
        events = rounds.whole(f"asked whole: {loop.wrong}") if found is None else rounds.given(found)
        async for event in events:
            yield event


class _Loop:
    """One query under way."""

    def __init__(self, plan: RouterR1, rounds: Rounds) -> None:
        self._plan, self._rounds = plan, rounds
        ranking = rounds.context.ranking
        self._policy = next((name for name in ranking if name == plan.policy), ranking[0])
        names = [name for name in ranking if plan.models is None or name in plan.models]
        self._thread = Thread(
            transcript(rounds.query.chat()),
            names,
            max_steps=plan.max_steps,
            descriptions=plan.descriptions,
        )
        self._known: dict[Search, str] = {}
        self.answer: Reply | None = None
        self.wrong = f"{self._policy} gave no answer in {plan.max_steps} steps"

    async def follow(self) -> AsyncIterator[Event]:
        """Until the policy answers: `answer`; else `wrong` says why there is none."""
        thread, rounds, options = self._thread, self._rounds, self._rounds.context.options
        think = inner(options, max_tokens=self._plan.max_tokens, stop=list(STOPS))
        while not thread.is_over:
            if not rounds.has_room(rounds.expected_usd(self._policy)):
                self.wrong = "the cost limit has no room for another step"
                return
            asked = Query(text=thread.messages[-1]["content"], messages=tuple(thread.messages))
            reply = await rounds.ask(asked, (self._policy,), "think", options=think)
            for attempt in reply.attempts:
                yield attempt
            if reply.answer is None:
                self.wrong = f"{self._policy} failed ({type(reply.error).__name__})"
                return
            action = thread.take(reply.answer.content)
            if isinstance(action, Finish):
                made = composed(action.text, reply.answer, rounds.context)
                why = fault(made, options)
                self.answer, self.wrong = (made, "") if why is None else (None, f"{self._policy}: {why}")
                yield Note(f"{self._policy} answered in step {thread.n_steps}")
                return
            if isinstance(action, Search):
                for event in await self._search(action):
                    yield event
            else:
                yield Note(f"step {thread.n_steps}: {action.why}")
                thread.complain(action.why)

    async def _search(self, wish: Search) -> list[Note | Attempt]:
        """Ask the model, and tell the policy what came of it."""
        thread, rounds = self._thread, self._rounds
        if wish in self._known:
            thread.inform(self._known[wish])
            return [Note(f"step {thread.n_steps}: {wish.model} was asked the same before")]
        if thread.is_over:
            return [Note(f"step {thread.n_steps}: nobody could read what {wish.model} would say")]
        if not rounds.has_room(rounds.expected_usd(wish.model, self._policy)):
            thread.complain(f"{wish.model} is too dear for what is left", is_last=True)
            return [Note(f"step {thread.n_steps}: the cost limit has no room for {wish.model}")]
        reply = await rounds.ask(
            Query(text=wish.query, tags=rounds.query.tags, user=rounds.query.user),
            (wish.model,),
            "search",
            options=inner(rounds.context.options),
            until=perf_counter() + self._plan.call_timeout_s,
        )
        why = fault(reply, Options())
        if why is None and reply.answer is not None:
            self._known[wish] = reply.answer.content[:_MOST_CHARS]
            thread.inform(self._known[wish])
            return [*reply.attempts, Note(f"step {thread.n_steps}: asked {wish.model}")]
        thread.complain(f"{wish.model} gave no answer ({why})")
        return [*reply.attempts, Note(f"step {thread.n_steps}: {wish.model}: {why}")]
