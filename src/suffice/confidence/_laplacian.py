"""The normalised graph of the answers, which two of Lin's signals read."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence.base import FloatArray, Unavailable, similarity_matrix


def normalised_affinity(similarity: ArrayLike) -> FloatArray | Unavailable:
    """D^-1/2 W D^-1/2, W the symmetric similarities, D their row sums; the Laplacian is I minus this."""
    w = similarity_matrix(similarity)
    if isinstance(w, Unavailable):
        return w
    degrees = w.sum(axis=1)
    if not degrees.all():
        return Unavailable("an answer resembles none, not even itself")
    return np.asarray(w / np.sqrt(degrees[:, None] * degrees[None, :]))
