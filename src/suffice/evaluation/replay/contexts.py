"""What a bandit sees of a query: directions of its vector, a supervised router's scores, and a constant."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from suffice.embedders import HashedNgrams
from suffice.evaluation.fitting import fitted, scores_of
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder
from suffice.routers.crossfit import folds
from suffice.types import FloatArray

MAX_DIMENSIONS: Final = 64
N_COMPONENTS: Final = 32
N_FOLDS: Final = 5
SUPERVISED: Final = "ridge"
_WIDE: Final = 512


def contexts(
    stream: Outcomes, warm: Outcomes | None, embedder: Embedder | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, tuple[str, ...]]:
    """(n, d) of the stream's queries and of the warm ones, and the arms whose scores are in them.

    d is at most 64, the last column is 1, and those before it are the scores.

    With warm data: the principal components of their vectors, scaled so that together they have a variance
    of 1, beside the scores of a router trained on them, less their means. A warm query's own scores come from
    a router that was trained without it, or a bandit would learn to trust them too far. Without warm data: a
    random projection, which needs none.

    Parameters
    ----------
    embedder : None: hashed n-grams
    """
    if warm is None:
        vectors = (embedder or HashedNgrams(dimensions=N_COMPONENTS)).embed(stream.texts)
        if vectors.shape[1] > N_COMPONENTS:
            draw = np.random.default_rng(0).standard_normal((vectors.shape[1], N_COMPONENTS))
            vectors = vectors @ (draw / np.sqrt(N_COMPONENTS)).astype(np.float32)
        return _joined(vectors), None, ()
    embedder = embedder or HashedNgrams(dimensions=_WIDE)
    past, new = embedder.embed(warm.texts), embedder.embed(stream.texts)
    centre = past.mean(axis=0)
    _, _, directions = np.linalg.svd(past - centre, full_matrices=False)
    scores, past_scores = _supervised(stream, warm)
    n = min(N_COMPONENTS, MAX_DIMENSIONS - 1 - scores.shape[1])
    basis = directions[: max(n, 1)].T
    past, new = (past - centre) @ basis, (new - centre) @ basis
    scale = 1 / max(float(np.sqrt((past**2).sum(axis=1).mean())), 1e-9)
    scored = warm.arms if scores.shape[1] else ()
    return _joined(new * scale, scores), _joined(past * scale, past_scores), scored


def _supervised(stream: Outcomes, warm: Outcomes) -> tuple[FloatArray, FloatArray]:
    """Centred scores of the stream's and the warm queries, (n, K') each; none if there are many arms."""
    if warm.n_arms > MAX_DIMENSIONS // 2 or warm.n_queries < 2 * N_FOLDS:
        return np.zeros((stream.n_queries, 0)), np.zeros((warm.n_queries, 0))
    held = np.full((warm.n_queries, warm.n_arms), np.nan)
    for inside, out in folds(warm.texts, N_FOLDS, 0):
        router, _ = fitted(SUPERVISED, warm.select(rows=inside))
        held[out] = scores_of(router, [warm.queries[row] for row in out], warm.arms)
    router, _ = fitted(SUPERVISED, warm)
    scores = scores_of(router, stream.queries, warm.arms)
    middle = np.nan_to_num(np.nanmean(held, axis=0)) if not np.isnan(held).all() else 0.0
    return np.nan_to_num(scores - middle), np.nan_to_num(held - middle)


def _joined(*parts: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.hstack([*parts, np.ones((len(parts[0]), 1))]).astype(np.float32)
