"""One router, every price of a right answer: from scores and predicted costs to a measured curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.evaluation.baselines import per_1k
from suffice.evaluation.figures import CurvePoint
from suffice.evaluation.truth import Truth
from suffice.metrics import aiq
from suffice.types import FloatArray, IntArray

VALUES_USD: Final[FloatArray] = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 200), [np.inf]])
"""What a right answer may be worth: from "cheapest" through every sensible price to "best"."""


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """A router's choices for every value, and what they truly brought."""

    values_usd: FloatArray
    """(V,)"""
    chosen: NDArray[np.int16]
    """(V, n): a model per query; small numbers, since many routers are held at once."""
    quality: FloatArray
    """(V,): mean."""
    cost_usd: FloatArray
    """(V,): mean per query, at true cost; NaN where costs are not known."""

    def points(self) -> tuple[CurvePoint, ...]:
        """The curve as it is reported."""
        return tuple(
            CurvePoint(
                value_usd=None if np.isinf(value) else float(value),
                cost_usd_per_1k=per_1k(float(cost)),
                quality=float(quality),
            )
            for value, cost, quality in zip(self.values_usd, self.cost_usd, self.quality, strict=True)
        )


def sweep(truth: Truth, scores: FloatArray, costs: FloatArray | None) -> Sweep:
    """Choose by utility for every value, pay what was truly paid.

    Parameters
    ----------
    truth : n queries, K models
    scores : shape (n, K); NaN is unknown and ranks last
    costs : shape (n, K), predicted USD; None decides by scores alone, once
    """
    values = VALUES_USD if costs is not None else VALUES_USD[-1:]
    paid = np.zeros_like(scores) if costs is None else costs
    chosen = choices(scores, paid, values, truth.models).astype(np.int16)
    return Sweep(
        values_usd=values,
        chosen=chosen,
        quality=np.array([truth.quality_of(row).mean() for row in chosen]),
        cost_usd=np.array([truth.cost_of(row).mean() for row in chosen]),
    )


def choices(scores: FloatArray, costs: FloatArray, values: FloatArray, models: Sequence[str]) -> IntArray:
    """The model of highest `value * score - cost` per query and value.

    What the utility policy puts first, value by value (a test compares them), without the work of
    ranking the rest: ties go to the higher score, then to the cheaper, then by name.

    Parameters
    ----------
    scores, costs : shape (n, K); NaN is unknown and ranks last
    values : shape (V,), USD; infinity takes the best score and, of equals, the cheapest
    models : (K,)

    Returns
    -------
    shape (V, n)
    """
    known = np.where(np.isnan(scores), -np.inf, scores)
    names = np.argsort(np.argsort(np.array(models, dtype=object)))
    order = np.lexsort((np.broadcast_to(names, scores.shape), costs, -known), axis=-1)
    ranked = np.take_along_axis(scores, order, axis=1)
    paid = np.take_along_axis(costs, order, axis=1)
    found = np.empty((len(values), len(scores)), dtype=np.intp)
    for row, value in enumerate(values):
        if np.isinf(value):
            found[row] = order[:, 0]
            continue
        utility = -paid if value == 0 else value * ranked - paid
        first = np.where(np.isnan(utility), -np.inf, utility).argmax(axis=1)
        found[row] = np.take_along_axis(order, first[:, None], axis=1)[:, 0]
    return found


def aiq_of(truth: Truth, curve: Sweep) -> float | None:
    """AIQ over the range from the cheapest to the best single model; None without costs."""
    span = truth.cost_range()
    return None if span is None else aiq(curve.cost_usd, curve.quality, *span)
