"""A gatekeeper that was taught which strategy is the simplest that suffices.

References
----------
Jeong et al. (2024), Adaptive-RAG, arXiv 2403.14403, section 3.2: silver labels from the user's own runs,
the simplest strategy that answered right. Departures: the classifier is the router whose scores are given
(TF-IDF and a linear model first; a re-run of the paper with classifiers of three sizes found no difference),
and what no strategy answers has the label of the strategy that is best on all queries, not on its data set.
"""

from __future__ import annotations

import numpy as np

from suffice.gating.table import Strategies
from suffice.gating.utility import UtilityGate
from suffice.types import FloatArray

_RIGHT = 0.5


class Classifier(UtilityGate):
    """argmax of P(simplest that suffices), less pay."""

    name = "classifier"

    def targets(self, table: Strategies) -> FloatArray:
        """(n, S): 1 for the first strategy that is right, and for the best of all where none is."""
        right = table.quality >= _RIGHT
        best = table.quality.mean(axis=0).argmax()
        label = np.where(right.any(axis=1), right.argmax(axis=1), best)
        return np.asarray(np.eye(len(table.arms))[label], np.float64)
