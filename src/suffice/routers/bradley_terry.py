"""Ratings from battles: who beats whom, and by how much.

P(b beats a) = sigmoid(r_b - r_a). Bradley and Terry (1952), Rank Analysis of Incomplete Block Designs,
fitted by the minorisation of Hunter (2004), MM algorithms for generalized Bradley-Terry models, with
Newton's steps in its place, since weights make the counts uneven. A tie is half a win for each.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.types import FloatArray

_MAX_STEPS: Final = 50
_TOLERANCE: Final = 1e-9


def bradley_terry(
    wins: ArrayLike, *, penalty: float = 1e-3, prior: FloatArray | None = None, tolerance: float = _TOLERANCE
) -> FloatArray:
    """Ratings in logits, of mean 0.

    Parameters
    ----------
    wins : shape (K, K)
        Weight of battles that the row's model won against the column's; a tie adds half to both.
    penalty : above 0
        Ridge on ratings: keeps a model that always won finite, and one without battles at 0.
    prior : shape (K,)
        What the penalty pulls to, and where the search begins; None is 0.
    tolerance : the search ends at a step smaller than this

    Returns
    -------
    shape (K,)

    Examples
    --------
    >>> bradley_terry([[0.0, 30.0], [10.0, 0.0]], penalty=1e-9).round(2).tolist()
    [0.55, -0.55]
    """
    won = np.asarray(wins, np.float64)
    if won.ndim != 2 or won.shape[0] != won.shape[1] or not (won >= 0).all() or not penalty > 0:
        raise ValueError(
            f"wins of shape {won.shape} with penalty {penalty}: a square table of weights from 0 and a "
            "penalty above 0 are needed"
        )
    games = won + won.T
    centre = np.zeros(len(won)) if prior is None else prior - prior.mean()
    ratings = centre.copy()
    for _ in range(_MAX_STEPS):
        chance = 1 / (1 + np.exp(ratings[None, :] - ratings[:, None]))  # that the row's model wins
        slope = (won - games * chance).sum(axis=1) - penalty * (ratings - centre)
        spread = games * chance * (1 - chance)
        curve = np.diag(spread.sum(axis=1) + penalty) - spread
        step = np.linalg.solve(curve, slope)
        step *= min(1.0, 4 / max(float(np.abs(step).max()), 1e-12))
        ratings += step
        if np.abs(step).max() < tolerance:
            break
    return np.asarray(ratings - ratings.mean())


def win_table(
    first: NDArray[np.intp], second: NDArray[np.intp], pref_b: FloatArray, n_models: int
) -> FloatArray:
    """(K, K): what each row's model won against each column's.

    Parameters
    ----------
    first, second : shape (n,): models a and b of every battle
    pref_b : shape (n,), in [0, 1]
    """
    won = np.zeros((n_models, n_models))
    np.add.at(won, (second, first), pref_b)
    np.add.at(won, (first, second), 1 - pref_b)
    return won
