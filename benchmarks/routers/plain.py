"""A plain reference to compare with: scikit-learn's TF-IDF, one ridge per model, cross-validated penalty.

suffice evaluate --data FILE --routers benchmarks/routers/plain.py:Words,ensemble
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from suffice.outcomes import Outcomes
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter, arm_means
from suffice.types import FloatArray, Query

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)
N_FOLDS = 5


class Words(BaseRouter):
    """Words and pairs of words; nothing is shrunk but by the penalty."""

    name = "plain_words"
    not_in_all = "it is a reference of the benchmarks"
    analyzer: Literal["word", "char_wb"] = "word"
    n_grams = (1, 2)

    def _fit(self, outcomes: Outcomes) -> None:
        self.vectorizer_ = TfidfVectorizer(
            analyzer=self.analyzer, ngram_range=self.n_grams, sublinear_tf=True, max_features=200_000
        )
        self.rows_ = self.vectorizer_.fit_transform(outcomes.texts)
        self.means_ = arm_means(outcomes.quality)
        residual = np.nan_to_num(outcomes.quality - self.means_)
        kernel = (self.rows_ @ self.rows_.T).toarray()
        penalty = _best_penalty(kernel, residual)
        self.dual_ = np.linalg.solve(kernel + penalty * np.eye(len(kernel)), residual)

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        rows = self.vectorizer_.transform([query.text for query in queries])
        return np.asarray(np.clip(self.means_ + rows @ self.rows_.T @ self.dual_, 0, 1))

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return {}, {}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        raise SystemExit("the plain reference is not kept: train it again")


class Characters(Words):
    """Three to five characters within words."""

    name = "plain_characters"
    analyzer = "char_wb"
    n_grams = (3, 5)


def _best_penalty(kernel: FloatArray, residual: FloatArray) -> float:
    """Least squared error over five folds."""
    fold = np.random.default_rng(0).integers(0, N_FOLDS, len(kernel))
    errors = np.zeros(len(PENALTIES))
    for one in range(N_FOLDS):
        inside, held = np.flatnonzero(fold != one), np.flatnonzero(fold == one)
        values, vectors = np.linalg.eigh(kernel[np.ix_(inside, inside)])
        turned, across = vectors.T @ residual[inside], kernel[np.ix_(held, inside)] @ vectors
        for place, penalty in enumerate(PENALTIES):
            predicted = across @ (turned / (values + penalty)[:, None])
            errors[place] += ((predicted - residual[held]) ** 2).sum()
    return PENALTIES[int(errors.argmin())]
