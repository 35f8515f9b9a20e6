"""What routers that learn from battles share: outcomes become battles, win rates become quality.

A win rate against the other arms says which arm is better here, not how good it is, and a policy that
weighs scores against costs needs the latter. So after training on outcomes scores are

    quality_m(x) = level_m + slope (rate_m(x) - rate_m),

with rate_m the arm's rate over all battles, level_m linear in it over the arms (which counts whom an arm
met, where outcomes are unknown), and the slope from queries held out. After training on preferences
scores are the win rates themselves. Of queries unlike the training queries no more is said than level_m.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from suffice.outcomes import Outcomes, Preferences
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter, arm_means
from suffice.routers.battles import Battles
from suffice.routers.bradley_terry import bradley_terry, win_table
from suffice.routers.familiarity import towards_means
from suffice.routers.preferring import expected_win_rates, known_battles
from suffice.routers.shrinkage import HeldOut, shared_and_own
from suffice.routers.vectors import TextVectors
from suffice.types import FloatArray, IntArray, Query

_PENALTY: Final = 1.0
"""Of the ratings over all battles, in battles: a model that met nobody is as good as the mean."""


class PairwiseRouter(BaseRouter):
    """A subclass learns from `Battles` and gives win rates in the order of their models."""

    seed: int = 0
    vectors_: TextVectors
    """Set by `_learn`."""
    max_battles: ClassVar[int] = 500_000
    """About how many pairs of outcomes are taken as battles, where there are more."""

    def _fit(self, outcomes: Outcomes) -> None:
        names = sorted(outcomes.arms)
        by_name = [outcomes.arms.index(name) for name in names]
        quality = np.asarray(outcomes.quality, np.float64)[:, by_name]
        battles = Battles.of_quality(
            outcomes.texts, names, quality, seed=self.seed, max_battles=self.max_battles
        )
        self._rate(battles)
        held, rates = self._learn(battles)
        counts = (~np.isnan(quality)).sum(axis=0).astype(np.float64)
        self.levels_ = _levels(self.rates_, arm_means(quality), counts)
        wanted = {battles.texts[row]: rate for row, rate in zip(held.tolist(), rates, strict=True)}
        self.slope_ = self._believed(outcomes.texts, quality, wanted)
        self._place(outcomes.arms)

    def fit_preferences(self, preferences: Preferences) -> Self:
        known = known_battles(preferences)
        battles = Battles.of_preferences(known, seed=self.seed)
        self._rate(battles)
        self._learn(battles)
        self.levels_, self.slope_ = self.rates_.copy(), 1.0
        self._place(battles.models)
        return self._fitted(battles.models, len(battles.texts), self.rates_)

    def _rate(self, battles: Battles) -> None:
        won = win_table(battles.first, battles.second, battles.pref_b, len(battles.models))
        self.ratings_ = bradley_terry(won, penalty=_PENALTY)
        self.rates_ = expected_win_rates(self.ratings_)

    def _place(self, arms: Sequence[str]) -> None:
        self.places_ = np.argsort(np.argsort(np.array(arms, object), kind="stable"), kind="stable")

    def _believed(
        self, texts: Sequence[str], quality: FloatArray, held_out: Mapping[str, FloatArray]
    ) -> float:
        """What win rates are multiplied by, from those of texts held out: 0 where they say nothing."""
        rows = [row for row, text in enumerate(texts) if text in held_out]
        if not rows or quality.shape[1] < 2:
            return 0.0
        rates = np.array([held_out[texts[row]] for row in rows]) - self.rates_
        _, own, is_known = shared_and_own(quality[rows] - arm_means(quality))
        _, predicted, _ = shared_and_own(np.where(is_known, rates, np.nan))
        sums = HeldOut(1, own.shape[1])
        sums.add(0, predicted.T, own.T)
        return sums.slope(0, slice(None))

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        vectors, trust = self.vectors_.read([query.text for query in queries])
        scores = towards_means(self._quality(vectors, queries), self.levels_, trust)
        return np.asarray(scores[:, self.places_])

    def _quality(self, vectors: NDArray[np.float32], queries: Sequence[Query]) -> FloatArray:
        """(n, K): of every model, by name, on queries of these vectors, however unfamiliar."""
        return np.asarray(self.levels_ + self.slope_ * (self._win_rates(vectors) - self.rates_))

    @abstractmethod
    def _learn(self, battles: Battles) -> tuple[IntArray, FloatArray]:
        """Learn; `ratings_` and `rates_` (K,) over all battles are known.

        Returns which of the battles' texts (H,) were held out, and the win rates (H, K) found for them.
        """

    @abstractmethod
    def _win_rates(self, vectors: NDArray[np.float32]) -> FloatArray:
        """(n, K): expected win rate of every model, by name, against the others."""

    def _pair_state(self) -> dict[str, NDArray[Any]]:
        return {"levels": self.levels_, "ratings": self.ratings_}

    def _restore_pairs(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        shape = (len(self.arms_),)
        self.levels_ = arrays.take("levels", "f", shape, finite=False)
        self.ratings_ = arrays.take("ratings", "f", shape)
        self.rates_ = expected_win_rates(self.ratings_)
        self.slope_ = float(facts["slope"])
        self._place(self.arms_)


def _levels(rates: FloatArray, means: FloatArray, counts: FloatArray) -> FloatArray:
    """(K,): quality as a line in the rates, over arms weighed by their labels; NaN without any.

    With every outcome known the line goes through the arms' means: Bradley-Terry's expected wins are
    those observed, and these are linear in mean quality.
    """
    known = np.flatnonzero(counts)
    weights, mean = counts[known], means[known]
    centre = float(weights @ rates[known] / weights.sum())
    gaps = rates[known] - centre
    square = float(weights @ gaps**2)
    slope = float(weights @ (gaps * mean)) / square if square > 1e-12 else 0.0
    levels = np.full(len(rates), np.nan)
    levels[known] = float(weights @ mean / weights.sum()) + slope * gaps
    return levels
