"""How spread out the model's next-token probabilities were.

Needs: the top k logprobs at every token, k at least 2. Costs: nothing beyond the answer. Servers return k
alternatives, not the vocabulary, so the value depends on k: compare only readings with the same k.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from suffice.confidence.base import FloatArray, Reading, Signal, Unavailable, alternatives, clipped, entropy


def score(
    top_logprobs: Sequence[Sequence[float]] | None, *, reduce: Literal["mean", "max"] = "mean"
) -> Reading:
    """Value: mean (or max) over tokens of H_t = -sum q ln q, q the k probabilities divided by their sum.

    Confidence: 1 minus the same mean (or max) of H_t / ln k_t. Tokens with under two
    alternatives are left out.

    Parameters
    ----------
    top_logprobs : per token the log-probabilities of its alternatives in any order; k may differ

    References
    ----------
    Malinin & Gales (2021); Manakul et al. (2023), SelfCheckGPT (mean and max of H).
    Renormalised over the k returned as uqlm does.

    Examples
    --------
    >>> import math
    >>> score([[math.log(0.5), math.log(0.5)], [0.0, -math.inf]]).confidence
    0.5
    """
    rows = alternatives(top_logprobs)
    if isinstance(rows, Unavailable):
        return rows
    entropies = np.array([entropy(_renormalised(row)) for row in rows])
    most = np.log([len(row) for row in rows])
    of = np.mean if reduce == "mean" else np.max
    return Signal(float(of(entropies)), clipped(1 - float(of(entropies / most))))


def _renormalised(row: FloatArray) -> FloatArray:
    q = np.exp(row - row.max())
    return np.asarray(q / q.sum())
