"""A judge's errors on gold rows, and what its verdicts are worth after them.

The verdict on an answer is a level (0: no in both samples, 1: they disagree, 2: yes in both). Gold rows give
P(level | truth); the share of good answers among the rest is the one that makes their levels likeliest;
Bayes' rule gives each verdict its probability of a good answer.

References
----------
Rogan & Gladen (1978), Estimating Prevalence from the Results of a Screening Test; Pang et al. (2024),
Improving Data Efficiency via Curating LLM-Driven Rating Systems (DS2), arXiv 2410.10877, whose transition
matrix is learnt without gold: here gold rows are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from suffice.metrics import wilson_interval
from suffice.types import FloatArray, IntArray

N_LEVELS: Final = 3
LEAST_GOLD: Final = 20
_LEAST_OF_A_KIND: Final = 3
_PRIOR: Final = 0.5
"""Added to each count, as Jeffreys does: a level that gold rows never showed is not impossible."""
_DRAWS: Final = 200
_LEAST_YOUDEN: Final = 0.1


class ErrorMatrix(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over gold rows."""

    bad: tuple[int, int, int]
    """Levels of answers that are wrong."""
    good: tuple[int, int, int]

    @classmethod
    def of(cls, levels: Sequence[int], is_good: Sequence[bool]) -> ErrorMatrix:
        """From verdicts on answers whose quality is known."""
        counts = np.zeros((2, N_LEVELS), np.intp)
        np.add.at(counts, (np.array(is_good, np.intp), np.array(levels, np.intp)), 1)
        bad, good = (tuple(int(one) for one in row) for row in counts)
        return cls(bad=bad, good=good)  # type: ignore[arg-type]  # of three each

    @property
    def n(self) -> int:
        return sum(self.bad) + sum(self.good)

    @property
    def is_enough(self) -> bool:
        """Whether there is gold enough to correct with."""
        return self.n >= LEAST_GOLD and min(sum(self.bad), sum(self.good)) >= _LEAST_OF_A_KIND

    @property
    def sensitivity(self) -> tuple[float, float, float]:
        """Share of good answers with a yes in both samples, and its 95 % interval."""
        return _share(self.good[2], sum(self.good))

    @property
    def specificity(self) -> tuple[float, float, float]:
        """Share of wrong answers without a yes in both samples, and its 95 % interval."""
        return _share(self.bad[0] + self.bad[1], sum(self.bad))

    @property
    def youden(self) -> float:
        """Sensitivity + specificity - 1: 0 is a coin, 1 an oracle."""
        return self.sensitivity[0] + self.specificity[0] - 1

    @property
    def is_useless(self) -> bool:
        """With gold enough, verdicts on good and wrong answers hardly differ."""
        return self.is_enough and self.youden < _LEAST_YOUDEN

    def given_truth(self) -> FloatArray:
        """(2, 3): P(level | wrong), P(level | good)."""
        counts = np.array([self.bad, self.good]) + _PRIOR
        return np.asarray(counts / counts.sum(axis=1, keepdims=True), np.float64)


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """What verdicts are worth."""

    share_good: float
    """Of the rows without gold, corrected."""
    interval: tuple[float, float]
    """95 %, from resampled gold and rows."""
    raw_share: float
    """That said yes in both samples: what an uncorrected judge would report."""
    worth: tuple[float, float, float]
    """Level -> probability that the answer is good."""


def correct(matrix: ErrorMatrix, levels: Sequence[int], *, seed: int = 0) -> Correction:
    """From the verdicts on rows without gold.

    Parameters
    ----------
    levels : at least one, each 0, 1 or 2
    seed : of the resampling
    """
    counts = np.bincount(np.array(levels, np.intp), minlength=N_LEVELS)
    given = matrix.given_truth()
    share = _share_good(given, counts)
    rng = np.random.default_rng(seed)
    drawn = [_share_good(_redrawn(matrix, rng), _counts(counts, rng)) for _ in range(_DRAWS)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    good, bad = share * given[1], (1 - share) * given[0]
    worth = good / (good + bad)
    return Correction(
        share_good=share,
        interval=(float(low), float(high)),
        raw_share=float(counts[2] / counts.sum()),
        worth=(float(worth[0]), float(worth[1]), float(worth[2])),
    )


def _share_good(given: FloatArray, counts: IntArray) -> float:
    """The likeliest share: the mixture's EM, which has one maximum as the likelihood is concave."""
    share = 0.5
    for _ in range(500):
        good = share * given[1]
        new = float((counts * good / (good + (1 - share) * given[0])).sum() / counts.sum())
        if abs(new - share) < 1e-9:
            break
        share = new
    return share


def _redrawn(matrix: ErrorMatrix, rng: np.random.Generator) -> FloatArray:
    """A matrix as plausible as the one that was counted."""
    rows = [rng.dirichlet(np.array(row) + _PRIOR) for row in (matrix.bad, matrix.good)]
    return np.maximum(np.array(rows), 1e-9)


def _counts(counts: IntArray, rng: np.random.Generator) -> IntArray:
    return np.asarray(rng.multinomial(counts.sum(), counts / counts.sum()), np.intp)


def _share(n_right: int, n: int) -> tuple[float, float, float]:
    return (n_right / n if n else float("nan"), *wilson_interval(n_right, n))
