"""From texts to what the built-in router ships: words that count, shapes, domains, in few bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scripts.pretrain.corpus import Corpus
from scripts.pretrain.domains import DOMAINS
from scripts.pretrain.fitting import Fit, fit, weighted_ridge

from suffice.embedders import HashedNgrams
from suffice.routers.builtin_text import shape
from suffice.types import FloatArray

N_WORDS = 12_000
MIN_QUERIES = 5
"""A word in fewer training texts says nothing that holds elsewhere."""
EASE_PENALTY, SPREAD_PENALTY, DOMAIN_PENALTY, BALANCE = 5.0, 50.0, 1.0, 0.8
"""Chosen by leaving out families of tasks other than GSM8K and MMLU: see docs/builtin.md."""


@dataclass(frozen=True)
class Reading:
    """Everything that was learnt of texts."""

    columns: NDArray[np.int32]
    idf: FloatArray
    unknown_idf: float
    words: FloatArray
    """(V, 2 + D)"""
    shape_mean: FloatArray
    shape_sd: FloatArray
    shape_weights: FloatArray
    """(S, 2)"""
    biases: FloatArray
    """(D,)"""
    usual_share: float
    fit: Fit

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """As shipped: weights in eight bits, one scale for each output."""
        scales = np.maximum(np.abs(self.words).max(axis=0), 1e-9) / 127
        return {
            "columns": self.columns,
            "idf": self.idf.astype(np.float16),
            "unknown_idf": np.array(self.unknown_idf),
            "words": np.round(self.words / scales).astype(np.int8),
            "scales": scales,
            "shape_mean": self.shape_mean,
            "shape_sd": self.shape_sd,
            "shape_weights": self.shape_weights,
            "biases": self.biases,
        }


def learn(corpus: Corpus) -> Reading:
    """Words, shapes and domains from all queries of the corpus."""
    texts = [str(text) for text in corpus.texts]
    n = len(texts)
    rows = HashedNgrams(words=(1, 1)).features(texts)
    table = sparse.csr_matrix((np.ones(len(rows.indices)), rows.indices, rows.indptr), (n, rows.n_columns))
    counts = np.bincount(rows.indices, minlength=rows.n_columns)
    columns = np.flatnonzero(counts >= MIN_QUERIES)
    columns = np.sort(columns[np.argsort(-counts[columns], kind="stable")[:N_WORDS]])
    idf = (np.log((1 + n) / (1 + counts[columns])) + 1).astype(np.float16).astype(np.float64)
    unknown_idf = float(np.log((1 + n) / (1 + MIN_QUERIES)) + 1)
    known = table[:, columns].multiply(idf).tocsr()
    known_size = np.asarray(known.multiply(known).sum(axis=1)).ravel()
    n_unknown = np.diff(rows.indptr) - np.diff(table[:, columns].indptr)
    size = known_size + n_unknown * unknown_idf**2
    words = (sparse.diags(1 / np.sqrt(np.maximum(size, 1e-12))) @ known).tocsr()
    shapes = np.array([shape(text) for text in texts])
    mean, sd = shapes.mean(axis=0), shapes.std(axis=0) + 1e-9
    standard = np.clip((shapes - mean) / sd, -3, 3)
    found = fit(
        corpus,
        sparse.hstack([words, sparse.csr_matrix(standard)]).tocsr(),
        ease_penalty=EASE_PENALTY,
        spread_penalty=SPREAD_PENALTY,
        balance=BALANCE,
    )
    domains = _domain_weights(words, corpus.domains)
    v = len(columns)
    return Reading(
        columns=columns.astype(np.int32),
        idf=idf,
        unknown_idf=unknown_idf,
        words=np.column_stack((found.ease[:v], found.spread[:v], domains[:v])),
        shape_mean=mean,
        shape_sd=sd,
        shape_weights=np.column_stack((found.ease[v:], found.spread[v:])),
        biases=domains[v],
        usual_share=float(np.quantile(known_size / np.maximum(size, 1e-12), 0.01)),
        fit=found,
    )


def _domain_weights(words: sparse.csr_matrix, domains: NDArray[np.intp]) -> FloatArray:
    """(V + 1, D): regressions of membership on words; the last row is the bias."""
    is_labelled = domains >= 0
    rows = sparse.hstack([words[is_labelled], np.ones((int(is_labelled.sum()), 1))]).tocsr()
    labels = domains[is_labelled]
    counts = np.bincount(labels, minlength=len(DOMAINS))
    sizes = 1 / np.sqrt(counts[labels] + 1.0)
    sizes /= sizes.mean()
    start = np.zeros(rows.shape[1])
    found = [
        weighted_ridge(rows, sizes, sizes * (labels == domain), DOMAIN_PENALTY, start)
        for domain in range(len(DOMAINS))
    ]
    return np.column_stack(found)
