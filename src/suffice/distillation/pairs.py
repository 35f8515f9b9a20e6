"""Pairs of confidences, the better calibrated one preferred.

Whether one answer was right says only that the higher of two confidences was the better one, or the lower.
A learner of such pairs ends at the extremes: with a chance of 0.6 every pair's majority wants more. Pairs
are therefore drawn as often as they matter, in proportion to how far apart their Brier scores are. Then of
two levels a > b, with chance p of being right, a is preferred in p (2 - a - b) of the draws and b in
(1 - p) (a + b): a wins if and only if p > (a + b) / 2, that is if a is nearer to p. The level that wins
against every other is the calibrated one.
"""

from __future__ import annotations

import numpy as np

from suffice.distillation.reward import brier_reward
from suffice.errors import DataError
from suffice.types import FloatArray, IntArray


def calibration_pairs(levels: FloatArray, quality: FloatArray, n_pairs: int, *, seed: int) -> IntArray:
    """(n, n_pairs, 2): for every answer, places of two levels, the one of the better Brier score first.

    Parameters
    ----------
    levels : shape (A,), at least three different ones, in [0, 1]
    quality : shape (n,), in [0, 1]: right or wrong, or graded
    n_pairs : drawn for each answer, at least 1

    Raises
    ------
    DataError
        If there are fewer than three levels, or fewer than one pair.
    """
    if len(np.unique(levels)) < 3 or n_pairs < 1:
        raise DataError(
            f"{n_pairs} pairs of {len(levels)} levels: give 3 different levels and 1 pair or more"
        )
    scores = brier_reward(levels, quality)
    first, second = np.triu_indices(len(levels), 1)
    gains = scores[:, first] - scores[:, second]  # (n, A (A - 1) / 2)
    bounds = np.cumsum(np.abs(gains), axis=1)
    lots = np.random.default_rng(seed).random((len(quality), n_pairs)) * bounds[:, -1:]
    drawn = (bounds[:, None, :] <= lots[:, :, None]).sum(axis=2)
    is_first = np.take_along_axis(gains, drawn, axis=1) > 0
    both = np.stack((first[drawn], second[drawn]), axis=2)
    return np.where(is_first[:, :, None], both, both[:, :, ::-1])
