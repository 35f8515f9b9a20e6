"""Whether the model, shown its answer, calls it true.

References
----------
Kadavath et al. (2022), Language Models (Mostly) Know What They Know, section 4. Aggarwal et al. (2023),
AutoMix, section 3.1, for the share of several such verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from suffice.plans.probes.base import Caller, Evidence, Said
from suffice.plans.probes.told import told
from suffice.types import Query

VERSION: Final = 1
_PROMPT: Final = """\
Question: {question}

Proposed answer: {answer}

Is the proposed answer correct? Reply with one word: True or False."""
_TOP: Final = 10
"""The two words in several spellings have to be among them."""


class PTrue:
    """One greedy verdict with logprobs, then `n_votes` drawn ones for those who have no logprobs."""

    name = "p_true"
    after: tuple[str, ...] = ("greedy",)

    def __init__(self, n_votes: int = 4, temperature: float = 0.8, seed: int = 0) -> None:
        self.n_votes, self.temperature, self.seed = n_votes, temperature, seed

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        question = _PROMPT.format(question=so_far.question, answer=told(so_far))
        verdict = await caller(question, max_tokens=4, top=_TOP)
        if not self.n_votes:
            return [verdict]
        votes = await caller.together(
            [
                caller(question, max_tokens=4, temperature=self.temperature, seed=self.seed + place + 1)
                for place in range(self.n_votes)
            ]
        )
        return [verdict, *votes]
