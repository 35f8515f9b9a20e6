"""What more records would bring: a quick student on growing parts of those there are, and its power law.

References
----------
Hestness et al. (2017), Deep Learning Scaling is Predictable, Empirically: error(n) = a n^-b + c. Here c is 0,
and the quick student is a ridge on hashed n-grams: the figures say little of what a trained student reaches,
their slope says whether more records help.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from suffice.embedders import HashedNgrams
from suffice.types import FloatArray, IntArray

_MOST: Final = 2_000
_LEAST: Final = 24
_SHARES: Final = (0.25, 0.5, 0.75, 1.0)
_REPEATS: Final = 6
_RIDGE: Final = 0.3


class LearningCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Agreement of a quick student with the labels it was not shown."""

    sizes: tuple[int, ...]
    agreement: tuple[float, ...]
    """Means over random splits, in [0, 1]."""
    forecast: dict[int, tuple[float, float]]
    """Records -> 80 % interval of the agreement, over the splits."""


def learning_curve(
    texts: Sequence[str], labels: Sequence[str], *, at: Sequence[int] = (), seed: int = 0
) -> LearningCurve | None:
    """Measure and extrapolate.

    Parameters
    ----------
    texts, labels : n of each; at most 2,000 are used
    at : numbers of records to forecast for, beside twice as many as there are

    Returns
    -------
    None with fewer than 24 records or fewer than two labels: nothing can be said
    """
    if len(texts) < _LEAST or len(set(labels)) < 2:
        return None
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(texts))[:_MOST]
    names = sorted(set(labels))
    wanted = np.array([names.index(labels[row]) for row in chosen], np.intp)
    gram = _gram([texts[row] for row in chosen])
    n_test = max(8, len(chosen) // 5)
    sizes = sorted({max(4, round(share * (len(chosen) - n_test))) for share in _SHARES})
    found = np.empty((_REPEATS, len(sizes)))
    for repeat in range(_REPEATS):
        order = rng.permutation(len(chosen))
        test, rest = order[:n_test], order[n_test:]
        for column, size in enumerate(sizes):
            found[repeat, column] = _agreement(gram, wanted, rest[:size], test, len(names))
    wanted_sizes = sorted({2 * len(texts), *(one for one in at if one > len(texts))})
    return LearningCurve(
        sizes=tuple(sizes),
        agreement=tuple(round(float(value), 4) for value in found.mean(axis=0)),
        forecast={size: _forecast(found, sizes, size, rng) for size in wanted_sizes},
    )


def _gram(texts: Sequence[str]) -> FloatArray:
    """(n, n): inner products of hashed word 1-2-grams."""
    features = HashedNgrams().features(texts, "words")
    columns, places = np.unique(features.indices, return_inverse=True)
    rows = np.repeat(np.arange(len(texts)), np.diff(features.indptr))
    width = min(len(columns), 4_096)  # folded: the gram matrix is what is wanted
    dense = np.zeros((len(texts), width), np.float32)
    np.add.at(dense, (rows, places.ravel() % width), features.values)
    return np.asarray(dense @ dense.T, np.float64)


def _agreement(gram: FloatArray, labels: IntArray, train: IntArray, test: IntArray, n_labels: int) -> float:
    targets = np.eye(n_labels)[labels[train]]
    centre = targets.mean(axis=0)
    inner = gram[np.ix_(train, train)] + _RIDGE * np.eye(len(train))
    weights = np.linalg.solve(inner, targets - centre)
    said = (gram[np.ix_(test, train)] @ weights + centre).argmax(axis=1)
    return float((said == labels[test]).mean())


def _forecast(
    found: FloatArray, sizes: Sequence[int], size: int, rng: np.random.Generator
) -> tuple[float, float]:
    """From power laws through means of resampled splits."""
    drawn = found[rng.integers(0, len(found), (100, len(found)))].mean(axis=1)
    errors = np.log(np.clip(1 - drawn, 0.005, None))
    slopes, levels = (
        np.polyfit(np.log(sizes), errors.T, 1) if len(sizes) > 1 else (np.zeros(100), errors[:, 0])
    )
    slopes = np.minimum(slopes, 0)  # more records do not make a student worse
    last = errors[:, -1] if len(sizes) > 1 else levels
    ahead = 1 - np.exp(last + slopes * np.log(size / sizes[-1]))
    low, high = np.percentile(ahead, (10, 90))
    return round(float(low), 3), round(float(high), 3)
