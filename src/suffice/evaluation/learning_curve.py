"""How much more training data would help: the same test queries, growing parts of the training ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from suffice.errors import ConfigError
from suffice.evaluation.details import CurveSize
from suffice.evaluation.ground import Ground
from suffice.evaluation.measuring import measure
from suffice.evaluation.trials import Failed, Trial, Tried
from suffice.types import IntArray

Key = tuple[str, float]
"""(router, share)"""


def plan(ground: Ground, routers: Sequence[str], shares: Sequence[float], *, seed: int) -> dict[Key, Trial]:
    """One training per router and share; a smaller part lies inside every larger one.

    Raises
    ------
    ConfigError
        If a share is not in (0, 1].
    """
    if any(not 0 < share <= 1 for share in shares):
        raise ConfigError(f"--curve {', '.join(map(str, shares))}: shares above 0, up to 1, are needed")
    return {
        (router, share): Trial(
            router=router, seed=seed, train_rows=_rows(ground, share, seed), step=f"{share:.0%} of training"
        )
        for router in routers
        for share in sorted(set(shares))
    }


def result(
    ground: Ground, found: Mapping[Key, Tried | Failed], *, seed: int
) -> dict[str, tuple[CurveSize, ...]]:
    """By router, by growing size; a part too small for a router is left out."""
    curves: dict[str, list[CurveSize]] = {}
    for (router, share), one in found.items():
        if isinstance(one, Failed):
            continue
        rows = _rows(ground, share, seed)
        costs = ground.costs_learnt_from(ground.train.select(rows=rows))
        measured = measure(ground.truth, one.scores, costs, ground.pair)
        size = CurveSize(
            n_train=len(rows),
            aiq=measured.aiq,
            apgr=None if measured.pair is None else measured.pair.apgr,
            max_quality=float(measured.curve.quality.max()),
        )
        curves.setdefault(router, []).append(size)
    return {router: tuple(sizes) for router, sizes in curves.items()}


def _rows(ground: Ground, share: float, seed: int) -> IntArray:
    n = ground.train.n_queries
    drawn = np.random.default_rng(seed).permutation(n)[: max(1, round(share * n))]
    return np.sort(drawn)
