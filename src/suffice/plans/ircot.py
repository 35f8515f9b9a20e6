"""Reasoning and look-ups in turn: every sentence of reasoning is the next search query.

References
----------
Trivedi et al. (2023), Interleaving Retrieval with Chain-of-Thought Reasoning (IRCoT), arXiv 2212.10509,
section 3: retrieve with the question, then write a sentence and retrieve with it, in turn, until the answer
is said or the cap is reached; a reader answers from all passages. Departure: told in words, not by examples.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

from suffice.plans.base import Event, Note
from suffice.plans.lookups import RetrievalPlan, Trip
from suffice.plans.rounds import transcript
from suffice.plans.sentences import first_sentence
from suffice.plans.usable import fault
from suffice.retrieval import as_data
from suffice.types import Options, Query

_PROMPT: Final = """\
{passages}

Question: {question}

Reason towards the answer, one sentence at a time. Your sentences so far:
{thoughts}

Write the next sentence only. It says one fact that a passage states, or names the next thing to find out. \
When the answer follows from what is there, begin the sentence with "So the answer is"."""
_ANSWERED: Final = re.compile(r"\banswer is\b", re.IGNORECASE)


class Ircot(RetrievalPlan):
    """The plan `ircot`."""

    name = "ircot"

    def __init__(
        self,
        corpus: str = "corpus.db",
        retriever: str = "fts5",
        k: int = 3,
        rewriter: str | None = None,
        max_lookups: int = 3,
        max_tokens: int = 96,
        max_characters: int = 16_000,
        max_cost_usd: float | None = None,
        min_lookups: int = 1,
    ) -> None:
        """
        Parameters
        ----------
        corpus, retriever, k, rewriter, max_lookups, max_tokens, max_characters, max_cost_usd : as of
            `RetrievalPlan`
        min_lookups : a sentence that says the answer before so many are made is looked up all the same; 2 for
            small models, which say it at once

        Raises
        ------
        ValueError
            If a number is out of range.
        """
        if not 1 <= min_lookups <= max_lookups:
            raise ValueError("min_lookups is from 1 to max_lookups")
        super().__init__(
            corpus, retriever, k, rewriter, max_lookups, max_tokens, max_characters, max_cost_usd
        )
        self.min_lookups = min_lookups

    async def _follow(self, trip: Trip) -> AsyncIterator[Event]:
        """Gather passages; the reader is asked with all of them."""
        async for event in trip.first():
            yield event
        thoughts: list[str] = []
        while not trip.lookups.is_over and trip.lookups.passages:
            reply = await trip.say(_step(trip, thoughts))
            if reply is None:
                yield Note("the cost limit has no room for another step")
                return
            for attempt in reply.attempts:
                yield attempt
            why = fault(reply, Options())
            if why is not None or reply.answer is None:
                yield Note(f"step {len(thoughts) + 1}: {why}")
                return
            thought = first_sentence(reply.answer.content)
            is_enough = trip.lookups.n >= self.min_lookups
            if (is_enough and _ANSWERED.search(thought)) or thought in thoughts:
                return
            thoughts.append(thought)
            await trip.lookups.search(thought)
            yield trip.looked()


def _step(trip: Trip, thoughts: list[str]) -> Query:
    """What is asked for the next sentence; filled in one pass, so that no text fills another's place."""
    values = {
        "{passages}": as_data(trip.lookups.passages),
        "{question}": transcript(trip.query.chat()),
        "{thoughts}": "\n".join(thoughts) or "(none yet)",
    }
    filled = re.sub(r"\{(?:passages|question|thoughts)\}", lambda place: values[place[0]], _PROMPT)
    return Query(text=filled, user=trip.query.user, tags=trip.query.tags)
