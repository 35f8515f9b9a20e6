"""A policy thinks, searches, reads and answers: Search-R1, with any candidate as the policy.

The language is that of `router_r1` (`suffice.plans.thinking`), with a search engine in place of models; a
policy is trained for it as for that one (`suffice.distillation`, with `PROMPT` and a scene without names).

References
----------
Jin et al. (2025), Search-R1: Training LLMs to Reason and Leverage Search Engines with Reinforcement Learning,
arXiv 2503.09516, section 3 and table 1. Departures: rounds are turns of a chat; a malformed reply is told
what is wrong with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from suffice.plans.asking import Reply
from suffice.plans.base import Event, Note, check_names
from suffice.plans.composed import composed
from suffice.plans.lookups import RetrievalPlan, Trip, plain
from suffice.plans.rounds import transcript
from suffice.plans.thinking import STOPS, Finish, Search, Thread
from suffice.plans.usable import fault
from suffice.protocols import Embedder
from suffice.retrieval import as_data
from suffice.types import Candidate, Query

PROMPT: Final = """\
Answer the question at the end. First reason inside <think> ... </think>, and again whenever you receive new \
information. If some knowledge is missing, call a search engine by writing <search> query </search>. It \
returns the best passages between <information> and </information>. You may search {most} times at most; do \
not search for what you know, nor for the same again. When you know enough, write the final answer, complete \
and in the form that the question wants, inside <answer> ... </answer>. Every reply ends with one <search> \
or one <answer>.

Question: {question}"""


class SearchR1(RetrievalPlan):
    """The plan `search_r1`."""

    name = "search_r1"

    def __init__(
        self,
        corpus: str = "corpus.db",
        policy: str | None = None,
        retriever: str = "fts5",
        k: int = 3,
        max_steps: int = 4,
        max_tokens: int = 384,
        max_characters: int = 16_000,
        max_cost_usd: float | None = None,
    ) -> None:
        """
        Parameters
        ----------
        policy : the candidate that thinks; None: the first of the ranking
        max_steps : replies of the policy, its answer among them, at least 2
        corpus, retriever, k, max_tokens, max_characters, max_cost_usd : as of `RetrievalPlan`

        Raises
        ------
        ValueError
            If a number is out of range.
        """
        if max_steps < 2:
            raise ValueError("max_steps is at least 2")
        super().__init__(corpus, retriever, k, None, max_steps - 1, max_tokens, max_characters, max_cost_usd)
        self.policy, self.max_steps = policy, max_steps

    def prepare(self, *, path: Callable[[str], Path], embedder: Embedder, panel: Sequence[Candidate]) -> None:
        """Raises where the policy is not in the panel, or the corpus cannot be opened."""
        check_names(self.name, [self.policy], panel)
        super().prepare(path=path, embedder=embedder, panel=panel)

    async def _follow(self, trip: Trip) -> AsyncIterator[Event]:
        """Until the policy answers, fails or has used its replies."""
        trip.asker = next((name for name in trip.context.ranking if name == self.policy), trip.asker)
        thread = Thread(transcript(trip.query.chat()), (), max_steps=self.max_steps, prompt=PROMPT)
        while not thread.is_over:
            asked = Query(text=thread.messages[-1]["content"], messages=tuple(thread.messages))
            reply = await trip.say(asked, stop=list(STOPS))
            if reply is None:
                yield Note("the cost limit has no room for another step")
                return
            for attempt in reply.attempts:
                yield attempt
            if reply.answer is None:
                yield Note(f"{trip.asker} failed ({type(reply.error).__name__})")
                return
            action = thread.take(reply.answer.content)
            if isinstance(action, Finish):
                self._finish(trip, composed(action.text, reply.answer, trip.context))
                yield Note(f"{trip.asker} answered in step {thread.n_steps}")
                return
            if not isinstance(action, Search):
                yield Note(f"step {thread.n_steps}: {action.why}")
                thread.complain(action.why)
            elif not thread.is_over:
                await _search(trip, thread, action)
                yield trip.looked()

    def _finish(self, trip: Trip, made: Reply) -> None:
        if plain(trip.context.options) and fault(made, trip.context.options) is None:
            trip.answer = made


async def _search(trip: Trip, thread: Thread, action: Search) -> None:
    """Tell the policy what was found."""
    first = len(trip.lookups.passages) + 1
    new = await trip.lookups.search(action.query)
    if new:
        thread.inform(as_data(new, first=first))
    else:
        thread.complain(trip.lookups.wrong or "nothing was found")
