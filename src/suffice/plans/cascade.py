"""A fitted cascade, live: ask, read the answer, ask on or accept.

The rule is of `suffice.cascades`; here models are called, signals read and streams held back until an
answer is accepted. An empty answer, a refusal, a failed call or JSON of another shape than was wanted is
never accepted while somebody else can be asked: first whom the rule names, then the router's own ranking.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import msgspec
import numpy as np

from suffice import cascades, routers
from suffice.cascades import Seen
from suffice.cascades.frugalgpt.reader import READER
from suffice.errors import AllAttemptsFailed, ConfigError, ProviderRejected, ProviderTimeout
from suffice.plans.asking import Reply, ask, one_answer_only, predicted_usd
from suffice.plans.base import Event, Note, PlanContext, check_names
from suffice.plans.completions import CacheSettings, Completions
from suffice.plans.composed import composed
from suffice.plans.examples import adapted
from suffice.plans.probes.verification import FREE, GROUNDED, Verification
from suffice.plans.readings import Readings, VerificationSettings, probes_of
from suffice.plans.spent import Spent
from suffice.plans.usable import calls_tools, fault
from suffice.protocols import Embedder, Estimate
from suffice.types import Answer, Attempt, Candidate, Decision, FloatArray, Query, Usage


class CascadePlan:
    """The plan `cascade`."""

    name = "cascade"

    def __init__(
        self,
        path: str,
        n_samples: int = 5,
        temperature: float = 0.8,
        answers: str = "",
        verification: dict[str, Any] | None = None,
        examples: dict[str, int] | None = None,
        cache: dict[str, Any] | None = None,
    ) -> None:
        """
        Parameters
        ----------
        path : the directory that `suffice cascade fit --out` wrote
        n_samples, temperature : of signals that draw further answers
        answers : which part of an answer counts when two are compared: number, choice, or empty for all
        verification : `k`, `temperature`, `max_tokens`, and files with prompts: `grounded`, `free`
        examples : by candidate, how many of a prompt's solved examples it is shown (`suffice.plans.examples`)
        cache : `entries`, `ttl_s`: accepted answers are given again where the same is asked; None keeps none

        Raises
        ------
        ConfigError
            If something else stands under `verification`, `examples` or `cache`.
        """
        self.path, self.n_samples, self.temperature, self.answers = path, n_samples, temperature, answers
        self.verification = _read(verification or {}, VerificationSettings, "verification")
        self.examples = _read(examples or {}, dict[str, Annotated[int, msgspec.Meta(ge=0)]], "examples")
        self._cache = None if cache is None else Completions(_read(cache, CacheSettings, "cache"))
        self.embedder: Embedder | None = None
        """Tells which examples are near."""

    def prepare(self, *, path: Callable[[str], Path], embedder: Embedder, panel: Sequence[Candidate]) -> None:
        """Load the rule; raises where its models are not in the panel, or a signal cannot be read live."""
        directory = path(self.path)
        inside = directory / READER
        reader = routers.load(inside, embedder=embedder) if inside.is_dir() else None
        self.use(cascades.load_cascade(directory, embedder=embedder, reader=reader), path)
        check_names(self.name, [*self.rule.arms, *self.examples], panel)
        self.embedder = embedder

    def use(self, rule: cascades.Cascade, path: Callable[[str], Path] = Path) -> CascadePlan:
        """Drive this rule."""
        self.rule = rule
        self._readings = Readings(
            rule.signals,
            n_samples=self.n_samples,
            temperature=self.temperature,
            answers=self.answers,
            verification=_verification(self.verification, path),
        )
        return self

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """Unknown: how far it goes is known once an answer is there."""
        return Estimate(quality=float("nan"))

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Events of one query; chunks come after the answer was accepted.

        Raises
        ------
        AllAttemptsFailed
            When nobody answered, or the deadline passed.
        InvalidRequest
            When several answers were wanted.
        """
        one_answer_only(self.name, context.options)
        key = None if self._cache is None else self._cache.key(query, context)
        known = None if self._cache is None or key is None else self._cache.get(key)
        if known is not None:
            for event in _again(known, context):
                yield event
            return
        course = _Course(self.rule, self._readings, query, context, self._shown)
        async for event in course.follow():
            yield event
        if course.chosen is None:
            async for event in course.fall_back():
                yield event
        for note in course.notes:
            yield Note(note)
        answer, chunks = course.spent.settled(course.best())
        if self._cache is not None and key is not None and course.chosen is not None:
            self._cache.put(key, answer)
        yield answer
        for chunk in chunks:
            yield chunk

    def _shown(self, query: Query, name: str) -> Query:
        """The query as that candidate is shown it."""
        if name not in self.examples or self.embedder is None:
            return query
        return adapted(query, self.examples[name], self.embedder)


class _Course:
    """One query's way through a cascade."""

    def __init__(
        self,
        rule: cascades.Cascade,
        readings: Readings,
        query: Query,
        context: PlanContext,
        shown: Callable[[Query, str], Query],
    ) -> None:
        self._shown = shown
        self._rule, self._readings, self._query = rule, readings, query
        models = readings.asking(context.models)
        self._context = msgspec.structs.replace(context, models=models)
        self._deadline = perf_counter() + context.timeout_s
        self._scores = _row(context.decision, rule.arms, "scores")
        self._scores[[arm not in context.ranking for arm in rule.arms]] = 0.0
        self._costs = _row(context.decision, rule.arms, "costs_usd")
        self._asked: set[str] = set()
        self._replies: list[tuple[Reply, bool]] = []
        """Those that came, and whether they are usable."""
        self._attempts: list[Attempt] = []
        self._n_refused = 0
        self.spent = Spent()
        self._second: Reply | None = None
        """An earlier answer that the rule fell back on when the next one failed."""
        self.chosen: Reply | None = None
        self.notes: list[str] = []

    async def follow(self) -> AsyncIterator[Event]:
        """Do what the rule says; ends with `chosen`, or without where what it accepts cannot be given."""
        seen: list[Seen] = []
        found: list[Reply | None] = []
        arms = self._rule.arms
        for _ in range(len(arms) + 1):
            move = await asyncio.to_thread(
                self._rule.next, self._query, self._scores, self._costs, tuple(seen)
            )  # a learned scorer embeds the answers: not on the event loop
            if move.ask is None:
                self.notes.append(move.reason)
                accepted = found[move.accept] if move.accept is not None and found else None
                has_failed = bool(self._replies) and not self._replies[-1][1]
                self._second = accepted if has_failed else None
                self.chosen = None if has_failed else accepted
                return
            name = arms[move.ask]
            if not self._may(name):
                self._scores[move.ask] = 0.0
                seen.append(Seen(move.ask, dict.fromkeys(self._rule.signals)))
                found.append(None)
                continue
            reply = await self._ask(name)
            for attempt in reply.attempts:
                yield attempt
            is_usable = self._kept(name, reply)
            if not is_usable:
                self._scores[move.ask] = 0.0  # it will not give a good answer any more
            values: Mapping[str, float | None] = dict.fromkeys(self._rule.signals)
            if is_usable:
                values = await self._read(move.ask, reply)
                for attempt in self.spent.taken():
                    yield attempt
            text = reply.answer.content if is_usable and reply.answer is not None else ""
            seen.append(Seen(move.ask, values, text))
            found.append(reply if is_usable else None)

    async def fall_back(self) -> AsyncIterator[Event]:
        """The router's own ranking, where what the rule accepted cannot be given."""
        for name in self._context.ranking:
            if not self._may(name) or self._n_refused >= 2:  # two refuse: the request's fault
                continue
            reply = await self._ask(name)
            for attempt in reply.attempts:
                yield attempt
            if self._kept(name, reply):
                self.chosen = reply
                self.notes.append(f"{name} is next in the ranking")
                return

    def best(self) -> Reply:
        """What is given: what was accepted, else the last usable answer, else the last one there is."""
        if self.chosen is not None or self._second is not None:
            found = self.chosen or self._second
            assert found is not None
            return found
        usable = [reply for reply, is_usable in self._replies if is_usable]
        there = [reply for reply, _ in self._replies if reply.answer is not None]
        if usable or there:
            self.notes.append("nobody is left to ask")
            return (usable or there)[-1]
        errors = [reply.error for reply, _ in self._replies if reply.error is not None]
        last = errors[-1] if errors else ProviderTimeout("the plan had no time or money to ask anybody")
        raise AllAttemptsFailed(self._attempts, last) from last

    async def _ask(self, name: str) -> Reply:
        self._asked.add(name)
        return await ask(self._shown(self._query, name), self._context, (name,), self._deadline)

    def _kept(self, name: str, reply: Reply) -> bool:
        """Whether the reply is usable; it is counted and kept either way."""
        why = fault(reply, self._context.options)
        self.spent.add(reply.answer)
        self._attempts += reply.attempts
        self._replies.append((reply, why is None))
        self._n_refused += isinstance(reply.error, ProviderRejected)
        if why is not None:
            self.notes.append(f"{name}: {why}")
        return why is None

    async def _read(self, arm: int, reply: Reply) -> Mapping[str, float | None]:
        """The arm's signals; those that cost calls only where an answer could lead to another."""
        assert reply.answer is not None
        wanted = cascades.signals_of(self._rule, arm)
        dear = float(reply.answer.cost_usd or 0) * self._readings.n_calls(wanted)
        if calls_tools(reply) or not any(self._may(name, dear) for name in self._rule.arms):
            wanted = tuple(name for name in wanted if not probes_of(name))
        values = await self._readings.read(
            wanted,
            self._query,
            reply.answer,
            self.spent.watched(self._context.models[self._rule.arms[arm]], "verify"),
            timeout_s=max(self._deadline - perf_counter(), 0.0),
        )
        return {**dict.fromkeys(self._rule.signals), **values}

    def _may(self, name: str, reserved_usd: float = 0.0) -> bool:
        """Whether the candidate may still be asked: able, not asked yet, and within the request's limit.

        `reserved_usd` is spent before: a call for a reading is taken to cost as much as the answer did.
        """
        if name not in self._context.ranking or name in self._asked or perf_counter() >= self._deadline:
            return False
        limit = self._query.constraints.max_cost_usd
        if limit is None:
            return True
        cost = predicted_usd(self._context.decision, name)
        return cost is not None and self.spent.known_usd + reserved_usd + cost <= float(limit)


def _row(decision: Decision | None, arms: Sequence[str], field: str) -> FloatArray:
    """(n_arms,): a decision's numbers in the order of the rule's arms; NaN where unknown."""
    values = () if decision is None else getattr(decision, field)
    found = [None if decision is None else decision.of(values, arm) for arm in arms]
    return np.array([np.nan if value is None else value for value in found])


def _again(known: Answer, context: PlanContext) -> Iterator[Event]:
    """An answer that was given before: it takes no call, and costs nothing."""
    free = Usage(prompt_tokens=0, completion_tokens=0)
    given = msgspec.structs.replace(known, usage=free, cost_usd=Decimal(0), latency_s=0.0)
    reply = composed(known.content, given, context)
    assert reply.answer is not None
    yield Note("the same was asked before: from the cache")
    yield reply.answer
    yield from reply.chunks


def _read(given: Any, kind: Any, name: str) -> Any:
    """A part of the configuration."""
    try:
        return msgspec.convert(given, kind, strict=True)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"plan 'cascade': {name} is wrong: {error}") from None


def _verification(settings: VerificationSettings, path: Callable[[str], Path]) -> Verification:
    try:
        grounded = GROUNDED if settings.grounded is None else path(settings.grounded).read_text("utf-8")
        free = FREE if settings.free is None else path(settings.free).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"plan 'cascade': a prompt of the verification cannot be read: {error}") from None
    return Verification(settings.k, settings.temperature, settings.max_tokens, grounded, free)
