"""Which answers mean the same: by what counts of them, by vectors, by an NLI model, or by a judge's word.

References
----------
Farquhar et al. (2024), Detecting hallucinations using semantic entropy, Methods: two answers share a meaning
when each entails the other; an answer joins the first cluster whose first member it means.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Final, Protocol

import numpy as np

from suffice.confidence import p_true
from suffice.plans.probes.answers import answer_key
from suffice.plans.probes.base import Caller, Evidence, Said
from suffice.protocols import Embedder, Model
from suffice.types import FloatArray, Query

VERSION: Final = 1
_PROMPT: Final = """\
Question: {question}

First answer: {first}

Second answer: {second}

As answers to the question, do both say the same? Reply with one word: Yes or No."""
_MAX_CHARS: Final = 1_000


class Meaning(Protocol):
    """How far answers mean the same."""

    def relate(self, evidence: Evidence, texts: Sequence[str]) -> FloatArray | None:
        """(n, n) in [0, 1], 1 on the diagonal; row i, column j: how far i entails j. None: not known."""
        ...


class Entailment(Protocol):
    """An NLI model."""

    def probabilities(self, premises: Sequence[str], hypotheses: Sequence[str]) -> FloatArray:
        """(n, 3): of entailment, neutrality and contradiction; rows sum to 1."""
        ...


class ByAnswer:
    """1 where what counts of both answers is equal, else 0. Needs nothing; right for short answers."""

    def relate(self, evidence: Evidence, texts: Sequence[str]) -> FloatArray | None:
        keys = np.array([answer_key(text, evidence.kind, evidence.labels) for text in texts], dtype=object)
        return np.asarray(keys[:, None] == keys[None, :], dtype=np.float64)


class ByEmbedding:
    """The cosine of vectors, cut at 0. Says little of short answers: "85" and "86" are close."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def relate(self, evidence: Evidence, texts: Sequence[str]) -> FloatArray | None:
        vectors = self.embedder.embed(list(texts)).astype(np.float64)
        found = np.clip(vectors @ vectors.T, 0.0, 1.0)
        np.fill_diagonal(found, 1.0)
        return found


class ByEntailment:
    """An NLI model's probability of entailment, the question put before both answers."""

    def __init__(self, model: Entailment) -> None:
        self.model = model

    def relate(self, evidence: Evidence, texts: Sequence[str]) -> FloatArray | None:
        pairs = list(permutations(range(len(texts)), 2))
        whole = [f"{evidence.question} {text}" for text in texts]
        found = np.eye(len(texts))
        if pairs:
            said = self.model.probabilities([whole[i] for i, _ in pairs], [whole[j] for _, j in pairs])
            for (i, j), p in zip(pairs, said[:, 0], strict=True):
                found[i, j] = p
        return found


class ByJudge:
    """What the probe `same_meaning` heard; equal answers were not asked about."""

    def relate(self, evidence: Evidence, texts: Sequence[str]) -> FloatArray | None:
        said = evidence.all("same_meaning")
        keys = [answer_key(text, evidence.kind, evidence.labels) for text in texts]
        if len(set(keys)) > 1 and not said:
            return None
        heard = {one.asked: p_true.parse(one.text) for one in said}
        found = np.eye(len(texts))
        for i, j in permutations(range(len(texts)), 2):
            found[i, j] = 1.0 if keys[i] == keys[j] else float(heard.get(_pair(keys[i], keys[j])) or False)
        return found


class SameMeaning:
    """Every two different samples put to a judge, in both orders."""

    name = "same_meaning"
    after: tuple[str, ...] = ("samples",)

    def __init__(self, judge: Model | None = None) -> None:
        """
        Parameters
        ----------
        judge : None: the model itself
        """
        self.judge = judge

    async def ask(self, caller: Caller, query: Query, so_far: Evidence) -> Sequence[Said]:
        asked = caller.to(self.judge) if self.judge else caller
        first_of: dict[str, str] = {}
        for said in so_far.all("samples"):
            first_of.setdefault(answer_key(said.text, so_far.kind, so_far.labels), said.text[:_MAX_CHARS])
        calls = [
            asked(
                _PROMPT.format(question=so_far.question, first=first_of[one], second=first_of[other]),
                max_tokens=4,
                note=_pair(one, other),
            )
            for one, other in permutations(first_of, 2)
        ]
        try:
            return await asked.together(calls) if calls else []
        finally:
            if asked is not caller:
                caller.effort, caller.failures = asked.effort, asked.failures


def _pair(one: str, other: str) -> str:
    return f"{one}\n{other}"
