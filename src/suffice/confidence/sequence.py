"""Confidence from the probabilities of the generated tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def normalised_probability(logprobs: Sequence[float]) -> float | None:
    """Exponential of the mean token log-probability: the inverse of perplexity.

    Parameters
    ----------
    logprobs : natural logs of the chosen tokens' probabilities, end-of-sequence left out

    Returns
    -------
    float in [0, 1], higher is surer, uncalibrated; None where there is no token

    References
    ----------
    Malinin & Gales (2021), Uncertainty Estimation in Autoregressive Structured Prediction.

    Examples
    --------
    >>> normalised_probability([0.0, 0.0])
    1.0
    """
    if not len(logprobs):
        return None
    return float(min(1.0, np.exp(np.mean(logprobs))))
