"""The cache in front of an engine: what may be given again, what is kept, and what is forgotten."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from suffice.caching.base import Asked, Cache, Found, Kept, Vector
from suffice.caching.canonical import asked as asked_of
from suffice.caching.eligible import Allowed, why_not, why_not_kept
from suffice.caching.exact import ExactCache
from suffice.errors import EmbedderError, StoreError
from suffice.plans.base import Event
from suffice.plans.reuse.flight import Flight, Flights
from suffice.plans.reuse.replay import REWRITE, from_cache, given_again, keepable, replayed
from suffice.protocols import Embedder
from suffice.store.cache_log import RECORD, CacheLog, Condition
from suffice.types import Answer, Decision, Feedback, Record, Reuse

if TYPE_CHECKING:
    from suffice.engine import Request, _Run
    from suffice.plans.reuse.rewriting import Rewriting

_log = logging.getLogger(__name__)

LONGEST: Final = 50_000
"""Characters of a last message; longer ones are not looked for."""
COMPLAINTS: Final = ("score", "thumb")
"""Names of feedback that speak against an answer where the value is below `GOOD`."""
GOOD: Final = 0.5
_ROUTELLM: Final = "router-"


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What sets the answers to one name that clients ask for apart from those to others."""

    words: tuple[str, ...]
    baseline: str | None = None
    """The strongest candidate of its pipeline."""
    has_rules: bool = False
    """Whether a request's tags decide who may answer."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How one stage keeps."""

    ttl_s: float = 3600.0
    entries: int = 10_000
    allowed: Allowed = Allowed()
    per_user: bool = False
    is_exact: bool = True
    """Whether the same request is answered from here; False leaves it to the semantic cache."""
    is_semantic: bool = True
    """Whether other requests are answered from here; False leaves what would serve them to the rewriting."""
    tags: tuple[str, ...] = ()


class Stage:
    """One cache, and the names that it answers for."""

    def __init__(
        self,
        name: str,
        scopes: Mapping[str, Scope],
        settings: Settings = Settings(),  # noqa: B008  frozen
        *,
        semantic: Cache | None = None,
        embedder: Embedder | None = None,
        is_slow: bool = False,
        rewriting: Rewriting | None = None,
        log: CacheLog | None = None,
    ) -> None:
        """
        Parameters
        ----------
        name : of its part of the log
        scopes : by what a request may name as its model
        semantic : finds answers to other requests; needs the embedder
        is_slow : the embedder asks a network or a large model: never on the event loop
        rewriting : of near hits
        log : where what is kept outlives the process
        """
        self.name, self.scopes, self.settings = name, scopes, settings
        self._exact = ExactCache(entries=settings.entries)
        self._semantic, self._embedder, self._is_slow = semantic, embedder, is_slow
        self.rewriting, self._log = rewriting, log
        self.flights = Flights()
        self.writing: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._exact)

    def asked(self, request: Request) -> Asked | None:
        """What the request is known by; None: it is neither looked for nor kept."""
        query, options = request.query, request.options
        if len(query.text) > LONGEST:
            return None
        scope = self.scopes.get(request.model)
        words = (request.model,) if scope is None else scope.words
        person = (query.user or "",) if self.settings.per_user else ()
        tags = query.tags if scope is not None and scope.has_rules else ()
        asked = asked_of(query, options, tenant=request.caller.tenant, also=(*words, *person, *sorted(tags)))
        is_kept = self._exact.get(asked, None, time.time()) is not None  # then it may be
        return asked if is_kept or why_not(query, options, self.settings.allowed) is None else None

    def flight_key(self, asked: Asked, request: Request, *, is_budgeted: bool) -> Hashable:
        """What requests must have in common to share a call: the shape of the answer, and who pays."""
        payer = (request.caller.key_id, request.query.user) if is_budgeted else ()
        return (asked.exact, request.is_stream, request.options.wants_stream_usage, *payer)

    def exact(self, asked: Asked) -> Found | None:
        return self._exact.get(asked, None, time.time()) if self.settings.is_exact else None

    async def look(self, asked: Asked) -> Found | None:
        """An answer to another request that serves this one as well, or may be rewritten for it."""
        if self._semantic is None:
            return None
        vectors = await self._embedded([asked.text])
        if vectors is None:
            return None
        found = self._semantic.get(asked, vectors[0], time.time())
        if found is not None and not self.settings.is_semantic:
            found = msgspec.structs.replace(found, way="near")
        return None if found is not None and found.way == "near" and self.rewriting is None else found

    def decision(self, request: Request, found: Found, took_s: float) -> Decision:
        """Of a hit: nobody chose, so nobody learns from it."""
        scope = self.scopes.get(request.model)
        whose = _record_of(found.kept)
        about = f"{found.reason} ({whose})" if whose else found.reason
        chosen = Decision(
            plan="",
            candidate=found.kept.candidate,
            ranking=(),
            baseline=None if scope is None else scope.baseline,
        )
        return msgspec.structs.replace(from_cache(chosen, about), decision_s=took_s)

    def reuse(self, found: Found) -> Reuse:
        way = "exact" if found.way == "exact" else "semantic"
        return Reuse(way=way, of=_record_of(found.kept), saved_usd=found.kept.answer.cost_usd)  # type: ignore[arg-type]

    def events(self, found: Found, request: Request) -> AsyncIterator[Event]:
        """The kept answer as a plan's events."""
        given = given_again(found.kept.answer)
        return replayed(given, request.options, is_stream=request.is_stream)

    def lead(self, run: _Run, asked: Asked, near: Found | None, flight: Flight) -> _Run:
        """Have the run's call shared by all who ask the same meanwhile, and its answer kept."""
        if not run.is_ordinary:
            run.reuse = Reuse(way="bypass")
            flight.abandon()
            return run
        run.reuse = Reuse(way="miss", of=run.id)
        events = run.events
        if near is not None and self.rewriting is not None:
            events = self.rewriting.events(near, run, run.events)
        request, run_id = run.request, run.id

        def keep(answer: Answer) -> None:
            decision = flight.decision
            is_rewritten = decision is not None and decision.plan == REWRITE
            self.keep(asked, answer, run_id, request.cache_tags, is_rewritten=is_rewritten)

        run.events = flight.begin(events, run, id=run_id, decision=run.decision, keep=keep)
        run.flight = flight
        return run

    def keep(
        self,
        asked: Asked,
        answer: Answer,
        record_id: str,
        tags: Iterable[str] = (),
        *,
        is_rewritten: bool = False,
    ) -> None:
        """Keep an answer, if it may be kept; one that was rewritten is found by the same request alone."""
        if why_not_kept(answer) is not None:
            return
        now = time.time()
        kept = Kept(
            asked=asked,
            answer=keepable(answer),
            candidate=answer.candidate,
            at=now,
            expires_at=now + self.settings.ttl_s,
            tags=(RECORD + record_id, *dict.fromkeys((*self.settings.tags, *tags))),
        )
        self._exact.put(kept, None, now)
        is_semantic = self._semantic is not None and not is_rewritten
        if is_semantic and self._is_slow:
            self._later(self._keep_vector(kept))
            return
        vectors = self._embed([asked.text]) if is_semantic else None
        self._put(kept, None if vectors is None else vectors[0])

    async def _keep_vector(self, kept: Kept) -> None:
        vectors = await self._embedded([kept.asked.text])
        self._put(kept, None if vectors is None else vectors[0])

    def _put(self, kept: Kept, vector: Vector | None) -> None:
        if self._semantic is not None and vector is not None:
            self._semantic.put(kept, vector, kept.at)
        if self._log is not None:
            name = "" if self._embedder is None else self._embedder.name
            self._later(asyncio.to_thread(self._write, self._log, kept, vector, name))

    def _write(self, log: CacheLog, kept: Kept, vector: Vector | None, embedder: str) -> None:
        try:
            log.put(self.name, kept, vector, embedder, entries=self.settings.entries, now=kept.at)
        except StoreError as error:
            _log.warning("an answer was not written down: %s", error)

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.writing.add(task)
        task.add_done_callback(self.writing.discard)

    def take_up(self, rows: Sequence[tuple[Kept, Vector | None, str]]) -> None:
        """Answers that another process kept, with their vectors and who made them."""
        strange = [kept for kept, vector, name in rows if vector is not None and name != self._embedder_name]
        made = iter(() if not strange or self._semantic is None else self._embed_all(strange))
        for kept, vector, name in rows:
            self._exact.put(kept, None, kept.at)
            if self._semantic is None or vector is None:
                continue
            known = vector if name == self._embedder_name else next(made)
            if known is not None:
                self._semantic.put(kept, known, kept.at)

    @property
    def _embedder_name(self) -> str | None:
        return None if self._embedder is None else self._embedder.name

    def _embed_all(self, kept: Sequence[Kept]) -> Sequence[Vector | None]:
        """Anew, since the embedder is another one now."""
        vectors = self._embed([one.asked.text for one in kept])
        return [None] * len(kept) if vectors is None else list(vectors)

    def forget(self, condition: Condition) -> int:
        """Drop from memory what meets the condition."""
        given = {name: getattr(condition, name) for name in condition.__struct_fields__}
        n = self._exact.forget(**given)
        if self._semantic is not None:
            n = max(n, self._semantic.forget(**given))
        return n

    async def _embedded(self, texts: Sequence[str]) -> Sequence[Vector] | None:
        return await asyncio.to_thread(self._embed, texts) if self._is_slow else self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Sequence[Vector] | None:
        assert self._embedder is not None
        try:
            return list(np.asarray(self._embedder.embed(texts), dtype=np.float32))
        except EmbedderError as error:
            _log.warning("the semantic cache was left out: %s", error)
            return None

    async def close(self) -> None:
        """Let go of calls under way, and write what is left."""
        await self.flights.close()
        while self.writing:
            await asyncio.wait(set(self.writing))


class Reusing:
    """All stages of an engine."""

    def __init__(
        self, stages: Mapping[str, Stage], *, default: Stage | None = None, log: CacheLog | None = None
    ) -> None:
        """
        Parameters
        ----------
        stages : by what a request may name as its model
        default : of RouteLLM's names, which clients make up
        log : what the stages share with other processes
        """
        self._stages, self._default, self._log = dict(stages), default, log
        own = [*self._stages.values(), *([] if default is None else [default])]
        self.all = tuple({id(stage): stage for stage in own}.values())
        self._is_readable = True
        self.look()

    def stage(self, model: str) -> Stage | None:
        """The one that answers for that name, up to date; None where there is none."""
        found = self._stages.get(model)
        if found is None and model.startswith(_ROUTELLM):
            found = self._default
        if found is not None and self._log is not None:
            self.look()
        return found

    def look(self) -> None:
        """Take up what other processes kept and forgot."""
        if self._log is None or not self._is_readable:
            return
        try:
            news = self._log.news()
        except StoreError as error:  # what is in memory goes on serving
            self._is_readable = False
            _log.error("the cache's file is read no more: %s", error)
            return
        if news is None:
            return
        for stage in self.all:
            rows = [(row.kept, row.vector, row.embedder) for row in news.rows if row.stage == stage.name]
            if rows:
                stage.take_up(rows)
            for condition in news.forgotten:
                stage.forget(condition)

    async def forget(self, condition: Condition) -> int:
        """Drop what meets the condition, here and in the file; how many answers that were here."""
        now = time.time()
        n = sum(stage.forget(condition) for stage in self.all)
        if self._log is not None:
            for stage in self.all:  # what is still on its way to the file must not come after
                if stage.writing:
                    await asyncio.wait(set(stage.writing))
            await asyncio.to_thread(self._log.forget, condition, now)
        return n

    def is_complaint(self, feedback: Feedback) -> bool:
        return feedback.name in COMPLAINTS and feedback.value < GOOD

    async def drop(self, record: Record) -> None:
        """Give the answer of that record to nobody any more."""
        if record.reuse is None or record.reuse.of is None:
            return
        try:
            await self.forget(Condition(tenant=record.tenant, tag=RECORD + record.reuse.of))
        except StoreError as error:
            _log.warning("an answer was forgotten in memory only: %s", error)

    async def close(self) -> None:
        for stage in self.all:
            await stage.close()
        if self._log is not None:
            self._log.close()


def _record_of(kept: Kept) -> str | None:
    return next((tag.removeprefix(RECORD) for tag in kept.tags if tag.startswith(RECORD)), None)
