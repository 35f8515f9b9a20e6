"""An answer that is written on until a word in it is not sure: look up, and write on from there.

What is drafted is kept as far as it is sure. Under greedy decoding the rest of an answer is the same whether
it is drafted sentence by sentence or at once, so that one call drafts all of it and a look-up costs one more.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

import msgspec

from suffice.plans.asking import AskedForLogprobs
from suffice.plans.base import Event, Note
from suffice.plans.composed import composed
from suffice.plans.confidence import N_ALTERNATIVES
from suffice.plans.lookups import RetrievalPlan, Trip, plain, with_passages
from suffice.plans.sentences import joined, sentences, spoken
from suffice.plans.usable import fault
from suffice.types import Answer, Query, TokenLogprob

_ON: Final = """\
Go on with your answer from exactly where it stops. Do not repeat what is there, and do not comment on it. \
Where it is complete already, write END alone."""
_DONE: Final = "END"


class Unsure(NamedTuple):
    """Where a draft is not to be trusted."""

    n_kept: int
    """Tokens before that place, which stay."""
    query: str
    """What to look for."""


class DraftingPlan(RetrievalPlan):
    """What FLARE and DRAGIN share; `trigger` tells them apart."""

    def __init__(self, corpus: str, retriever: str, k: int, max_lookups: int, max_tokens: int) -> None:
        super().__init__(corpus, retriever, k, None, max_lookups, max_tokens)
        self._asked = AskedForLogprobs(N_ALTERNATIVES)

    def trigger(self, tokens: Sequence[TokenLogprob], question: str) -> Unsure | None:
        """The first place of a draft that is not sure; None: all of it is."""
        raise TypeError(f"{type(self).__name__} does not say what is unsure")

    async def _follow(self, trip: Trip) -> AsyncIterator[Event]:
        """Draft, look up, write on; no more look-ups than `max_lookups`, and one call more than those."""
        trip.use(self._asked.of(trip.context.models))
        written = ""
        is_fresh = False
        """Passages have just come: what they lead to is kept as far as a first sentence."""
        for _ in range(self.max_lookups + 1):
            reply = await trip.say(_drafted(trip, written))
            if reply is None:
                yield Note("the cost limit has no room for another draft")
                return
            for attempt in reply.attempts:
                yield attempt
            answer = reply.answer
            if answer is None or fault(reply, trip.context.options) == "refused":
                return
            if not answer.logprobs and not trip.lookups.n:
                yield Note(f"drafts cannot be judged ({answer.no_logprobs or 'no log-probabilities came'})")
                async for event in trip.first():
                    yield event
                return
            tokens = spoken(answer.logprobs or ())
            unsure = self._unsure(tokens, trip.query.text, is_fresh)
            if unsure is None or trip.lookups.is_over:
                self._finish(trip, written + _text(answer, tokens), answer)
                return
            new = await trip.lookups.search(unsure.query)
            why = "" if trip.lookups.wrong is None else f": {trip.lookups.wrong}"
            yield Note(f"unsure, searched for {unsure.query[:120]!r}{why}", retrieval=trip.lookups.told())
            if not new:  # nothing will be surer than this
                self._finish(trip, written + _text(answer, tokens), answer)
                return
            written += joined(tokens[: unsure.n_kept])
            if tokens[unsure.n_kept].token[:1].isspace() and not written[-1:].isspace():
                written += " "  # what follows comes without the blank of the token that it replaces
            is_fresh = True

    def _unsure(self, tokens: Sequence[TokenLogprob], question: str, is_fresh: bool) -> Unsure | None:
        """As `trigger`; what was written with fresh passages stands for a sentence, sure or not."""
        skipped = sentences(tokens)[:1] if is_fresh else []
        n_skipped = sum(map(len, skipped))
        found = self.trigger(tokens[n_skipped:], question)
        return None if found is None else Unsure(found.n_kept + n_skipped, found.query)

    def _finish(self, trip: Trip, text: str, last: Answer) -> None:
        """The text is the answer, where it is of the shape that is wanted; else the query is asked whole."""
        bare = text.strip()
        if bare.endswith(_DONE):
            bare = bare.removesuffix(_DONE).rstrip()
        whole = msgspec.structs.replace(last, usage=trip.rounds.spent.usage)
        reply = composed(bare, whole, trip.context)
        is_cut = last.finish_reason == "length"
        if not is_cut and plain(trip.context.options) and fault(reply, trip.context.options) is None:
            trip.answer = reply


def _drafted(trip: Trip, written: str) -> Query:
    """The query with what is known and written so far."""
    asked = with_passages(trip.query, trip.lookups.passages)
    if not written.strip():
        return asked
    turns = [{"role": "assistant", "content": written.strip()}, {"role": "user", "content": _ON}]
    return msgspec.structs.replace(asked, messages=[*asked.chat(), *turns])


def _text(answer: Answer, tokens: Sequence[TokenLogprob]) -> str:
    return joined(tokens) if tokens else answer.content


def probability(token: TokenLogprob) -> float:
    return math.exp(min(token.logprob, 0.0))
