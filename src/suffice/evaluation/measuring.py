"""One estimator on the test queries: its curve, its place in a pair, its speed."""

from __future__ import annotations

import msgspec
import numpy as np

from suffice.evaluation.comparison import RouterResult
from suffice.evaluation.figures import PairResult
from suffice.evaluation.sweep import Sweep, aiq_of, sweep
from suffice.evaluation.truth import Truth
from suffice.metrics import apgr, cost_share, cpt, upper_hull
from suffice.types import FloatArray


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What scores are worth on some queries."""

    curve: Sweep
    aiq: float | None
    pair: PairResult | None


def measure(
    truth: Truth, scores: FloatArray, costs: FloatArray | None, pair: tuple[str, str] | None
) -> Measured:
    """Curve, AIQ and pair metrics of scores.

    Parameters
    ----------
    truth : n queries, K models
    scores : shape (n, K)
    costs : shape (n, K), predicted USD; None where costs are not known
    pair : (strong, weak), or None
    """
    curve = sweep(truth, scores, costs)
    return Measured(curve=curve, aiq=aiq_of(truth, curve), pair=pair_result(truth, scores, pair))


def pair_result(truth: Truth, scores: FloatArray, pair: tuple[str, str] | None) -> PairResult | None:
    """APGR and CPT; None without a pair, a known score of both, or a strong model that is better here."""
    if pair is None:
        return None
    strong, weak = (truth.models.index(model) for model in pair)
    qualities = truth.quality[:, strong], truth.quality[:, weak]
    difference = scores[:, strong] - scores[:, weak]
    if not qualities[0].mean() > qualities[1].mean() or np.isnan(difference).any():
        return None
    return PairResult(
        apgr=apgr(difference, *qualities),
        cpt50=cpt(difference, *qualities, target=0.5),
        cpt80=cpt(difference, *qualities, target=0.8),
    )


def router_result(
    truth: Truth,
    measured: Measured,
    *,
    fit_s: float,
    decision_us: float,
    aiq_ci: tuple[float, float] | None,
) -> RouterResult:
    """The router's entry of the report."""
    curve = measured.curve
    shares: tuple[float | None, float | None] = (None, None)
    span = truth.cost_range()
    if span is not None:
        hull = upper_hull(curve.cost_usd, curve.quality)
        best_quality = float(truth.mean_quality[truth.best_single])
        shares = (
            cost_share(hull, best_quality, 1.0, span[1]),
            cost_share(hull, best_quality, 0.95, span[1]),
        )
    return RouterResult(
        aiq=measured.aiq,
        aiq_ci=aiq_ci,
        max_quality=float(curve.quality.max()),
        cost_share_at_best_single=shares[0],
        cost_share_at_95pct=shares[1],
        curve=curve.points(),
        pair=measured.pair,
        fit_s=fit_s,
        decision_us=decision_us,
    )
