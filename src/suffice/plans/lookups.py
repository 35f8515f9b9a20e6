"""What plans that look things up have in common: a retriever behind caps, passages in prompts, and citations.

Passages enter a prompt as quoted data alone (`suffice.retrieval.as_data`), and numbers of passages never
change within one answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import msgspec

from suffice import retrieval
from suffice.errors import ArtefactError, ConfigError, StoreError
from suffice.plans.asking import Reply, narrowed, one_answer_only
from suffice.plans.base import Event, Note, PlanContext, check_names
from suffice.plans.rewriting import rewritten
from suffice.plans.rounds import Rounds, inner
from suffice.plans.single import Single
from suffice.plans.spent import onward
from suffice.protocols import Embedder, Estimate, Model, Retriever
from suffice.types import Answer, Candidate, Chunk, Decision, Options, Passage, Query, Retrieval

_MOST_CHARS: Final = 4_000
"""Of one passage: a document without spaces is one word, however long."""
NO_RETRIEVAL: Final = "none"
"""The strategy of doing without, and what a client says to have it."""


class Lookups:
    """What was looked up for one query."""

    def __init__(self, plan: RetrievalPlan) -> None:
        self._plan = plan
        self._asked: set[str] = set()
        self.passages: list[Passage] = []
        """Different ones in the order they were found; their numbers begin with 1."""
        self.n = 0
        self.wrong: str | None = None
        """Why the last look-up brought nothing new."""

    @property
    def is_over(self) -> bool:
        return self.n >= self._plan.max_lookups

    async def search(self, text: str) -> list[Passage]:
        """Passages that were not found before; none also where the caps are reached or the index fails."""
        wanted = " ".join(text.split())
        self.wrong = self._reason(wanted)
        if self.wrong is not None:
            return []
        self.n += 1
        self._asked.add(wanted.casefold())
        try:
            found = await asyncio.to_thread(self._plan.searcher.search, wanted, self._plan.k)
        except (StoreError, ArtefactError) as error:
            self.wrong = f"the corpus cannot be searched ({error})"
            return []
        new = self._admitted(found)
        self.passages += new
        if not new:
            self.wrong = "no passage fits" if not found else "nothing new was found"
        return new

    def _reason(self, wanted: str) -> str | None:
        """Why nothing is looked up."""
        if not wanted:
            return "there is nothing to look for"
        if wanted.casefold() in self._asked:
            return "the same was looked for before"
        return f"no look-up is left ({self.n} made)" if self.is_over else None

    def _admitted(self, found: Sequence[Passage]) -> list[Passage]:
        """Those not shown before, as far as there is room."""
        room = self._plan.max_characters - sum(len(one.text) for one in self.passages)
        known = {one.id for one in self.passages}
        new = []
        for passage in found:
            text = passage.text[: min(_MOST_CHARS, max(room, 0))]
            if passage.id not in known and text:
                new.append(msgspec.structs.replace(passage, text=text))
                room -= len(text)
        return new

    def told(self, answer: str = "") -> Retrieval:
        """For the record, with the citations of an answer where there is one."""
        return Retrieval(
            strategy=self._plan.strategy,
            n_lookups=self.n,
            n_passages=len(self.passages),
            citations=retrieval.citations(answer, self.passages),
        )


class RetrievalPlan:
    """Settings, files, and the frame of a plan that looks things up on its way."""

    name: ClassVar[str]
    strategy: ClassVar[str] = "multi"

    def __init__(
        self,
        corpus: str = "corpus.db",
        retriever: str = "fts5",
        k: int = 3,
        rewriter: str | None = None,
        max_lookups: int = 4,
        max_tokens: int = 160,
        max_characters: int = 16_000,
        max_cost_usd: float | None = None,
    ) -> None:
        """
        Parameters
        ----------
        corpus : what `suffice corpus add` wrote
        retriever : fts5, bm25s, vector, hybrid, or `path/to/file.py:ClassName`
        k : passages of a look-up
        rewriter : the candidate that writes the first search query; None: the last user message is it
        max_lookups : for one query
        max_tokens : of each call on the way to the answer
        max_characters : of all passages together
        max_cost_usd : for one query, by predicted costs

        Raises
        ------
        ValueError
            If a number is out of range.
        """
        if k < 1 or max_lookups < 1 or max_tokens < 1 or max_characters < 1:
            raise ValueError("k, max_lookups, max_tokens and max_characters are at least 1")
        if max_cost_usd is not None and max_cost_usd < 0:
            raise ValueError("max_cost_usd is not below 0")
        self.corpus, self.retriever, self.k, self.rewriter = corpus, retriever, k, rewriter
        self.max_lookups, self.max_tokens = max_lookups, max_tokens
        self.max_characters, self.max_cost_usd = max_characters, max_cost_usd
        self.searcher: Retriever

    def prepare(self, *, path: Callable[[str], Path], embedder: Embedder, panel: Sequence[Candidate]) -> None:
        """Open the corpus; raises where it is not there, damaged, or a candidate is not in the panel."""
        check_names(self.name, [self.rewriter], panel)
        self.use(searcher(path(self.corpus), self.retriever, embedder))

    def use(self, searcher: Retriever) -> Self:
        """Look things up there."""
        self.searcher = searcher
        return self

    def estimate(self, query: Query, decision: Decision) -> Estimate:
        """Unknown: what passages bring is known once they are read."""
        return Estimate(quality=float("nan"))

    async def run(self, query: Query, context: PlanContext) -> AsyncIterator[Event]:
        """Events of one query.

        Where the rounds lead to no answer, the query is asked with the passages found so far.

        Raises
        ------
        AllAttemptsFailed
            When nobody answered, or the deadline passed.
        InvalidRequest
            When several answers were wanted.
        """
        one_answer_only(self.name, context.options)
        trip = Trip(self, query, context)
        if query.needs & {"tools", "vision"} or context.retrieval == NO_RETRIEVAL:
            asked = context.retrieval == NO_RETRIEVAL
            why = (
                "no retrieval: the client's wish"
                if asked
                else "requests with tools or images are not searched for"
            )
            yield Note(why, retrieval=Retrieval(strategy=NO_RETRIEVAL))
            async for event in Single().run(query, context):
                yield event
            return
        yield Note(retrieval=trip.lookups.told())
        async with aclosing(self._follow(trip)) as events:  # type: ignore[type-var]  # async generators
            async for event in events:
                yield event
        async with aclosing(trip.ending()) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    def _follow(self, trip: Trip) -> AsyncIterator[Event]:
        """Look things up; ends with `trip.answer`, or without: the query is then asked with the passages."""
        raise TypeError(f"{type(self).__name__} does not say how it looks things up")


class Trip:
    """One query under way."""

    def __init__(self, plan: RetrievalPlan, query: Query, context: PlanContext) -> None:
        self.plan, self.query, self.context = plan, query, context
        self.rounds = Rounds(query, context, plan.max_cost_usd)
        self.lookups = Lookups(plan)
        self.answer: Reply | None = None
        self.asker = context.ranking[0]
        """Who is asked on the way."""

    def use(self, models: Mapping[str, Model]) -> None:
        """Ask these, which stand for the same candidates."""
        self.context = self.rounds.context = msgspec.structs.replace(self.context, models=models)

    async def first(self) -> AsyncIterator[Event]:
        """The first look-up, by the rewritten query where somebody rewrites."""
        wanted = self.query.text
        if self.plan.rewriter is not None and self.plan.rewriter in self.context.models:
            reply, wanted = await rewritten(self.rounds, self.plan.rewriter)
            for attempt in reply.attempts:
                yield attempt
            yield Note(f"searched for {wanted[:200]!r}")
        await self.lookups.search(wanted)
        yield self.looked()

    def looked(self) -> Note:
        """What came of the last look-up."""
        return Note(self.lookups.wrong or "", retrieval=self.lookups.told())

    async def say(self, query: Query, **fields: Any) -> Reply | None:
        """One call on the way; None where the cost limit has no room for it and the answer."""
        names = (self.asker, self.asker)
        if not self.rounds.has_room(self.rounds.expected_usd(*names)):
            return None
        options = inner(self.context.options, max_tokens=self.plan.max_tokens, **fields)
        return await self.rounds.ask(query, (self.asker,), "step", options=options)

    async def ending(self) -> AsyncIterator[Event]:
        """The answer that was found, or the query asked with the passages; either with its citations."""
        if self.answer is not None:
            assert self.answer.answer is not None
            events: AsyncIterator[Event] = self.rounds.given(self.answer)
        else:
            asked = with_passages(self.query, self.lookups.passages)
            context = narrowed(self.context, self.context.ranking, self.rounds.deadline)
            events = onward(self.rounds.spent, Single().run(asked, context))
        async with aclosing(cited(events, self.lookups)) as told:  # type: ignore[type-var]
            async for event in told:
                yield event


def searcher(file: Path, name: str, embedder: Embedder) -> Retriever:
    """A retriever over a corpus on disk.

    Raises
    ------
    ConfigError
        If there is no such file.
    StoreError
        If it is damaged.
    """
    if not file.is_file():
        raise ConfigError(f"no corpus at {file}; `suffice corpus add --corpus {file}` makes one")
    try:
        return retrieval.create(name, retrieval.Corpus(file), embedder=embedder)
    except StoreError as error:
        raise ConfigError(str(error)) from error


def with_passages(query: Query, passages: Sequence[Passage], *, first: int = 1) -> Query:
    """The conversation with quoted passages before its last user message; routers see the same text."""
    if not passages:
        return query
    data = retrieval.as_data(passages, first=first)
    messages: list[Any] = list(query.chat())
    users = [place for place, one in enumerate(messages) if one.get("role") == "user"]
    place = users[-1] if users else len(messages) - 1
    content = messages[place].get("content")
    if isinstance(content, list):
        put: Any = [{"type": "text", "text": data}, *content]
    else:
        put = f"{data}\n\n{content or ''}"
    messages[place] = {**messages[place], "content": put}
    return msgspec.structs.replace(query, messages=messages)


async def cited(events: AsyncIterator[Event], lookups: Lookups) -> AsyncIterator[Event]:
    """The same events; the body, the last chunk and a note say which passages the answer names."""
    parts: list[str] = []
    found: Retrieval | None = None
    async with aclosing(events) as running:  # type: ignore[type-var]  # plans are async generators
        async for event in running:
            if isinstance(event, Answer):
                found = lookups.told(event.content)
                yield Note(retrieval=found)
                yield msgspec.structs.replace(event, body=_with(event.body, found)) if event.body else event
            elif isinstance(event, Chunk):
                parts.append(event.text)
                if event.finish_reason is not None and event.data:
                    told = found or lookups.told("".join(parts))
                    yield msgspec.structs.replace(event, data=_with(event.data, told))
                else:
                    yield event
            else:
                yield event


def _with(data: bytes, told: Retrieval) -> bytes:
    """A JSON object with `citations` in it; as it is where there are none."""
    if not told.citations:
        return data
    value = msgspec.json.decode(data)
    if not isinstance(value, dict):
        return data
    return msgspec.json.encode({**value, "citations": told.citations})


def plain(options: Options) -> bool:
    """Whether text as it comes is a fit answer: nobody asked for JSON, or for its log-probabilities."""
    return not options.fields.get("response_format") and not options.wants_logprobs
