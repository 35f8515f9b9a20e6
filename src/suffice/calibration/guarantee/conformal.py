"""Conformal risk control: a promise about the mean over many calibrations, not about this one.

References
----------
Angelopoulos et al. (2024), Conformal Risk Control, section 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from suffice.calibration.guarantee.certify import GRID
from suffice.calibration.guarantee.promises import PROMISES
from suffice.calibration.guarantee.table import Table, check_level, checked_grid


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A threshold whose regressions are at most epsilon in the mean over calibrations."""

    threshold: float | None
    """The cheap model where the score reaches it; None: never."""
    weak_share: float
    epsilon: float
    n: int
    holds: Literal["in expectation only"] = "in expectation only"
    """This very threshold may lose more, in a quarter or a third of calibrations (docs/confidence.md)."""


def conformal_risk_control(
    score: ArrayLike,
    quality_weak: ArrayLike,
    quality_strong: ArrayLike,
    *,
    epsilon: float,
    grid: Iterable[float] = GRID,
) -> Expectation:
    """The lowest threshold with n / (n + 1) R + 1 / (n + 1) <= epsilon, R the mean loss of `regressions`.

    That loss only grows as the threshold falls, which the method needs; of the other promises it is not true.
    Parameters are those of `certify`.
    """
    check_level("epsilon", epsilon)
    thresholds = checked_grid(grid)
    table = Table.of(score, quality_weak, quality_strong)
    kept = table.kept(thresholds)
    risk = PROMISES["regressions"].losses(table.weak, table.strong, kept, epsilon).mean(axis=0)
    is_held = (table.n * risk + 1) / (table.n + 1) <= epsilon
    last = int(np.flatnonzero(is_held)[-1]) if is_held.any() else None
    return Expectation(
        threshold=None if last is None else float(thresholds[last]),
        weak_share=0.0 if last is None else float(kept[:, last].mean()),
        epsilon=epsilon,
        n=table.n,
    )
