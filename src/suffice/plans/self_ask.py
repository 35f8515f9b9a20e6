"""A question is answered through simpler ones that the model asks itself, each looked up.

References
----------
Press et al. (2023), Measuring and Narrowing the Compositionality Gap (self-ask), arXiv 2210.03350, section
3.2, with a search engine. Departures: rounds are turns of a chat; the engine returns passages, and the model
writes the intermediate answer itself; one solved example instead of four.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final

from suffice.plans.base import Event, Note
from suffice.plans.composed import composed
from suffice.plans.lookups import RetrievalPlan, Trip, plain
from suffice.plans.rounds import transcript
from suffice.plans.usable import fault
from suffice.retrieval import as_data
from suffice.types import Options, Query

_PROMPT: Final = """\
Answer a question by asking simpler ones first, as here:

Question: Was the designer of the Eiffel Tower's company founded before 1900?
Follow up: Who designed the Eiffel Tower?
Intermediate answer: The company of Gustave Eiffel.
Follow up: When was the company of Gustave Eiffel founded?
Intermediate answer: In 1866.
So the final answer is: Yes.

Every follow-up question is clear by itself; passages that may answer it will be shown to you. Write one \
line at a time: "Follow up:" and a question, or, when you know enough, "So the final answer is:" and the \
answer.

Question: {question}"""
_READ: Final = (
    'Write "Intermediate answer:" and what the passages say to your follow-up question. Then write another '
    '"Follow up:" line, or "So the final answer is:" and the answer.'
)
_LAST: Final = (
    'Write "So the final answer is:" and the answer to the question: {question}. No more can be looked up.'
)
_FOLLOW: Final = re.compile(r"follow[- ]?up(?: question)?\s*:\s*(.+)", re.IGNORECASE)
_FINAL: Final = re.compile(r"(?:so )?the final answer is\s*:?\s*(.+)", re.IGNORECASE | re.DOTALL)
_STOP: Final = ("\nIntermediate answer:", "\nQuestion:")


class SelfAsk(RetrievalPlan):
    """The plan `self_ask`."""

    name = "self_ask"

    def __init__(
        self,
        corpus: str = "corpus.db",
        retriever: str = "fts5",
        k: int = 3,
        max_lookups: int = 3,
        max_tokens: int = 128,
        max_characters: int = 16_000,
        max_cost_usd: float | None = None,
    ) -> None:
        """Parameters as of `RetrievalPlan`."""
        super().__init__(corpus, retriever, k, None, max_lookups, max_tokens, max_characters, max_cost_usd)

    async def _follow(self, trip: Trip) -> AsyncIterator[Event]:
        """At most a call for every look-up and one for the answer."""
        question = transcript(trip.query.chat())
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": _PROMPT.replace("{question}", question)}
        ]
        for _ in range(self.max_lookups + 1):
            asked = Query(text=messages[-1]["content"], messages=messages, user=trip.query.user)
            reply = await trip.say(asked, stop=list(_STOP))
            if reply is None:
                yield Note("the cost limit has no room for another question")
                return
            for attempt in reply.attempts:
                yield attempt
            why = fault(reply, Options())
            if why is not None or reply.answer is None:
                yield Note(f"self-ask: {why}")
                return
            said = reply.answer.content
            final, follow = _FINAL.search(said), _FOLLOW.search(said)
            if final is not None and (follow is None or final.start() < follow.start()):
                whole = composed(final[1].strip(), reply.answer, trip.context)
                if plain(trip.context.options) and fault(whole, trip.context.options) is None:
                    trip.answer = whole
                return
            if follow is None or trip.lookups.is_over:
                yield Note("self-ask: neither a follow-up question nor an answer")
                return
            wanted = follow[1].splitlines()[0].strip()
            first = len(trip.lookups.passages) + 1
            new = await trip.lookups.search(wanted)
            yield trip.looked()
            told = as_data(new, first=first) or f"Nothing was found: {trip.lookups.wrong}."
            then = _LAST.replace("{question}", question) if trip.lookups.is_over else _READ
            messages = [
                *messages,
                {"role": "assistant", "content": said[: follow.end()].strip()},
                {"role": "user", "content": f"{told}\n\n{then}"},
            ]
