"""How far the samples lie from their centre in the space of meanings.

Needs: text only, n samples and the similarity of every pair. Costs: n calls, n answers of tokens, n (n - 1)
comparisons.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence._laplacian import normalised_affinity
from suffice.confidence.base import Reading, Signal, Unavailable, clipped


def score(similarity: ArrayLike, *, threshold: float = 0.9) -> Reading:
    """Value: Frobenius norm of the Laplacian's eigenvectors with eigenvalue under the threshold, centred.

    Each eigenvector is centred over the answers. From 0 (all the same) to sqrt(n - 1) (all different), since
    the eigenvectors are orthonormal; confidence 1 - value / sqrt(n - 1).

    Parameters
    ----------
    similarity : shape (n_samples, n_samples), in [0, 1]; made symmetric
    threshold : of the Laplacian's eigenvalues, 0.9 in the paper

    References
    ----------
    Lin et al. (2024), Generating with Confidence, section 4.2 (Ecc).

    Examples
    --------
    >>> round(score([[1, 1], [1, 1]]).confidence, 6), round(score([[1, 0], [0, 1]]).confidence, 6)
    (1.0, 0.0)
    """
    affinity = normalised_affinity(similarity)
    if isinstance(affinity, Unavailable):
        return affinity
    eigenvalues, vectors = np.linalg.eigh(np.eye(len(affinity)) - affinity)
    kept = vectors[:, eigenvalues < threshold]
    value = float(np.linalg.norm(kept - kept.mean(axis=0)))
    return Signal(value, clipped(1 - value / np.sqrt(len(affinity) - 1)))
