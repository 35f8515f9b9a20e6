"""Cascades beside the best router, on recorded answers: quality over budget, area, and who beats whom.

    python benchmarks/cascades/compare.py --data DIR --set zeroeval [--seed 0] [--resamples 500]

Half of the questions to fit, half to judge, disjoint in text. The router (`ensemble`) that a cascade is
fitted to was trained on other questions of the fit half (three folds); the one it is judged with on the whole
fit half. Costs are those recorded; AIQ is the area between the cheapest and the best single model's cost. One
scorer of answers serves all: learnt on the fit half, its readings there from questions left out; it reads
hashed n-grams in milliseconds and is counted as free. `cascade routing` also reads whether answers agree.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Final

import numpy as np

from suffice import routers
from suffice.cascades import Recorded, play
from suffice.cascades.frugalgpt import AnswerScorer, FrugalGPT, Wish
from suffice.cascades.routing import CascadeRouting
from suffice.cascades.threshold import ConfidenceCascade
from suffice.embedders.hashed import HashedNgrams
from suffice.evaluation.cascading import Areas, Curve, crossed_scores, scored
from suffice.evaluation.fitting import fitted
from suffice.evaluation.sweep import VALUES_USD, choices
from suffice.metrics import hull_at, upper_hull
from suffice.outcomes import Outcomes

PRICES: Final = [np.inf, *(1 / VALUES_USD[1:-1]).tolist(), 0.0]
"""As many settings for all that decide by price."""
SCORER: Final = "scorer"
N_BUDGETS: Final = 16


class Halves:
    """Both halves with the scorer's readings, and a router's scores of either."""

    def __init__(self, outcomes: Outcomes, seed: int) -> None:
        first, second = outcomes.split(0.5, seed=seed)
        embedder = HashedNgrams()
        scorer = AnswerScorer(embedder, seed=seed)
        assert first.responses is not None and second.responses is not None
        scorer.fit(first.texts, first.arms, first.responses, first.quality)
        self.fit = Recorded.of(first, {SCORER: scorer.held_out_})
        self.test = Recorded.of(second, {SCORER: scorer.scores(second.texts, second.responses)})
        self.fit_scored = crossed_scores("ensemble", first, embedder=embedder, seed=seed)
        router, _ = fitted("ensemble", first, embedder=embedder, seed=seed)
        self.test_scored = scored(router, routers.fit_cost_model(first), second)
        self.seed = seed

    @property
    def chain(self) -> tuple[str, ...]:
        """Arms on the hull of the fit half, by cost: what a plain cascade climbs."""
        cost, quality = self.fit.cost_usd.mean(axis=0), self.fit.quality.mean(axis=0)
        hull = upper_hull(cost, quality)
        on_hull = [int(np.flatnonzero((cost == c) & (quality == q))[0]) for c, q in zip(*hull, strict=True)]
        return tuple(self.fit.arms[arm] for arm in on_hull)

    @property
    def budgets(self) -> list[float]:
        """From the cheapest to the best single model's cost, as read on the fit half."""
        cost, quality = self.fit.cost_usd.mean(axis=0), self.fit.quality.mean(axis=0)
        found: list[float] = np.geomspace(cost.min() * 1.02, cost[quality.argmax()], N_BUDGETS).tolist()
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with zeroeval.parquet")
    parser.add_argument("--set", choices=("zeroeval",), default="zeroeval")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=500)
    args = parser.parse_args()
    halves = Halves(zeroeval(args.data), args.seed)
    table = halves.test
    print(f"{args.set}: {halves.fit.n_queries} to fit, {table.n_queries} to judge, {table.n_arms} models")
    print(f"plain cascades climb {', '.join(halves.chain)}")
    areas = Areas(table, n_resamples=args.resamples, seed=args.seed)
    curves = {}
    for name, draw in METHODS.items():
        start = process_time()
        curves[name] = draw(halves)
        print(f"  {name}: {process_time() - start:.0f} s CPU", flush=True)
    show(areas, curves, table)


def zeroeval(directory: Path) -> Outcomes:
    """The 27 models with a price and nearly every query, complete rows only."""
    models = (directory / "zeroeval_models.txt").read_text().split()
    found = Outcomes.read(directory / "zeroeval.parquet", responses=True).select(arms=models)
    return found.select(rows=np.flatnonzero(~np.isnan(found.quality + found.cost_usd).any(axis=1)))


def routed(halves: Halves) -> Curve:
    """The router alone, by utility."""
    chosen = choices(*halves.test_scored, VALUES_USD, halves.test.arms)
    each = np.arange(halves.test.n_queries)
    return Curve(halves.test.quality[each, chosen], halves.test.cost_usd[each, chosen])


def singles(halves: Halves) -> Curve:
    """Every model alone: mixing them by lot is the zero router."""
    return Curve(halves.test.quality.T, halves.test.cost_usd.T)


def confidence(halves: Halves) -> Curve:
    """Thresholds on the scorer's reading along the chain."""
    return _played(
        halves,
        lambda budget: ConfidenceCascade(signal=SCORER, arms=halves.chain).fit(halves.fit, budget_usd=budget),
    )


def frugal(halves: Halves) -> Curve:
    wishes = [Wish(budget_usd=budget) for budget in halves.budgets]
    found = FrugalGPT(signal=SCORER).frontier(halves.fit, wishes)
    return Curve.of([one.sweep(halves.test) for one in found if one is not None])


def _played(halves: Halves, fit: Callable[[float], ConfidenceCascade]) -> Curve:
    return Curve.of([play(fit(budget), halves.test) for budget in halves.budgets])


def cascade(*, agreement: bool = True, **limits: int) -> Callable[[Halves], Curve]:
    """Cascade routing and its special cases, learnt once and read at every price."""

    def draw(halves: Halves) -> Curve:
        order = halves.chain if limits.get("order") else None
        max_asks = len(halves.chain) if order else limits.get("max_asks")
        found = _learnt(halves, agreement).again(value_usd=1.0, max_asks=max_asks, order=order)
        return Curve.of(found.sweep(_table(halves.test, agreement), PRICES, *halves.test_scored))

    return draw


_LEARNT: dict[bool, CascadeRouting] = {}


def _learnt(halves: Halves, agreement: bool) -> CascadeRouting:
    if agreement not in _LEARNT:
        found = CascadeRouting(signals=(SCORER,), seed=halves.seed)
        _LEARNT[agreement] = found.fit(_table(halves.fit, agreement), *halves.fit_scored, value_usd=1.0)
        beliefs, look = found.estimates_.beliefs, found.lookahead_
        print(f"  learnt: {beliefs}, slopes {np.round(look.slopes, 2).tolist()}")
    return _LEARNT[agreement]


def _table(table: Recorded, agreement: bool) -> Recorded:
    return table if agreement else replace(table, responses=None)


METHODS: Final[dict[str, Callable[[Halves], Curve]]] = {
    "zero router": singles,
    "router": routed,
    "confidence": confidence,
    "FrugalGPT": frugal,
    "routing": cascade(max_asks=1),
    "plain cascade": cascade(order=True),
    "cascade routing": cascade(),
    "no agreement": cascade(agreement=False),
}


def show(areas: Areas, curves: dict[str, Curve], table: Recorded) -> None:
    truth, (low, high) = areas.truth, areas.span
    print(f"best single {truth.models[truth.best_single]} {truth.mean_quality.max():.3f}, "
          f"{1000 * high:.3f} USD per 1k; oracle {table.quality.max(axis=1).mean():.3f}")  # fmt: skip
    at = [low + share * (high - low) for share in (0.1, 0.25, 0.5, 1.0)]
    heads = "".join(f"{1000 * cost:>9.3f}" for cost in at)
    print(f"{'quality at USD per 1k':<18}{heads}{'best':>8}{'AIQ':>8}   95 %")
    for name, curve in curves.items():
        hull = upper_hull(curve.cost_usd.mean(axis=1), curve.quality.mean(axis=1))
        cells = "".join(f"{float(hull_at(hull, cost)):>9.3f}" for cost in at)
        interval = "{:.4f} to {:.4f}".format(*areas.interval(curve))
        print(f"{name:<18}{cells}{hull.qualities[-1]:>8.3f}{areas.aiq(curve):>8.4f}   {interval}")
    print("AIQ of cascade routing less that of")
    ours = curves["cascade routing"]
    for name, curve in curves.items():
        if name != "cascade routing":
            found = areas.over(ours, curve, name)
            print(
                f"  {name:<16}{found.gain:>+8.4f}   {found.ci[0]:+.4f} to {found.ci[1]:+.4f}  {found.verdict}"
            )
    for name in ("routing", "plain cascade"):
        gains = [areas.over_at(ours, curves[name], cost, name) for cost in at]
        text = ", ".join(f"{one.gain:+.3f} ({one.ci[0]:+.3f} to {one.ci[1]:+.3f})" for one in gains)
        print(f"quality over {name} at these costs: {text}")


if __name__ == "__main__":
    main()
