"""A new arm from a few dozen labels, on top of any trained router.

Its score is linear in those of the trained arms: what they share (how hard the router takes the query
to be for all of them) and what tells each of them apart. With 30 to 100 labels little can be learnt, so
the head is shrunk to the plain guess that the new arm finds hard what the others find hard (slope 1 on
the shared part, weight 0 on the arms' own parts; Hoerl and Kennard, 1970, with that prior mean), and how
far is settled by leaving each label out (Allen's PRESS, 1974). The nearest in the literature is UniRoute
(Jitkrittum et al., 2025, arXiv 2502.08773), which describes a model by its errors on labelled queries.

Queries that the router was trained on make sharper scores than new ones will get, which makes labels on
them look easier to follow than they are. So of heads that leaving out tells apart by less than their
standard error the one shrunk most is taken, and the slope never exceeds 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from suffice.types import FloatArray

_SHARED_PENALTIES: Final = (np.inf, 2.0, 0.5, 0.1)
_OWN_PENALTIES: Final = (np.inf, 30.0, 10.0, 3.0, 1.0)
"""In units of the number of labels, on columns of unit variance."""
_MAX_SLOPE: Final = 1.0
_LEAST_SPREAD: Final = 1e-6


class AddedArm(msgspec.Struct, frozen=True, kw_only=True):
    """An arm that came after training."""

    name: str
    n_labels: int
    intercept: float = 0.0
    coefficients: tuple[float, ...] | None = None
    """On the scores of the trained arms; None where the router scores the arm by itself."""

    def scores(self, trained: FloatArray) -> FloatArray:
        """(n,) from the trained arms' scores (n, K); an arm that they do not know counts nothing."""
        known = np.where(np.isnan(trained), 0.0, trained)
        return np.asarray(self.intercept + known @ np.asarray(self.coefficients, np.float64))

    def evidence(self) -> str:
        """One line for explanations."""
        return f"{self.name} was added later, from {self.n_labels} labelled queries"


def learn_arm(name: str, trained: FloatArray, quality: FloatArray) -> AddedArm:
    """The head of a new arm.

    Parameters
    ----------
    trained : shape (n, K): the trained arms' scores of the labelled queries; NaN for an unknown arm
    quality : shape (n,), in [0, 1]: labels of the new arm, n >= 1
    """
    is_known = np.asarray(~np.isnan(trained).all(axis=0))
    n_known = int(is_known.sum())
    scores = np.where(np.isnan(trained), 0.0, trained)[:, is_known]
    centred = scores - scores.mean(axis=0)
    shared = centred.mean(axis=1) if n_known else np.zeros(len(quality))
    own = centred - shared[:, None]
    slope, weights = _choose(shared, own, quality)
    coefficients = np.zeros(len(is_known))
    coefficients[is_known] = slope / max(n_known, 1) + weights - (weights.mean() if n_known else 0.0)
    intercept = float(quality.mean() - (scores.mean(axis=0) @ coefficients[is_known]))
    return AddedArm(
        name=name,
        n_labels=len(quality),
        intercept=intercept,
        coefficients=tuple(coefficients.tolist()),
    )


def _choose(shared: FloatArray, own: FloatArray, quality: FloatArray) -> tuple[float, FloatArray]:
    """Slope on the shared part and weights (K,) on the own parts, as shrunk as the labels allow."""
    none = np.zeros(own.shape[1])
    if len(quality) < 3:
        return 1.0, none
    spread, width = (max(float(part.std()) if part.size else 0.0, _LEAST_SPREAD) for part in (shared, own))
    columns = np.column_stack((shared / spread, own / width))
    settings = [(on_shared, on_own) for on_own in _OWN_PENALTIES for on_shared in _SHARED_PENALTIES]
    left_out, solutions = [], []
    for prior in (1.0, 0.0):  # the plain guess, and the mean alone
        rest = quality - prior * shared
        left_out.append((rest - rest.mean()) * len(rest) / (len(rest) - 1))
        solutions.append((prior, none))
    for on_shared, on_own in settings[1:]:
        errors, weights = _ridge(columns, quality - shared, on_shared, on_own)
        left_out.append(errors)
        solutions.append((1 + float(weights[0]) / spread, weights[1:] / width))
    slope, weights = solutions[_most_shrunk(np.square(left_out))]
    return float(np.clip(slope, 0.0, _MAX_SLOPE)), weights


def _ridge(
    columns: FloatArray, target: FloatArray, on_shared: float, on_own: float
) -> tuple[FloatArray, FloatArray]:
    """Errors (n,) of each label from the others, and weights, of a ridge with a free intercept."""
    n = len(target)
    penalties = n * np.array([on_shared] + [on_own] * (columns.shape[1] - 1))
    scaled = (columns - columns.mean(axis=0)) / penalties  # 0 for an infinite penalty
    kernel = scaled @ (columns - columns.mean(axis=0)).T
    hat = np.linalg.solve(kernel + np.eye(n), kernel).T + 1 / n
    rest = target - target.mean()
    errors = (target - hat @ target) / np.maximum(1 - np.diag(hat), 1e-9)
    return errors, scaled.T @ np.linalg.solve(kernel + np.eye(n), rest)


def _most_shrunk(squares: FloatArray) -> int:
    """The first setting that is not worse than the best by more than the standard error of that."""
    gaps = squares - squares[squares.mean(axis=1).argmin()]
    allowed = gaps.std(axis=1) / np.sqrt(gaps.shape[1])
    return int(np.flatnonzero(gaps.mean(axis=1) <= allowed)[0])


def shrunk_slope(shared: FloatArray, quality: FloatArray) -> float:
    """Slope in [0, 1] of a new arm's quality on what the arms share, shrunk to 1.

    As sure of 1 as half as many labels would be, were they all that is known.
    """
    centred = shared - shared.mean()
    square = float(centred @ centred)
    prior = 0.5 * square
    if square < 1e-12:
        return 1.0
    return float(np.clip((centred @ quality + prior) / (square + prior), 0.0, _MAX_SLOPE))


def luck(trained: FloatArray, known: FloatArray, quality: FloatArray) -> float:
    """What the new arm's mean is short of because the labelled queries were harder than they looked.

    A control variate (Glasserman, 2003, Monte Carlo Methods in Financial Engineering, section 4.1): where
    trained arms did worse on these queries than their scores say, the new arm's labels are too low as well.

    Parameters
    ----------
    trained : shape (n, K): the trained arms' scores of the labelled queries
    known : shape (n, K): what the trained arms got there; NaN where it is not known
    quality : shape (n,): labels of the new arm
    """
    there = ~(np.isnan(known) | np.isnan(trained))
    rows = there.any(axis=1)
    if not rows.any():
        return 0.0
    counts = there[rows].sum(axis=1)
    got, expected = (np.where(there, cells, 0.0)[rows].sum(axis=1) / counts for cells in (known, trained))
    return shrunk_slope(got, quality[rows]) * float(expected.mean() - got.mean())


def extended(trained: FloatArray, added: Sequence[AddedArm]) -> FloatArray:
    """(n, K + A): the trained arms' scores, then those of the arms added."""
    heads = [arm.scores(trained) for arm in added if arm.coefficients is not None]
    return np.column_stack((trained, *heads)) if heads else trained
