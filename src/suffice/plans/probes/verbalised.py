"""The model's own word on how sure it is, in numbers.

References
----------
Tian et al. (2023), Just Ask for Calibration, for guesses with probabilities. Xiong et al. (2024), Can LLMs
Express Their Uncertainty?, for reasons before the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from suffice.plans.probes.base import Caller, Evidence, Said
from suffice.plans.probes.told import told
from suffice.types import Query

VERSION: Final = 1
_DOUBT: Final = """\
Question: {question}

Proposed answer: {answer}

Why might this answer be wrong? Name the most likely mistake in one or two short sentences."""
_NUMBER: Final = """\
Now say how sure you are that the proposed answer is right, as a whole number from 1 (surely wrong) to 10 \
(surely right). Reply with the number only."""
_GUESSES: Final = """\
Question: {question}

Give your {k} best guesses, each with the probability from 0 to 100 % that it is right. Write nothing but \
{lines} lines of this form:
{form}"""


class Verbalised:
    """First "why might this be wrong?", then a number: two calls about the greedy answer."""

    name = "verbalised"
    after: tuple[str, ...] = ("greedy",)

    def __init__(self, max_tokens: int = 80) -> None:
        self.max_tokens = max_tokens

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        """The doubt, then the number."""
        question = _DOUBT.format(question=so_far.question, answer=told(so_far))
        doubt = await caller(question, max_tokens=self.max_tokens)
        number = await caller(
            [
                {"role": "user", "content": question},
                {"role": "assistant", "content": doubt.text or "I do not see a mistake."},
                {"role": "user", "content": _NUMBER},
            ],
            max_tokens=12,
        )
        return [number, doubt]


class TopK:
    """`k` guesses with a probability each, in one call."""

    name = "top_k"
    after: tuple[str, ...] = ()

    def __init__(self, k: int = 3, max_tokens: int = 160) -> None:
        self.k, self.max_tokens = k, max_tokens

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        form = "\n".join(f"G{i}: guess {i}\nP{i}: its probability" for i in range(1, self.k + 1))
        question = _GUESSES.format(k=self.k, lines=2 * self.k, form=form, question=so_far.question)
        return [await caller(question, max_tokens=self.max_tokens)]
