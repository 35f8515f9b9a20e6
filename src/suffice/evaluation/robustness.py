"""Whether a router's choice survives a rewording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from suffice.evaluation.fitting import costs_of
from suffice.evaluation.ground import Ground
from suffice.evaluation.rewording import reworded
from suffice.evaluation.sweep import choices
from suffice.types import FloatArray, IntArray, Query


def robustness(
    ground: Ground, scores: Mapping[str, FloatArray], plain: FloatArray, value_usd: float | None, *, seed: int
) -> dict[str, float]:
    """The share of unchanged choices, by kind of rewording, and under "all" that of every kind at once.

    Costs are predicted for the reworded queries too.

    Parameters
    ----------
    scores : by kind, shape (n_test, K), of the reworded queries
    plain : shape (n_test, K), of the queries as they are
    value_usd : of a right answer; None takes the best score
    """
    value = np.inf if value_usd is None else value_usd

    def chosen(of: FloatArray, queries: Sequence[Query]) -> IntArray:
        model = ground.cost_model
        costs = np.zeros_like(of) if model is None else costs_of(model, queries, ground.train.arms)
        return np.asarray(choices(of, costs, np.array([value]), ground.train.arms)[0])

    texts = reworded(ground.test.texts, seed=seed)
    before = chosen(plain, ground.test.queries)
    same = {}
    for kind, found in scores.items():
        queries = [
            msgspec.structs.replace(query, text=text)
            for query, text in zip(ground.test.queries, texts[kind], strict=True)
        ]
        same[kind] = chosen(found, queries) == before
    shares = {kind: float(kept.mean()) for kind, kept in same.items()}
    return shares | {"all": float(np.all(list(same.values()), axis=0).mean())}
