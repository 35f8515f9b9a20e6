"""The question in other words, each answered greedily: an answer that hangs on the wording is not known.

References
----------
Ding et al. (2024), Retrieve Only When It Needs (Rowen): consistency over paraphrases. Gao et al. (2024),
SPUQ: perturbed prompts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from suffice.datasets.grading import normalised_text
from suffice.errors import ProviderError
from suffice.plans.probes.base import TOP, Caller, Evidence, Said
from suffice.types import Query

VERSION: Final = 1
_PROMPT: Final = """\
Rewrite the question below in {n} different ways. Every version must ask for exactly the same thing and keep \
all numbers, names and conditions. Do not answer it. Write one version per line, numbered 1 to {n}.

Question: {question}"""
_LIST_MARK: Final = re.compile(r"^\s*(?:\(?\d{1,2}[.):]\)?|[-*\u2022])\s*")
_LABEL: Final = re.compile(r"^(?:question|version|rewrite)(?:\s+\d+)?\s*:\s*", re.IGNORECASE)
_LEAST_WORDS: Final = 3


class Paraphrases:
    """One call for the wordings, one for each answer."""

    name = "paraphrases"
    after: tuple[str, ...] = ()

    def __init__(
        self,
        n: int = 5,
        max_tokens: int = 512,
        temperature: float = 0.7,
        seed: int = 0,
        n_samples: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        n : wordings asked for; fewer are answered where the model repeats itself
        n_samples : further answers to every wording, at temperature 0.8: `rephrasing_within` needs one
        max_tokens : of an answer
        temperature, seed : of the call for wordings: at 0 small models write one line again and again
        """
        self.n, self.max_tokens, self.temperature, self.seed = n, max_tokens, temperature, seed
        self.n_samples = n_samples

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        question = so_far.question
        said = await caller(
            _PROMPT.format(n=self.n, question=question),
            max_tokens=self.n * (40 + 2 * len(question.split())),
            temperature=self.temperature,
            seed=self.seed + 1,
        )
        wordings = read_wordings(said.text, question)[: self.n]
        if not wordings:
            raise ProviderError("it gave no other wording of the question")
        if len(wordings) < self.n:
            caller.failures.append(f"{len(wordings)} of {self.n} wordings differ from the rest")
        return await caller.together(
            [
                caller(
                    reworded(query, question, wording),
                    max_tokens=self.max_tokens,
                    temperature=0.8 if sample else 0.0,
                    seed=self.seed + sample if sample else None,
                    top=TOP,
                    note=wording,
                )
                for wording in wordings
                for sample in range(1 + self.n_samples)
            ]
        )


def read_wordings(text: str, question: str) -> list[str]:
    """The lines that ask something, without marks, each once, without the question itself.

    Examples
    --------
    >>> read_wordings("Sure:\\n1. How old is she?\\n2) How old is she?\\n3. What is her age?", "Her age?")
    ['How old is she?', 'What is her age?']
    """
    seen, found = {normalised_text(question)}, []
    lines = [line for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if _LIST_MARK.match(line)]
    for line in marked or [line for line in lines if line.rstrip().endswith("?")]:
        wording = _LABEL.sub("", _LIST_MARK.sub("", line)).strip().strip("\"'").strip()
        key = normalised_text(wording)
        if len(wording.split()) >= _LEAST_WORDS and key not in seen:
            seen.add(key)
            found.append(wording)
    return found


def reworded(query: Query, question: str, wording: str) -> Query:
    """The query with the wording in the question's place; instructions around it stay."""
    text = query.text.replace(question, wording) if question and question in query.text else wording
    messages = [
        {**message, "content": text} if message.get("content") == query.text else message
        for message in query.messages
    ]
    return msgspec.structs.replace(query, text=text, messages=messages)
