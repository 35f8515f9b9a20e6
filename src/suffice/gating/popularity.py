"""Look things up where the query names what few people speak of: a model remembers what it read often.

References
----------
Mallen et al. (2023), When Not to Trust Language Models (PopQA), arXiv 2212.10511, section 6: retrieve where
the subject entity's monthly page views lie below a threshold. Departures: no entity is linked; the rarest
word or name of the query stands for it, by counts that are given, or else by how many training queries hold
it; one threshold for all rather than one per relation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.cascades import Move, Seen, ask
from suffice.errors import ConfigError
from suffice.gating.base import BaseGate, Pay
from suffice.gating.cuts import searched
from suffice.gating.looks import words
from suffice.gating.table import Strategies
from suffice.types import FloatArray, Query

_NAMES: Final = re.compile(r"(?<=[^\s.?!:] )[^\W\d_a-z]\w*(?:[ -](?:of |the |de |von )?[^\W\d_a-z]\w*)*")
"""Words that begin with a capital inside a sentence, those beside each other as one."""
_LONGEST: Final = 4


class Popularity(BaseGate):
    """Keeps to memory where even the rarest name is common."""

    name = "popularity"

    def __init__(
        self,
        *,
        counts: Mapping[str, float] | None = None,
        threshold: float | None = None,
        n_cuts: int = 20,
    ) -> None:
        """
        Parameters
        ----------
        counts : how often names or words are met (page views, occurrences in a large text), in any unit;
            None: in how many training queries
        threshold : of log(1 + count), below which things are looked up; None: learnt
        n_cuts : thresholds tried

        Raises
        ------
        ConfigError
            If a count is negative or no number.
        """
        self.counts, self.threshold, self.n_cuts = counts, threshold, n_cuts
        self.counts_ = {" ".join(words(name)): float(count) for name, count in (counts or {}).items()}
        if not all(0 <= count < np.inf for count in self.counts_.values()):
            raise ConfigError("popularity: counts are numbers from 0")

    def popularity(self, text: str) -> float:
        """log(1 + count) of the rarest name, or of the rarest word where none is named."""
        named = [words(name) for name in _NAMES.findall(text)]
        found = [self._count(run) for run in (named or [words(text)]) if run]
        return float(np.log1p(min(found))) if found else 0.0

    def _count(self, run: Sequence[str]) -> float:
        """Of a run of words: as few as its rarest part, parts being as long as they are known."""
        counts, at = [], 0
        while at < len(run):
            ends = range(min(len(run), at + _LONGEST), at, -1)
            end = next((end for end in ends if " ".join(run[at:end]) in self.counts_), at + 1)
            counts.append(self.counts_.get(" ".join(run[at:end]), 0.0))
            at = end
        return min(counts)

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        """By the query alone."""
        if seen:
            return super().next(query, scores, costs_usd, seen)
        value = self.popularity(query.text)
        arm = 0 if value >= self.cut_ else self.other_
        return ask(arm, f"popularity {value:.2f}: {self.arms[arm]}")

    def needs_retrieval(self, table: Strategies, scores: FloatArray) -> FloatArray:
        return -np.array([self.popularity(text) for text in table.texts])

    def _fit(self, table: Strategies, scores: FloatArray, pay: Pay) -> None:
        value = table.quality - pay.of(table)
        self.other_ = 1 + int(value[:, 1:].mean(axis=0).argmax())
        own = self.counts is None
        if own:
            known = Counter(word for text in table.texts for word in set(words(text)))
            self.counts_ = {word: float(count) for word, count in known.items()}
        popular = np.array([self.popularity(text) for text in table.texts])
        if own:  # a query has counted its own words
            popular = np.log1p(np.maximum(np.expm1(popular) - 1, 0.0))
        found = searched(popular, value[:, 0], value[:, self.other_], self.n_cuts)
        self.cut_ = found if self.threshold is None else self.threshold

    def _by_hand(self) -> None:
        if self.threshold is None or not self.counts_:
            raise ConfigError("the gate 'popularity' needs `counts` and `threshold`, or to be trained")
        self.cut_, self.other_ = self.threshold, 1

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        facts = {"params": {"n_cuts": self.n_cuts}, "words": list(self.counts_)}
        return facts | {"other": self.other_, "cut": self.cut_}, {
            "counts": np.array([*self.counts_.values()])
        }

    def _restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.counts_ = dict(zip(facts["words"], arrays["counts"].tolist(), strict=True))
        self.other_, self.cut_ = range(len(self.arms))[facts["other"]], float(facts["cut"])
