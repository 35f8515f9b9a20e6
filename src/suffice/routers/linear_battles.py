"""Ratings that are linear in the query's vector: penalised logistic regression on battles.

P(b beats a on x) = sigmoid((theta_b - theta_a) . x): Bradley and Terry (1952) with covariates, by Newton's
method, every step by conjugate gradients (Rasmussen and Williams, 2006, section 3.4). All battles of a
query weigh like those of one model, so that a query of many battles counts no more than it says.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from suffice.routers.battles import Battles
from suffice.routers.descent import cross_entropy, sigmoid
from suffice.routers.gradients import conjugate_gradients
from suffice.types import BoolArray, FloatArray, IntArray

_PENALTIES: Final = (1e4, 25.0, 5.0, 1.0)
"""Of the weights on the vector, tried from the stiffest; the constant's is 1."""
_N_FOLDS: Final = 4
_LEAST_QUERIES: Final = 10
_MAX_NEWTON: Final = 6
_MAX_CG: Final = 15


def fit_linear(inputs: FloatArray, battles: Battles) -> tuple[FloatArray, IntArray, FloatArray]:
    """Weights (K, D), the queries (H,) that were held out in turn, and their ratings (H, K).

    The penalty is the best on battles held out.

    Parameters
    ----------
    inputs : shape (U, D): vectors of the battles' texts, a constant last
    """
    folds = (battles.draws % np.uint64(_N_FOLDS)).astype(np.intp)
    if np.bincount(folds, minlength=_N_FOLDS).min() < _LEAST_QUERIES:
        return _weights(inputs, battles, None, _PENALTIES[1]), np.empty(0, np.intp), np.empty((0, 0))
    found = np.zeros((len(_PENALTIES), len(inputs), len(battles.models)))
    for fold in range(_N_FOLDS):
        theta = None
        for at, penalty in enumerate(_PENALTIES):
            theta = _weights(inputs, battles, folds != fold, penalty, theta)
            found[at][folds == fold] = inputs[folds == fold] @ theta.T
    losses = [cross_entropy(gaps_of(ratings, battles), battles.pref_b).sum() for ratings in found]
    best = int(np.argmin(losses))
    theta = _weights(inputs, battles, None, _PENALTIES[best])
    return theta, np.arange(len(inputs)), found[best]


def gaps_of(ratings: FloatArray, battles: Battles) -> FloatArray:
    """(N,): by how much b is rated above a, from ratings (U, K)."""
    return np.asarray(ratings[battles.query, battles.second] - ratings[battles.query, battles.first])


def _weights(
    inputs: FloatArray,
    battles: Battles,
    inside: BoolArray | None,
    penalty: float,
    start: FloatArray | None = None,
) -> FloatArray:
    """(K, D), from the battles of some of the queries (U,)."""
    k, width = len(battles.models), inputs.shape[1]
    theta = np.zeros((k, width)) if start is None else start.copy()
    share = np.full(len(battles), 1 / battles.per_query())
    if inside is not None:
        share *= inside[battles.query]
    stiff = np.full(width, penalty)
    stiff[-1] = 1.0
    place = battles.query * k

    def gathered(pulls: FloatArray) -> FloatArray:
        """(K, D): what pulls on the gaps (N,) do to the weights."""
        size = len(inputs) * k
        moved = np.bincount(place + battles.second, pulls, size)
        moved -= np.bincount(place + battles.first, pulls, size)
        return np.asarray(moved.reshape(len(inputs), k).T @ inputs)

    for _ in range(_MAX_NEWTON):
        chance = sigmoid(gaps_of(inputs @ theta.T, battles))
        slope = gathered(share * (chance - battles.pref_b)) + stiff * theta
        curve = share * chance * (1 - chance)

        def system(rows: NDArray[np.float64], curve: FloatArray = curve) -> FloatArray:
            step = rows.reshape(k, width)
            bent = gathered(curve * gaps_of(inputs @ step.T, battles)) + stiff * step
            return np.asarray(bent.reshape(1, -1))

        step = conjugate_gradients(system, -slope.reshape(1, -1), tolerance=1e-3, max_iterations=_MAX_CG)
        theta += step.reshape(k, width)
        if float(np.abs(step).max(initial=0)) < 1e-3:
            break
    return theta
