"""Few-shot self-verification: a model says several times whether its own answer is correct.

References
----------
Aggarwal et al. (2024), AutoMix, section 3.1: the verifier is the model that answered, asked `k` times at a
temperature above 0; the share of "Correct" is the evidence that a meta-verifier weighs. The examples are
our own: shorter than the paper's, and a second set does without a context. What the replies come to is
`suffice.cascades.automix.share`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from suffice.errors import ConfigError
from suffice.plans.probes.base import Caller, Evidence, Said
from suffice.plans.probes.told import told
from suffice.types import Query

VERSION: Final = 1
GROUNDED: Final = """\
You check answers against a text. Reason in one or two sentences, then decide: Correct or Incorrect.

Text: The library opens at 9:00 on weekdays. On Saturdays it opens one hour later and closes at 14:00.
Question: When does the library open on Saturdays?
Proposed answer: 9:00
Check: On weekdays it is 9:00, on Saturdays one hour later, which is 10:00.
Decision: Incorrect

Text: Ines sold 12 of her 20 paintings in May. The others went to her sister.
Question: Who got the paintings that were not sold?
Proposed answer: Her sister got the remaining 8 paintings.
Check: The text says that the others went to her sister, and 20 - 12 = 8.
Decision: Correct

Text: Boats to the north quay run daily. Boats to the south quay run on Mondays only.
Question: What does a boat ticket cost?
Proposed answer: 5 crowns
Check: The text names no price, so the answer is not from it.
Decision: Incorrect

Text: {context}
Question: {question}
Proposed answer: {answer}
Check:"""
FREE: Final = """\
You check answers to questions. Reason in one or two sentences, then decide: Correct or Incorrect.

Question: A pen costs 3 euros and a book costs 4 times as much. What do both cost together?
Proposed answer: 12 euros
Check: The book costs 12 euros; with the pen both cost 15 euros.
Decision: Incorrect

Question: Which planet is closest to the sun?
Proposed answer: Mercury
Check: Mercury is the innermost planet.
Decision: Correct

Question: {question}
Proposed answer: {answer}
Check:"""
_PLACES: Final = {"grounded": ("{context}", "{question}", "{answer}"), "free": ("{question}", "{answer}")}
_PLACE: Final = re.compile(r"\{(context|question|answer)\}")
_QUESTION: Final = re.compile(r"^\s*(?:question|q)\s*:\s*", re.IGNORECASE | re.MULTILINE)
_SHORTEST_CONTEXT: Final = 150


class Verification:
    """`k` verdicts on the answer; those that fail are left out."""

    name = "verification"
    after: tuple[str, ...] = ("greedy",)

    def __init__(
        self,
        k: int = 8,
        temperature: float = 1.0,
        max_tokens: int = 120,
        grounded: str = GROUNDED,
        free: str = FREE,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        k : at least 1; 8 in the paper
        grounded, free : prompts, with the places {context}, {question} and {answer}

        Raises
        ------
        ConfigError
            If a prompt lacks one of its places.
        """
        for kind, prompt in (("grounded", grounded), ("free", free)):
            for place in _PLACES[kind]:
                if place not in prompt:
                    raise ConfigError(f"the prompt {kind!r} of the verification has no {place}")
        if k < 1 or temperature < 0:
            raise ConfigError(
                f"{k} verifications at temperature {temperature}: need at least one, at least 0"
            )
        self.k, self.temperature, self.max_tokens = k, temperature, max_tokens
        self.grounded, self.free, self.seed = grounded, free, seed

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        prompt = self.prompt(so_far.question, told(so_far))
        return await caller.together(
            [
                caller(
                    prompt,
                    max_tokens=self.max_tokens,
                    temperature=self.temperature,
                    seed=self.seed + place + 1,
                )
                for place in range(self.k)
            ]
        )

    def prompt(self, text: str, answer: str) -> str:
        """What is asked about that answer to that query."""
        context, question = split(text)
        found = {"context": context or "", "question": question, "answer": answer}
        prompt = self.free if context is None else self.grounded
        return _PLACE.sub(lambda place: found[place[1]], prompt)


def split(text: str) -> tuple[str | None, str]:
    """A query's context and its question; without a context the whole is the question.

    The question follows a last "Question:" at the start of a line, or is the last of several paragraphs
    behind at least 150 characters.

    Examples
    --------
    >>> split("Which planet is closest to the sun?")
    (None, 'Which planet is closest to the sun?')
    >>> split("The shop is shut.\\nQuestion: Is it open?")
    ('The shop is shut.', 'Is it open?')
    """
    marks = list(_QUESTION.finditer(text))
    if marks and (context := text[: marks[-1].start()].strip()):
        return context, text[marks[-1].end() :].strip()
    context, _, question = text.strip().rpartition("\n\n")
    if len(context) >= _SHORTEST_CONTEXT and question.strip():
        return context.strip(), question.strip()
    return None, text.strip()
