"""RouterArena's score of one operating point: accuracy, held down by cost on a log scale.

References
----------
RouterArena (2025), arXiv 2510.00202: the arena score, beta 0.1, costs from 0.0044 to 200 USD per 1,000
queries.
"""

from __future__ import annotations

import math
from typing import Final

_CHEAPEST_USD_PER_1K: Final = 0.0044
_DEAREST_USD_PER_1K: Final = 200.0


def arena_score(accuracy: float, cost_usd_per_1k: float, *, beta: float = 0.1) -> float:
    """S = (1 + beta) A C / (beta A + C), with C the saving in doublings of cost, clipped to [0, 1].

    Parameters
    ----------
    accuracy : A, in [0, 1]
    cost_usd_per_1k : USD per 1,000 queries, at least 0
    beta : the weight of C; small, so that accuracy counts most

    Returns
    -------
    float, in [0, 1]

    Raises
    ------
    ValueError
        If accuracy leaves [0, 1] or the cost is negative.

    Examples
    --------
    >>> arena_score(0.5, 0.0044), arena_score(0.5, 200.0)
    (0.5238095238095238, 0.0)
    """
    if not 0 <= accuracy <= 1 or not cost_usd_per_1k >= 0:
        raise ValueError(f"accuracy {accuracy}, cost {cost_usd_per_1k}: expected [0, 1] and at least 0")
    paid = min(max(cost_usd_per_1k, _CHEAPEST_USD_PER_1K), _DEAREST_USD_PER_1K)
    saving = math.log2(_DEAREST_USD_PER_1K / paid) / math.log2(_DEAREST_USD_PER_1K / _CHEAPEST_USD_PER_1K)
    weighed = beta * accuracy + saving
    return (1 + beta) * accuracy * saving / weighed if weighed > 0 else 0.0
