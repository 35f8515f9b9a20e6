"""Which answers mean the same: cluster numbers from what an NLI model, embeddings or a judge said of pairs.

Needs: the texts, and something that compares them. Costs: n (n - 1) NLI comparisons, n embeddings, or up to
n (n - 1) / 2 calls of a judge of about two answers of tokens each. Every function returns shape (n,) numbers,
0 for the first answer's meaning, counted by first appearance.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.confidence.base import BoolArray, IntArray

_Scalar = TypeVar("_Scalar", bound=np.generic)


def from_entailment(entails: ArrayLike) -> IntArray:
    """An answer joins the first meaning with whose first member it entails both ways.

    Parameters
    ----------
    entails : shape (n, n), true where i entails j; the diagonal is not used

    References
    ----------
    Farquhar et al. (2024), Detecting hallucinations in large language models using semantic entropy,
    Methods; Kuhn et al. (2023), Semantic Uncertainty.

    Examples
    --------
    >>> from_entailment([[1, 1, 0], [1, 1, 1], [0, 1, 1]]).tolist()
    [0, 0, 1]
    """
    same = _square(np.asarray(entails, dtype=np.bool_))
    return _with_first_members(same & same.T)


def from_similarity(similarity: ArrayLike, *, threshold: float) -> IntArray:
    """An answer joins the first meaning whose first member is at least this similar; NaN is not similar.

    Parameters
    ----------
    similarity : shape (n, n), e.g. cosines of embeddings; symmetric, the lower of the two counts if not
    threshold : depends on the embedder: choose it on pairs known to mean the same

    Examples
    --------
    >>> from_similarity([[1, 0.95, 0.2], [0.95, 1, 0.3], [0.2, 0.3, 1]], threshold=0.9).tolist()
    [0, 0, 1]
    """
    same = _square(np.asarray(similarity, dtype=np.float64) >= threshold)
    return _with_first_members(same & same.T)


def from_judgements(same: ArrayLike) -> IntArray:
    """An answer joins the first meaning whose first member a judge called the same.

    Parameters
    ----------
    same : shape (n, n), 1 for the same, 0 for different, NaN where not asked. A pair asked in one direction
        needs one yes, a pair asked in both needs two; a pair never asked differs

    Examples
    --------
    >>> from_judgements([[np.nan, 1, 0], [np.nan, np.nan, 0], [np.nan, np.nan, np.nan]]).tolist()
    [0, 0, 1]
    """
    asked = _square(np.asarray(same, dtype=np.float64))
    there, back = np.where(np.isnan(asked), asked.T, asked), np.where(np.isnan(asked.T), asked, asked.T)
    return _with_first_members((there > 0.5) & (back > 0.5))


def from_components(entailment: ArrayLike, contradiction: ArrayLike) -> IntArray:
    """Connected components of the pairs where entailment beats contradiction both ways.

    Looser than `from_entailment`: two answers may be joined by a third. The clusters of Lin's number of
    semantic sets, and lm-polygraph's.

    Parameters
    ----------
    entailment, contradiction : shape (n, n), NLI probabilities of (i, j)

    References
    ----------
    Lin et al. (2024), Generating with Confidence, section 4.2.

    Examples
    --------
    >>> from_components([[1, 0.9, 0], [0.9, 1, 0.9], [0, 0.9, 1]], np.full((3, 3), 0.5)).tolist()
    [0, 0, 0]
    """
    linked = _square(np.asarray(entailment, np.float64) > np.asarray(contradiction, np.float64))
    linked = linked & linked.T
    labels = np.arange(len(linked))
    for i, j in zip(*np.nonzero(np.triu(linked, k=1)), strict=True):
        labels[labels == labels[j]] = labels[i]
    return by_first_appearance(labels.tolist())


def by_first_appearance(answers: Sequence[Hashable]) -> IntArray:
    """Equal answers, equal numbers: the clusters where answers can be compared as they stand.

    Examples
    --------
    >>> by_first_appearance(["18", "20", "18"]).tolist()
    [0, 1, 0]
    """
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(answer, len(numbers)) for answer in answers], dtype=np.intp)


def _with_first_members(same: BoolArray) -> IntArray:
    labels, firsts = np.zeros(len(same), dtype=np.intp), list[int]()
    for i in range(len(same)):
        joined = next((number for number, first in enumerate(firsts) if same[first, i]), len(firsts))
        if joined == len(firsts):
            firsts.append(i)
        labels[i] = joined
    return labels


def _square(matrix: NDArray[_Scalar]) -> NDArray[_Scalar]:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"comparisons of n answers have shape (n, n), not {matrix.shape}")
    return matrix
