"""The core behind the gateway and the Python client: decide, ask, account, record.

It knows no HTTP. A request names a candidate (pass-through), `auto`, `auto:NAME`, or RouteLLM's
`router-NAME-THRESHOLD`; the engine turns it into a decision, runs the plan and leaves one record.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from suffice.confidence import normalised_probability
from suffice.errors import AllAttemptsFailed, InvalidRequest, ProviderError, SufficeError, UnknownModel
from suffice.pipeline import Pipeline
from suffice.plans import Note, Plan, PlanContext, Single
from suffice.plans.base import Event
from suffice.plans.ceilings import seen_usage
from suffice.plans.reuse import REWRITE, from_cache, joined
from suffice.protocols import Model, Store
from suffice.providers.http import HttpClient
from suffice.types import (
    Answer,
    Attempt,
    Caller,
    Candidate,
    Chunk,
    Decision,
    Feedback,
    Learnable,
    Options,
    Query,
    Record,
    Retrieval,
    Reuse,
    Trial,
    Usage,
)

if TYPE_CHECKING:
    from suffice.budgets import Budget
    from suffice.caching.base import Found
    from suffice.plans.confidence import AnswerConfidence
    from suffice.plans.guard import Guard
    from suffice.plans.learning import Learner
    from suffice.plans.purse import Purse
    from suffice.plans.reuse import Flight
    from suffice.plans.reuse.stage import Reusing, Stage
    from suffice.plans.shadow import Ask, Shadow, Slot
    from suffice.plans.trials import Asking, Assigned, Trials

INLINE_S: Final = 0.002
"""A decision expected to take longer leaves the event loop."""
LONG_TEXT: Final = 50_000
"""Characters from which on a decision is not trusted to be quick."""
CLIENT_GONE: Final = 499
"""The status recorded for a request whose client left."""
SHADOW: Final = "shadow"
"""The plan and the model of records that a shadow left."""
CHEAPEST: Final = "cheapest"
"""How a budget may have routed requests answered that fall under it near its end."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the engine sees it."""

    query: Query
    model: str = "auto"
    options: Options = Options()
    caller: Caller = Caller()
    is_stream: bool = False
    cache: Literal["use", "bypass", "refresh"] = "use"
    """`bypass` neither looks nor keeps, `refresh` only keeps; of no meaning where there is no cache."""
    cache_tags: tuple[str, ...] = ()
    """What the answer may be forgotten by."""
    retrieval: str | None = None
    """The strategy that is wanted in place of the gate's choice: none, single or multi."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """An answer and the record it left."""

    answer: Answer
    record: Record
    said: tuple[tuple[str, str], ...] = ()
    """What budgets have to say to the client, as names and values."""

    @property
    def record_id(self) -> str:
        return self.record.id

    @property
    def decision(self) -> Decision:
        return self.record.decision


class Engine:
    """Answers requests with the candidates of one panel."""

    def __init__(
        self,
        models: Mapping[str, Model],
        pipelines: Mapping[str, Pipeline],
        store: Store,
        *,
        timeout_s: float = 300.0,
        retries: int = 1,
        http: HttpClient | None = None,
        shadows: Mapping[str, Shadow] = MappingProxyType({}),
        confidence: AnswerConfidence | None = None,
        guard: Guard | None = None,
        trials: Trials | None = None,
        learners: Mapping[str, Learner] = MappingProxyType({}),
        reusing: Reusing | None = None,
    ) -> None:
        """
        Parameters
        ----------
        models : by candidate name
        pipelines : by name; "auto" is the default one, "NAME" is asked for as "auto:NAME"
        timeout_s : for one request, retries and fallbacks included
        retries : further tries at one candidate before the next is asked
        http : closed with the engine
        shadows : by pipeline name, of those with the policy `guarantee`
        confidence : how sure an answer is; None reads it, uncalibrated, where a client asks for logprobs
        guard : keeps the budgets; closed with the engine
        trials : splits the traffic of running experiments
        learners : by pipeline name, of those whose policy learns
        reusing : the caches; closed with the engine
        """
        self._http = http
        self.models = dict(models)
        self.pipelines = dict(pipelines)
        self.store = store
        self._timeout_s = timeout_s
        self._retries = retries
        self._plan = Single()
        self._passes = {name: _pass_through(model.candidate) for name, model in self.models.items()}
        self._thresholds: dict[str, Pipeline] = {}
        self._decision_s = dict.fromkeys(self.pipelines, 0.0)
        self.shadows = dict(shadows)
        self._shadow_of = {f"auto:{name}": shadow for name, shadow in shadows.items()}
        if "auto" in shadows:
            self._shadow_of["auto"] = shadows["auto"]
        self.confidence = confidence
        self.guard = guard
        self.trials = trials
        self.learners = dict(learners)
        self.reusing = reusing

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(model.candidate for model in self.models.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that `model` may be."""
        return (*_pipeline_names(self.pipelines), *self.models)

    async def decide(self, request: Request) -> Decision:
        """Which candidate would be asked, and why; asks nobody.

        Raises
        ------
        UnknownModel
            If `request.model` is neither a candidate nor a pipeline.
        InvalidRequest
            If no candidate can serve the request.
        """
        fixed = self._passes.get(request.model)
        if fixed is not None:
            return fixed
        pipeline = self._pipeline(request.model)
        shadow = self._shadow_of.get(request.model)
        if shadow is not None:
            shadow.look()
        if self.learners and pipeline.name in self.learners:
            self.learners[pipeline.name].look()
        start = perf_counter()
        expected = self._decision_s.get(pipeline.name, 0.0)
        if expected > INLINE_S or len(request.query.text) > LONG_TEXT or pipeline.is_slow:
            decision, took = await asyncio.to_thread(_timed_decision, pipeline, request)
        else:
            decision, took = _timed_decision(pipeline, request)
        self._decision_s[pipeline.name] = 0.9 * expected + 0.1 * min(took, 2 * INLINE_S)
        return msgspec.structs.replace(decision, decision_s=perf_counter() - start)

    async def answer(self, request: Request) -> Result:
        """Decide, ask, record.

        Raises
        ------
        SufficeError
            With the id of the record it left as `record_id`, where a candidate was asked.
        """
        return await _ended(await self._start(request))

    async def open(self, request: Request) -> Streaming:
        """Decide, ask, and return once the first content is there; fallbacks lie behind us then."""
        run = await self._start(request)
        streaming = Streaming(run)
        await streaming.begin()
        return streaming

    async def add_feedback(self, feedback: Feedback) -> None:
        """Returns once it is on disk."""
        await self.store.add_feedback(feedback)
        for learner in self.learners.values():
            learner.heard()
        if self.reusing is not None and self.reusing.is_complaint(feedback):
            record = await asyncio.to_thread(self.store.record, feedback.record_id, feedback.tenant)
            if record is not None:
                await self.reusing.drop(record)

    async def close(self) -> None:
        """Let go of all connections and write what is queued; shadows under way have five seconds."""
        for shadow in self.shadows.values():
            await shadow.close()
        for learner in self.learners.values():
            await learner.rest()
        if self.trials is not None:
            await self.trials.close()
        if self.reusing is not None:
            await self.reusing.close()
        for model in self.models.values():
            await model.close()
        if self._http is not None:
            await self._http.close()
        if self.guard is not None:
            await self.guard.close()
        await self.store.drain()
        for learner in self.learners.values():
            await learner.close()
        self.store.close()

    def _pipeline(self, name: str) -> Pipeline:
        if name == "auto" or name.startswith("auto:"):
            pipeline = self.pipelines.get(name.partition(":")[2] or "auto")
            if pipeline is not None:
                return pipeline
        elif name.startswith("router-"):
            return self._threshold_pipeline(name)
        raise UnknownModel(name, self.names)

    def _threshold_pipeline(self, name: str) -> Pipeline:
        """RouteLLM's `router-NAME-THRESHOLD`: the router of that name under the threshold policy."""
        found = self._thresholds.get(name)
        if found is not None:
            return found
        router, _, text = name.removeprefix("router-").rpartition("-")
        try:
            threshold = float(text)
        except ValueError:
            threshold = math.nan
        if not 0 <= threshold <= 1:
            raise InvalidRequest(
                f"the model {name!r} names no threshold: wanted router-NAME-THRESHOLD with a threshold in "
                "[0, 1], such as router-knn-0.3",
                param="model",
            )
        for pipeline in self.pipelines.values():
            if router in (pipeline.router_name, pipeline.name):
                made = pipeline.with_threshold(threshold)
                if len(self._thresholds) < 1000:  # clients choose the names: keep the cache bounded
                    self._thresholds[name] = made
                return made
        raise UnknownModel(name, self.names)

    async def _start(self, request: Request) -> _Run:
        stage = None if self.reusing is None else self.reusing.stage(request.model)
        return await (self._begin(request) if stage is None else self._reused(request, stage))

    async def _reused(self, request: Request, stage: Stage) -> _Run:
        """An answer that is kept, the call of another request under way, or one that others may share."""
        start = perf_counter()
        is_own = request.cache == "bypass" or request.retrieval is not None  # a wish is no common answer
        asked = None if is_own else stage.asked(request)
        if asked is None:
            run = await self._begin(request)
            run.reuse = Reuse(way="bypass")
            return run
        looks = request.cache == "use"
        is_budgeted = self.guard is not None and self.guard.has_budgets
        key = stage.flight_key(asked, request, is_budgeted=is_budgeted)
        while True:
            found = stage.exact(asked) if looks else None
            if found is not None:
                return self._given(request, stage, found, start)
            flight = stage.flights.find(key)
            if flight is None:
                break
            if await flight.has_begun():
                return self._sharing(request, flight)
        flight = stage.flights.open(key)
        try:
            found = await stage.look(asked) if looks else None
            if found is not None and found.way != "near":
                flight.abandon()
                return self._given(request, stage, found, start)
            run = await self._begin(request)
        except BaseException:
            flight.abandon()
            raise
        return stage.lead(run, asked, found, flight)

    def _given(self, request: Request, stage: Stage, found: Found, start: float) -> _Run:
        """A hit: nobody is asked, no budget is touched, and nobody learns from it."""
        decision = stage.decision(request, found, perf_counter() - start)
        run = _Run(request, decision, self, stage.events(found, request))
        run.reuse, run.kept = stage.reuse(found), found.kept.answer
        return run

    def _sharing(self, request: Request, flight: Flight) -> _Run:
        """One who waits for another's call."""
        assert flight.decision is not None
        decision = msgspec.structs.replace(flight.decision, learnable=None)
        run = _Run(request, decision, self, flight.events())
        run.events = flight.events(run)  # which show what it cost to whoever pays
        flight.join(run)
        run.flight, run.reuse = flight, Reuse(way="shared", of=flight.id)
        return run

    async def _begin(self, request: Request) -> _Run:
        """Decide, within the budgets and experiments that there are."""
        is_named = request.model in self._passes
        guard, purse = self.guard, None
        if guard is not None and not guard.is_idle(request.caller.key_id):
            purse = await guard.purse(request.caller, request.query, self.models)
            spent = None if purse is None or is_named else guard.degrading(request.caller, request.query.user)
            if spent is not None:
                run = self._run(request, *await self._degraded(request, *spent), purse)
                run.is_ordinary = False
                return run
        assigned = None
        if self.trials is not None:
            assigned = await self.trials.assign(request.model, request.caller, request.query, new_id)
        if assigned is not None:
            return await self._assigned(request, assigned, purse)
        decision = await self.decide(request)
        run = self._run(request, decision, self._plan_of(request.model), purse)
        shadow = self._shadow_of.get(request.model)
        if shadow is not None:
            run.slot = shadow.toss()
        return run

    async def _assigned(self, request: Request, assigned: Assigned, purse: Purse | None) -> _Run:
        """One request of an experiment: its record names what the client asked for, and the arm."""
        decision = await self.decide(msgspec.structs.replace(request, model=assigned.model))
        run = self._run(request, decision, self._plan_of(assigned.model), purse, assigned.model)
        reason = "; ".join(filter(None, (decision.reason, assigned.reason)))
        run.decision = msgspec.structs.replace(decision, reason=reason)
        run.trial = assigned.trial
        run.is_ordinary = assigned.trial is None or assigned.trial.arm == "control"
        run.shadowing = assigned if assigned.is_shadowed else None
        shadow = self._shadow_of.get(assigned.model)
        if shadow is not None:
            run.slot = shadow.toss()
        return run

    def _plan_of(self, model: str) -> Plan:
        """How its candidates are asked: behind a gate, where there is one."""
        if model in self._passes:
            return self._plan
        pipeline = self._pipeline(model)
        return pipeline.plan if pipeline.gate is None else pipeline.gate

    async def _degraded(self, request: Request, budget: Budget, way: str) -> tuple[Decision, Plan]:
        """The decision where a budget nears its end, and how its candidates are asked: more cheaply."""
        why = f"the budget {budget.name!r} is nearly spent"
        if way == CHEAPEST:
            return _cheapest_first(await self.decide(request), why), self._plan
        decision = await self.decide(msgspec.structs.replace(request, model=way))
        reason = f"{decision.reason}; {why}: {way}"
        return msgspec.structs.replace(decision, reason=reason), self._plan_of(way)

    def _run(
        self,
        request: Request,
        decision: Decision,
        plan: Plan | None = None,
        purse: Purse | None = None,
        model: str | None = None,
    ) -> _Run:
        """`model`: decides about parts of the query, where that is not what the client asked for."""
        deciding = request if model is None else msgspec.structs.replace(request, model=model)
        context = PlanContext(
            models=self.models if purse is None else purse.models,
            ranking=decision.ranking,
            options=request.options,
            caller=request.caller,
            is_stream=request.is_stream,
            timeout_s=min(request.options.timeout_s or self._timeout_s, self._timeout_s),
            retries=self._retries,
            decision=decision,
            decide=lambda query: self.decide(msgspec.structs.replace(deciding, query=query)),
            retrieval=request.retrieval,
        )
        return _Run(request, decision, self, (plan or self._plan).run(request.query, context), purse)

    def ask_for(self, record: Record, slot: Slot) -> Ask:
        """Asks candidates on the account of a request that is shadowed; each call leaves a record."""
        return self.asking_on_account_of(record, slot.probability)

    def asking_on_account_of(
        self, record: Record, probability: float, learnable: Learnable | None = None
    ) -> Ask:
        """As `ask_for`; `learnable` names the policy that it is done for."""

        async def ask(name: str, query: Query, options: Options) -> Answer:
            caller = Caller(tenant=record.tenant, keep_content=record.query is not None)
            request = Request(query=query, model=SHADOW, options=options, caller=caller)
            decision = Decision(
                plan=SHADOW,
                candidate=name,
                ranking=(name,),
                arms=(name,),
                propensities=(probability,),
                policy=record.decision.policy,
                reason=f"shadow of {record.id}, drawn with probability {probability:g}",
                versions=record.decision.versions,
                learnable=learnable,
            )
            guard = self.guard
            purse = None if guard is None else await guard.purse(caller, query, self.models)
            return (await _ended(self._run(request, decision, purse=purse))).answer

        return ask

    def asking(self, request: Request, control: Record) -> Asking:
        """How an experiment's shadow asks on the account of the request that it shadows."""
        from suffice.plans.shadow.sampler import NOT_ASKED_AGAIN

        fields = {k: v for k, v in request.options.fields.items() if k not in NOT_ASKED_AGAIN}
        again = msgspec.structs.replace(request, options=Options(fields=fields), is_stream=False)

        def begin(trial: Trial, model: str) -> tuple[Query, Ask, Callable[[], Awaitable[Result]]]:
            async def shadowed() -> Result:
                decision = await self.decide(msgspec.structs.replace(again, model=model))
                guard = self.guard
                purse = None if guard is None else await guard.purse(again.caller, again.query, self.models)
                asked = msgspec.structs.replace(again, model=SHADOW)
                run = self._run(asked, decision, self._plan_of(model), purse)
                reason = f"{decision.reason}; shadow of {control.id} in experiment {trial.experiment}"
                run.decision = msgspec.structs.replace(decision, plan=SHADOW, reason=reason)
                run.trial = trial
                return await _ended(run)

            return again.query, self.asking_on_account_of(control, 1.0), shadowed

        return begin

    def confidence_of(self, answer: Answer) -> tuple[float | None, str | None]:
        """In [0, 1], or why there is none, where one was configured."""
        if self.confidence is not None:
            return self.confidence.of(answer)
        return _confidence(answer), None

    def baseline_usd(self, decision: Decision, usage: Usage) -> Decimal | None:
        """What the strongest candidate would have cost: an estimate.

        The same prompt at its price, with the length that the cost model predicts for it, or that of
        the answer given.
        """
        if decision.baseline is None or decision.baseline not in self.models:
            return None
        predicted = decision.of(decision.costs_usd, decision.baseline)
        if predicted is not None and math.isfinite(predicted):
            return Decimal(repr(round(predicted, 12)))  # pico-dollars, as records are kept
        return self.models[decision.baseline].candidate.price.cost_usd(usage)


async def _ended(run: _Run) -> Result:
    """The whole answer, recorded, as the failure is."""
    try:
        async for event in run.events:
            run.see(event)
    except SufficeError as error:
        raise run.failed(error) from error
    except (asyncio.CancelledError, GeneratorExit):
        run.cancelled()
        raise
    assert run.answer is not None
    record = run.finished()  # by which the answer of another's call becomes a free one
    return Result(answer=run.answer, record=record, said=run.said)


def _timed_decision(pipeline: Pipeline, request: Request) -> tuple[Decision, float]:
    start = perf_counter()
    decision = pipeline.decide(request.query, time.time(), request.options.max_tokens)
    return decision, perf_counter() - start


def _pass_through(candidate: Candidate) -> Decision:
    """The client named the candidate: no score, no choice, no fallback."""
    name = candidate.name
    return Decision(
        plan="single",
        candidate=name,
        ranking=(name,),
        eligible=(name,),
        arms=(name,),
        scores=(None,),
        costs_usd=(None,),
        latencies_s=(None,),
        propensities=(1.0,),
        policy="named",
        reason="named by the client",
    )


def _cheapest_first(decision: Decision, why: str) -> Decision:
    """The same candidates by predicted cost, asked one after the other; unknown costs come last."""
    costs = {name: decision.of(decision.costs_usd, name) for name in decision.ranking}
    ranking = sorted(decision.ranking, key=lambda name: (costs[name] is None, costs[name] or 0.0))
    return msgspec.structs.replace(
        decision,
        plan=Single.name,
        candidate=ranking[0],
        ranking=tuple(ranking),
        propensities=tuple(float(arm == ranking[0]) for arm in decision.arms),
        reason=f"{decision.reason}; {why}: the cheapest first",
    )


def _pipeline_names(pipelines: Mapping[str, Pipeline]) -> Sequence[str]:
    return ["auto" if name == "auto" else f"auto:{name}" for name in pipelines]


class _Run:
    """One request under way: what was seen so far, and the record it will leave."""

    __slots__ = ("answer", "attempts", "created_at", "decision", "engine", "events", "flight", "id",
                 "is_ordinary", "kept", "n_chars", "notes", "purse", "recorded", "request",
                 "retrieval", "reuse", "shadowing", "slot", "speaker", "start", "trial")  # fmt: skip

    def __init__(
        self,
        request: Request,
        decision: Decision,
        engine: Engine,
        events: AsyncIterator[Event],
        purse: Purse | None = None,
    ) -> None:
        self.request, self.decision, self.engine, self.events = request, decision, engine, events
        self.purse = purse
        self.id = new_id()
        self.created_at = time.time()
        self.start = perf_counter()
        self.attempts: list[Attempt] = []
        self.answer: Answer | None = None
        self.n_chars = 0
        self.notes: list[str] = []
        """Of the plan, on how the answer came about."""
        self.speaker: str | None = None
        """Who speaks, where the plan said so."""
        self.retrieval: Retrieval | None = None
        """What was looked up, as the plan said last."""
        self.recorded: Record | None = None
        self.slot: Slot | None = None
        """Where the coin fell on shadow."""
        self.trial: Trial | None = None
        self.shadowing: Assigned | None = None
        """Where an experiment wants the treatment asked too."""
        self.is_ordinary = True
        """Answered as everybody's would be: no treatment, and no cheaper way for want of a budget."""
        self.flight: Flight | None = None
        """Where others may wait for the same."""
        self.reuse: Reuse | None = None
        self.kept: Answer | None = None
        """What is given again, as it once came."""

    def see(self, event: Event) -> None:
        if isinstance(event, Attempt):
            self.attempts.append(event)
        elif isinstance(event, Answer):
            self.answer = event
        elif isinstance(event, Note):
            self.notes += [event.text] if event.text else []
            self.speaker = event.candidate or self.speaker
            self.decision = event.decision or self.decision
            self.retrieval = event.retrieval or self.retrieval

    @property
    def said(self) -> tuple[tuple[str, str], ...]:
        """What budgets have to say to the client."""
        return () if self.purse is None else self.purse.said

    def known_usd(self) -> Decimal | None:
        """What the calls so far are known to have cost; None where nobody said."""
        known = [attempt.cost_usd for attempt in self.attempts if attempt.cost_usd is not None]
        return sum(known, Decimal(0)) if known else None

    def finished(self) -> Record:
        """Record the answer that came."""
        self._leave()
        answer = self.answer
        assert answer is not None
        confidence, missing = self.engine.confidence_of(answer)
        return self._record(
            usage=answer.usage,
            cost_usd=answer.cost_usd,
            candidate=answer.candidate,
            first_token_s=answer.first_token_s,
            finish_reason=answer.finish_reason,
            confidence=confidence,
            no_confidence=missing,
            content=answer.content,
        )

    def failed(self, error: SufficeError) -> SufficeError:
        """Record the failure; the error then knows its record."""
        is_free = self._leave()
        shown = error.last if isinstance(error, AllAttemptsFailed) else error
        record = self._record(
            status=error.status,
            error=f"{type(shown).__name__}: {shown}",
            cost_usd=Decimal(0) if is_free else self.known_usd(),
        )
        error.record_id = record.id
        return error

    def cancelled(self, candidate: str | None = None) -> None:
        """The client left. What the provider will bill is estimated from what was seen."""
        if self.recorded is not None:
            return
        is_free = self._leave()
        usage, cost = Usage(), self.known_usd()
        if is_free:
            cost = Decimal(0)
        elif self.answer is not None:  # it was held back: all that it took is known
            usage, cost, candidate = self.answer.usage, self.answer.cost_usd, self.answer.candidate
        elif candidate is not None:
            usage = seen_usage(self.request.query, self.n_chars)
            last = self.engine.models[candidate].candidate.price.cost_usd(usage)
            cost = last if cost is None or last is None else cost + last
        elif self.decision.plan == Single.name:  # a whole answer that was left: nobody will say what it took
            candidate, cost = self.asked(), None
            self.attempts.append(
                Attempt(candidate=candidate, latency_s=perf_counter() - self.start, error="the client left")
            )
        self._record(
            status=CLIENT_GONE, error="the client left before the end", candidate=candidate,
            usage=usage, cost_usd=cost, is_estimate=self.answer is None and not is_free,
        )  # fmt: skip

    def asked(self) -> str:
        """Who is being asked, of those asked one after the other: the first that has not given up."""
        gave_up = {attempt.candidate for attempt in self.attempts if attempt.error}
        left = [name for name in self.decision.ranking if name not in gave_up]
        return left[0] if left else self.attempts[-1].candidate

    def _leave(self) -> bool:
        """Wait no longer for a call that others may share; whether it was on another's account."""
        flight, self.flight = self.flight, None
        if flight is None:
            return False
        if flight.leave(self):
            self.answer = flight.answer or self.answer
            if self.reuse is not None and self.reuse.way == "shared":  # whoever began it has left
                way: Literal["rewrite", "miss"] = "rewrite" if self.decision.plan == REWRITE else "miss"
                self.reuse = msgspec.structs.replace(self.reuse, way=way)
            return False
        self.kept, self.attempts = self.answer, []
        self.answer = None if self.kept is None else joined(self.kept)
        saved = None if self.kept is None else self.kept.cost_usd
        self.reuse = Reuse(way="shared", of=flight.id, saved_usd=saved)
        self.decision = from_cache(self.decision, f"the call of {flight.id} was under way")
        return True

    def _record(
        self,
        *,
        usage: Usage = Usage(),  # noqa: B008  frozen
        cost_usd: Decimal | None = None,
        candidate: str | None = None,
        first_token_s: float | None = None,
        finish_reason: str | None = None,
        confidence: float | None = None,
        no_confidence: str | None = None,
        status: int = 200,
        error: str | None = None,
        content: str | None = None,
        is_estimate: bool = False,
    ) -> Record:
        request, caller, keeps = self.request, self.request.caller, self.request.caller.keep_content
        record = Record(
            id=self.id,
            created_at=self.created_at,
            tenant=caller.tenant,
            key_id=caller.key_id,
            user=request.query.user,
            session=request.query.session,
            requested_model=request.model,
            is_stream=request.is_stream,
            decision=self._decided() if self.notes else self.decision,
            attempts=tuple(self.attempts),
            candidate=candidate,
            usage=usage,
            cost_usd=cost_usd,
            is_estimate=is_estimate,
            baseline_usd=self._baseline_usd(candidate, usage, cost_usd) if error is None else None,
            latency_s=perf_counter() - self.start,
            first_token_s=first_token_s,
            confidence=confidence,
            no_confidence=no_confidence,
            finish_reason=finish_reason,
            status=status,
            error=error,
            query=msgspec.json.encode(request.query.chat()).decode() if keeps else None,
            answer=content if keeps else None,
            trial=self.trial,
            reuse=self.reuse,
            retrieval=self.retrieval,
        )
        self.recorded = record
        self.engine.store.append(record)
        learnable = record.decision.learnable
        if learnable is not None and learnable.learner in self.engine.learners:
            self._teach(self.engine.learners[learnable.learner], learnable, record, error)
        is_routed = error is None and record.decision.plan != REWRITE
        if self.slot is not None:
            answer = self.answer if is_routed else None
            self.slot.ended(request.query, request.options, record, answer, self.engine.ask_for)
        if self.shadowing is not None and is_routed and self.engine.trials is not None:
            asking = self.engine.asking(request, record)
            self.engine.trials.shadow(self.shadowing, record, self.answer, asking)
        return record

    def _teach(self, learner: Learner, learnable: Learnable, record: Record, error: str | None) -> None:
        """Tell the policy that decided, and have the answer rated, unless this was a rating."""
        learner.ended(record)
        if self.answer is None or error is not None or not learnable.x:
            return
        engine, query = self.engine, self.request.query
        if learner.deeds is not None:
            learner.deeds.saw(query, record, engine.add_feedback)
        if learner.rater is not None:
            ask = engine.asking_on_account_of(record, 1.0, msgspec.structs.replace(learnable, x=b""))
            learner.rater.rate(query, self.answer, record, ask, engine.add_feedback)

    def _decided(self) -> Decision:
        """The decision with the plan's notes behind its reason."""
        reason = "; ".join(filter(None, (self.decision.reason, *self.notes)))
        return msgspec.structs.replace(self.decision, reason=reason)

    def _baseline_usd(self, candidate: str | None, usage: Usage, cost_usd: Decimal | None) -> Decimal | None:
        """Nothing is saved where the strongest candidate itself answered; a shadow is all loss."""
        if self.decision.plan == SHADOW:
            return Decimal(0)
        if self.kept is not None:
            return self.engine.baseline_usd(self.decision, self.kept.usage)
        if self.decision.plan != "single":  # asked alone, it would have been asked once
            own = [one for one in self.attempts if one.candidate == self.decision.baseline and not one.error]
            alone = [one.cost_usd for one in own if one.role in ("", "sample")]
            return alone[-1] if alone else self.engine.baseline_usd(self.decision, Usage())
        if candidate == self.decision.baseline:
            return cost_usd
        return self.engine.baseline_usd(self.decision, usage)


def _confidence(answer: Answer) -> float | None:
    if not answer.logprobs:
        return None
    return normalised_probability.score([token.logprob for token in answer.logprobs]).confidence


_random: Final = random.Random()  # not the module's own, which somebody may seed
os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """Unique, and sorted by time to the millisecond; a name, not a secret."""
    number = int(time.time() * 1000) << 64 | _random.getrandbits(64)
    return "sfc-" + number.to_bytes(14, "big").hex()  # a third of what formatting costs


class Streaming:
    """A streamed answer: iterate over its chunks, and close it whatever happens."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._events = run.events
        self._first: Chunk | None = None
        self._is_done = False
        self.record_id = run.id
        self.decision = run.decision
        self.candidate = run.decision.candidate

    async def begin(self) -> None:
        """Wait for the first chunk that the plan lets through."""
        try:
            async for event in self._events:
                if isinstance(event, Chunk):
                    self._first = event
                    break
                self._run.see(event)
        except SufficeError as error:
            raise self._run.failed(error) from error
        except (asyncio.CancelledError, GeneratorExit):
            self._run.cancelled()
            raise
        run = self._run
        self.decision, self.candidate = run.decision, run.decision.candidate
        if run.speaker or run.answer or any(attempt.error for attempt in run.attempts):
            self.candidate = self._answering()
        if self._first is None:
            self._end()

    def _answering(self) -> str:
        """Who speaks, after the failures so far: the first in the ranking that has not given up."""
        if self._run.answer is not None:
            return self._run.answer.candidate
        if self._run.speaker is not None:
            return self._run.speaker
        return self._run.asked()

    def __aiter__(self) -> Streaming:
        return self

    async def __anext__(self) -> Chunk:
        first = self._first
        if first is not None:
            self._first = None
            self._run.n_chars += len(first.text)
            return first
        if self._is_done:
            raise StopAsyncIteration
        try:
            while True:
                event = await self._events.__anext__()
                if isinstance(event, Chunk):
                    self._run.n_chars += len(event.text)
                    return event
                self._run.see(event)
        except StopAsyncIteration:
            self._end()
            raise
        except ProviderError as error:
            self._is_done = True
            raise self._run.failed(error) from error

    def _end(self) -> None:
        if not self._is_done and self._run.recorded is None:
            self._run.finished()
        self._is_done = self._first is None

    @property
    def is_known(self) -> bool:
        """Whether the answer was given before, and nobody was asked."""
        return self._run.answer is not None and not self._run.attempts

    @property
    def retrieval(self) -> Retrieval | None:
        """What was looked up by now."""
        return self._run.retrieval

    @property
    def reuse(self) -> Reuse | None:
        """What the cache made of the request by now."""
        return self._run.reuse

    @property
    def said(self) -> tuple[tuple[str, str], ...]:
        """What budgets have to say to the client by now, as names and values."""
        return self._run.said

    @property
    def cost_usd(self) -> Decimal | None:
        """What all calls cost, once it is known: of a stream that was held back, before its first chunk."""
        run = self._run
        if run.answer is None:
            return None
        return run.answer.cost_usd if run.flight is None or run.flight.is_payer(run) else Decimal(0)

    @property
    def record(self) -> Record | None:
        """The record, once the stream has ended."""
        return self._run.recorded

    async def aclose(self) -> None:
        """End the stream; before its end this cancels the upstream call."""
        await self._events.aclose()  # type: ignore[attr-defined]  # plans are async generators
        if self._run.recorded is None:
            self._run.cancelled(self.candidate)
        self._is_done = True
