"""What the numeric cores take, worked out of the evidence once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np

from suffice.confidence import meaning_clusters
from suffice.confidence.base import Unavailable
from suffice.plans.probes.answers import answer_key, answered_label
from suffice.plans.probes.base import Evidence, Said
from suffice.plans.probes.meaning import ByAnswer, Meaning
from suffice.protocols import Embedder
from suffice.types import FloatArray, IntArray

_SAME: Final = 0.5


class Absent(Exception):
    """A signal cannot be had; `args[0]` says why."""


class Facts:
    """One query's evidence as arrays. A property raises `Absent` where what it needs is not there."""

    def __init__(
        self, evidence: Evidence, meaning: Meaning | None = None, embedder: Embedder | None = None
    ) -> None:
        """
        Parameters
        ----------
        meaning : how answers are compared; by what counts of them where nothing is given
        embedder : for signals that leave tokens out of a text; None: these are absent
        """
        self.evidence, self.meaning, self.embedder = evidence, meaning or ByAnswer(), embedder

    def said(self, probe: str) -> tuple[Said, ...]:
        found = self.evidence.all(probe)
        if not found:
            raise Absent(f"{probe}: {self.evidence.missing.get(probe, 'nothing was asked')}")
        return found

    def key(self, said: Said) -> str | None:
        """What counts of an answer; None where nothing was answered."""
        return answer_key(said.text, self.evidence.kind, self.evidence.labels) or None

    def label(self, said: Said) -> str | None:
        return answered_label(said.text, self.evidence.labels)

    @cached_property
    def greedy(self) -> Said:
        return self.said("greedy")[0]

    @cached_property
    def answer(self) -> str:
        """What counts of the answer that is judged."""
        key = self.key(self.greedy)
        if key is None:
            raise Absent("the answer is empty")
        return key

    @cached_property
    def logprobs(self) -> list[float]:
        return logprobs(self.greedy)

    @cached_property
    def top(self) -> list[list[float]]:
        """Per token of the answer the logarithms of the likeliest ones' probabilities."""
        logprobs(self.greedy)
        return [[value for _, value in token.top] for token in self.greedy.tokens or ()]

    @cached_property
    def samples(self) -> tuple[Said, ...]:
        return self.said("samples")

    @cached_property
    def sample_keys(self) -> list[str | None]:
        return [self.key(said) for said in self.samples]

    @cached_property
    def sample_logprobs(self) -> list[list[float]]:
        return [logprobs(said) for said in self.samples]

    @cached_property
    def relation(self) -> FloatArray:
        """How far the answer (first) and the samples mean the same, each pair."""
        found = self.meaning.relate(self.evidence, [self.greedy.text, *(said.text for said in self.samples)])
        if found is None:
            raise Absent(f"same_meaning: {self.evidence.missing.get('same_meaning', 'nothing was asked')}")
        return found

    @cached_property
    def clusters(self) -> IntArray:
        """The meaning of each sample."""
        return meaning_clusters.from_entailment(self.relation[1:, 1:] > _SAME)

    @cached_property
    def without_each_token(self) -> FloatArray:
        """How close the answer stays to itself when one token is left out."""
        if self.embedder is None:
            raise Absent("no embedder to compare texts with")
        pieces = [token.token for token in self.greedy.tokens or ()]
        texts = ["".join(pieces[:i] + pieces[i + 1 :]) for i in range(len(pieces))]
        vectors = self.embedder.embed(["".join(pieces), *texts]).astype(np.float64)
        found: FloatArray = np.clip(vectors[1:] @ vectors[0], 0.0, 1.0)
        return found


def logprobs(said: Said) -> list[float]:
    """Of its tokens.

    Raises
    ------
    Absent
        Where there are none, with the provider's reason.
    """
    if not said.tokens:
        raise Absent(said.no_logprobs or "no log-probabilities")
    return [token.logprob for token in said.tokens]


def first_token(said: Said) -> dict[str, float]:
    """The likeliest first tokens and their log-probabilities; equal spellings add up elsewhere."""
    logprobs(said)
    token = (said.tokens or ())[0]
    return {token.token: token.logprob, **dict(token.top)}


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def absent(error: Absent) -> Unavailable:
    return Unavailable(str(error.args[0]))
