"""How much the samples resemble each other on average.

Needs: text only, n samples and the similarity of every pair. Costs: n calls, n answers of tokens, n (n - 1)
comparisons.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from suffice.confidence.base import Reading, Signal, Unavailable, similarity_matrix


def score(similarity: ArrayLike) -> Reading:
    """Value: trace(n I - D) / n^2 = 1 - the mean similarity, the diagonal included; confidence 1 - value.

    With a diagonal of 1 the value reaches 1 - 1/n at most.

    Parameters
    ----------
    similarity : shape (n_samples, n_samples), in [0, 1]; made symmetric

    References
    ----------
    Lin et al. (2024), Generating with Confidence, section 4.2 (Deg).

    Examples
    --------
    >>> float(score([[1, 1], [1, 1]])), float(score([[1, 0], [0, 1]]))
    (0.0, 0.5)
    """
    w = similarity_matrix(similarity)
    if isinstance(w, Unavailable):
        return w
    agreement = float(w.mean())
    return Signal(1 - agreement, agreement)
