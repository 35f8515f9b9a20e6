"""The score that a threshold between two models of one router cuts."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from suffice.calibration.checks import FloatArray

GAIN: Final = "gain"
"""Its name on a certificate."""


def gain_score(weak: ArrayLike, strong: ArrayLike) -> FloatArray:
    """(1 + weak - strong) / 2 in [0, 1]; 0, and so the strong model, where a score is unknown.

    A fixed rising map of what the router says, so no row is spent on fitting one, and the order of queries is
    that of any calibrator on top.

    Parameters
    ----------
    weak, strong : shape (n,), scores of a router, in [0, 1], NaN for unknown

    Examples
    --------
    >>> gain_score([0.6, 0.5], [0.8, float("nan")]).round(6).tolist()
    [0.4, 0.0]
    """
    found: FloatArray = np.nan_to_num((1 + (np.asarray(weak) - np.asarray(strong))) / 2, nan=0.0)
    return found
