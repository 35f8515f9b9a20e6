"""How alike a query is to the training queries, and scores that keep to the arms' means where it is not.

What a text is known by is the weight of its n-grams that occur in training, as a share of the weight of
all of them; one that is not known weighs as much as the rarest that is. Every training query has such a
share among the others, so that a new query's can be held against theirs, as in conformal tests for
outliers (Bates et al., 2023, Testing for Outliers with Conformal p-values). Departures: beyond the point
that 98 % of training queries pass, trust falls with the share rather than with its rank, since those few
that lie just below it are still predicted well; and at half of it nothing is believed any more.

Why nothing rather than a little: held-out slopes (`shrinkage`) come from queries left out at random and say
nothing of another world. Those of whole tasks left out scatter about 0 (`docs/design/routers.md`).
"""

from __future__ import annotations

import math
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from suffice.routers.artefact import Arrays
from suffice.routers.tfidf import Vocabulary
from suffice.types import FloatArray, SparseFeatures

_UNUSUAL: Final = 0.02
"""Share of the training queries that are less familiar than what is usual."""
_MIN_QUERIES: Final = 20
"""Fewer training queries do not show what is usual."""
_MIN_OTHERS: Final = 2
"""An n-gram is known if so many other training queries have it: those of one say nothing of the next."""
_NONE: Final = 0.5
"""At this part of the usual share nothing is believed."""
_UNLIKE: Final = 0.5
"""Below this familiarity `explain` says:"""
_SAFE: Final = "unlike the training queries, so scores stay near the arms' means"


class Familiarity:
    """Sparse features to [0, 1]: 0 unlike the training queries, 1 as alike as they are to each other."""

    def __init__(self, vocabulary: Vocabulary, usual: float = 0.0) -> None:
        """
        Parameters
        ----------
        vocabulary : of the training queries
        usual : known share that nearly all training queries have; 0 trusts every query
        """
        self.vocabulary, self.usual = vocabulary, usual
        self._unknown = float(vocabulary.idf.max()) ** 2 if len(vocabulary.idf) else 1.0

    @classmethod
    def learn(cls, vocabulary: Vocabulary, rows: SparseFeatures) -> Self:
        """From the training queries' features; equal ones count once."""
        found = cls(vocabulary)
        (places, idf), ids = vocabulary.look_up(rows), rows.row_ids()
        marks = np.bincount(ids, weights=rows.indices * math.sqrt(2) % 1, minlength=rows.n_rows)
        _, distinct = np.unique(marks, return_index=True)
        is_first = np.zeros(rows.n_rows, dtype=bool)
        is_first[distinct] = True
        counts = np.bincount(places[is_first[ids]], minlength=len(vocabulary.idf) + 1)
        idf[counts[places] <= _MIN_OTHERS] = 0
        shares = found._shares(idf, ids, rows.n_rows)[distinct]
        if len(shares) >= _MIN_QUERIES:
            found.usual = float(np.sort(shares)[int(len(shares) * _UNUSUAL)])
        return found

    @classmethod
    def restore(cls, arrays: Arrays, vocabulary: Vocabulary) -> Self:
        """From the array `familiarity` of an artefact; an older one, without it, trusts every query."""
        if not arrays.has("familiarity"):
            return cls(vocabulary)
        return cls(vocabulary, float(arrays.take("familiarity", "f", (1,))[0]))

    def state(self) -> NDArray[np.float64]:
        """The array `familiarity` of an artefact, which keeps the vocabulary elsewhere."""
        return np.array((self.usual,))

    def __call__(self, rows: SparseFeatures) -> FloatArray:
        """(n,)"""
        if self.usual == 0:
            return np.ones(rows.n_rows)
        if rows.n_rows == 1:
            return np.array((self._of_one(rows),))
        shares = self._shares(self.vocabulary.look_up(rows)[1], rows.row_ids(), rows.n_rows)
        found = (shares / self.usual - _NONE) * (1 / (1 - _NONE))
        return np.asarray(np.minimum(np.maximum(found, 0.0), 1.0))

    def _of_one(self, row: SparseFeatures) -> float:
        """The same for a decision, in a fifth of the time."""
        if self.usual == 0:
            return 1.0
        idf = self.vocabulary.look_up(row)[1]
        known = float(idf.dot(idf))
        total = known + self._unknown * (len(idf) - int(np.count_nonzero(idf)))
        share = known / total if total else 0.0
        return min(max((share / self.usual - _NONE) * (1 / (1 - _NONE)), 0.0), 1.0)

    def near_means(self, scores: FloatArray, means: FloatArray, rows: SparseFeatures) -> FloatArray:
        """(n, K): scores (n, K) of these queries, as near the arms' means (K,) as they are unfamiliar."""
        return towards_means(scores, means, self(rows))

    def evidence(self, rows: SparseFeatures) -> str:
        """What to say of one query."""
        familiarity = float(self(rows)[0])
        if familiarity >= _UNLIKE:
            return f"familiarity {familiarity:.2f}"
        return f"familiarity {familiarity:.2f}: {_SAFE}"

    def _shares(self, idf: NDArray[np.float32], ids: NDArray[np.int64], n: int) -> FloatArray:
        """(n,): weight of what is known as a share of all, 0 of nothing; idf 0 is not known."""
        weights = idf.astype(np.float64) ** 2
        known = np.bincount(ids, weights=weights, minlength=n)
        weights[weights == 0] = self._unknown
        total = np.bincount(ids, weights=weights, minlength=n)
        return np.divide(known, total, out=np.zeros(n), where=total > 0)


def towards_means(scores: FloatArray, means: FloatArray, trust: FloatArray) -> FloatArray:
    """(n, K): scores (n, K), as near the arms' means (K,) as the queries are little trusted (n,)."""
    if np.minimum.reduce(trust) == 1:
        return scores
    return np.asarray(means + trust[:, None] * (scores - means))
