"""What a language model is taught, in token numbers: a prompt, and what is to follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from suffice.errors import ConfigError
from suffice.types import FloatArray

PLACE: Final = "{query}"
ANSWER: Final = "\n\nAnswer:"
REASONING: Final = "\n\nReasoning:"
_CHARACTERS_PER_TOKEN: Final = 32
"""More than any tokenizer puts into one on average: what lies beyond is not looked at."""

Soft = tuple[tuple[int, ...], tuple[float, ...]]
"""Tokens and the teacher's probabilities of them, at one place."""


@dataclass(frozen=True)
class Lesson:
    """One prompt with what is to be said."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]
    """At least one token."""
    weight: float = 1.0
    truth: FloatArray | None = None
    """(K,), sums to 1: of a classification, what the first token of the target should be. None: the
    target's own first token."""
    soft: tuple[Soft | None, ...] = ()
    """The teacher's likeliest tokens at each place of the target; empty, or None at a place: unknown."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


def default_prompt(instruction: str) -> str:
    """Instruction, query and "Answer:", as a template."""
    head = f"{instruction.strip()}\n\n" if instruction.strip() else ""
    return f"{head}{PLACE}{ANSWER}"


def check_prompt(prompt: str) -> str:
    """The template itself, if it has one place for the query; else a ConfigError."""
    if prompt.count(PLACE) != 1:
        raise ConfigError(f"prompt {prompt!r}: {PLACE} must stand in it once, where the query goes")
    return prompt


class Writing:
    """Texts to token numbers, with a tokenizer of `routers/encoder`."""

    def __init__(self, tokenizer: Any, prompt: str, *, end: int | None, max_length: int) -> None:
        """
        Parameters
        ----------
        tokenizer : has `bare` and `encode`
        prompt : a template with `{query}`
        end : the token that ends an answer; None where the model has none
        max_length : of prompt and target together; a longer query loses its end, a longer target too
        """
        self.tokenizer, self.end, self.max_length = tokenizer, end, max_length
        self.before, _, self.after = check_prompt(prompt).partition(PLACE)

    def prompt(self, query: str, room: int, after: str | None = None) -> tuple[int, ...]:
        """The template around a query, at most `room` tokens; what stands around it is never cut."""
        end = self.tokenizer.bare(self.after if after is None else after)
        clean = _clean(query[: _CHARACTERS_PER_TOKEN * self.max_length])
        return (*self.tokenizer.encode(self.before + clean, max(room - len(end), 1)), *end)

    def target(self, text: str) -> tuple[int, ...]:
        """What follows a prompt: a blank, the text, the end; at most half of the room."""
        tokens = tuple(self.tokenizer.bare(" " + _clean(text).strip()))
        ends = () if self.end is None else (self.end,)
        return (*tokens[: self.max_length // 2 - len(ends)], *ends)

    def lesson(self, query: str, text: str, *, weight: float = 1.0, after: str | None = None) -> Lesson:
        target = self.target(text)
        return Lesson(self.prompt(query, self.max_length - len(target), after), target, weight)

    def first_tokens(self, labels: Sequence[str]) -> tuple[int, ...]:
        """(K,): the token by which each label is known.

        Raises
        ------
        ConfigError
            If two labels begin alike: then they cannot be told apart in one step.
        """
        firsts = tuple(self.target(label)[0] for label in labels)
        for place, token in enumerate(firsts):
            if token in firsts[:place]:
                twin = labels[firsts.index(token)]
                raise ConfigError(
                    f"the labels {twin!r} and {labels[place]!r} begin with the same token of this base: "
                    "rename one of them (a student's labels may be mapped back), or train a head"
                )
        return firsts


def one_hot(places: Sequence[int], n: int) -> FloatArray:
    """(len(places), n) rows that are 1 at one place."""
    return np.eye(n, dtype=np.float64)[np.asarray(places, np.intp)]


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # a lone surrogate is no text to a tokenizer
