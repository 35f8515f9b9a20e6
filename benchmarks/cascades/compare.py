"""Cascades beside the best router, on recorded answers: quality over budget, area, and who beats whom.

    python benchmarks/cascades/compare.py --data DIR --set zeroeval [--seed 0] [--resamples 500]
    python benchmarks/cascades/compare.py --data DIR --set date [--splits 3] [--resamples 500]

`zeroeval`: half of the questions to fit, half to judge, disjoint in text. The router (`ensemble`) that a
cascade is fitted to was trained on other questions of the fit half (three folds); the one it is judged with
on the whole fit half. Costs are those recorded; AIQ is the area between the cheapest and the best single
model's cost. One scorer of answers serves all: learnt on the fit half, its readings there from questions left
out; it reads hashed n-grams in milliseconds and is counted as free. `cascade routing` also reads whether
answers agree. AutoMix's meta-verifiers read the scorer too: nobody verified these answers; its `threshold` is
`confidence`.

`date`: the samples of DATE, see `samples.py`; signals are agreements of samples, which are paid for.

delta-IBC is read where each hull spends a quarter of the range: gain per dollar over the cheapest model,
beside that of the best single one (AutoMix, section 4); 0 is what mixing those two by lot has.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Final

import numpy as np
from samples import Sampled, best_of, sampled, stopping

from suffice import routers
from suffice.cascades import Recorded, create, play
from suffice.cascades.frugalgpt import AnswerScorer, FrugalGPT, Wish
from suffice.cascades.routing import CascadeRouting
from suffice.cascades.threshold import ConfidenceCascade
from suffice.embedders.hashed import HashedNgrams
from suffice.evaluation.cascading import Areas, Curve, crossed_scores, scored
from suffice.evaluation.fitting import fitted
from suffice.evaluation.sweep import VALUES_USD, choices
from suffice.metrics import delta_ibc, hull_at, percentile_interval, resampled_means, upper_hull
from suffice.outcomes import Outcomes
from suffice.types import IntArray

PRICES: Final = [np.inf, *(1 / VALUES_USD[1:-1]).tolist(), 0.0]
"""As many settings for all that decide by price."""
SCORER: Final = "scorer"
N_BUDGETS: Final = 16


class Halves:
    """Both halves with the readings of a signal, and a router's scores of either."""

    signal = SCORER

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
        self.learnt: dict[bool, CascadeRouting] = {}

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
    parser.add_argument("--set", choices=("zeroeval", "date"), default="zeroeval")
    parser.add_argument("--splits", type=int, default=3, help="of date")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=500)
    args = parser.parse_args()
    if args.set == "date":
        on_date(args)
        return
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
    """Thresholds on the signal along the chain."""
    return _played(
        halves,
        lambda budget: ConfidenceCascade(signal=halves.signal, arms=halves.chain).fit(
            halves.fit, budget_usd=budget
        ),
    )


def automix(kind: str, every: int = 1) -> Callable[[Halves], Curve]:
    """A meta-verifier along the chain, for every budget or every other one."""

    def draw(halves: Halves) -> Curve:
        played = []
        for budget in halves.budgets[::-every][::-1]:
            rule = create(f"automix_{kind}", signal=halves.signal, arms=halves.chain)
            played.append(play(rule.fit(halves.fit, budget_usd=budget), halves.test))
        return Curve.of(played)

    return draw


def frugal(halves: Halves) -> Curve:
    wishes = [Wish(budget_usd=budget) for budget in halves.budgets]
    found = FrugalGPT(signal=halves.signal).frontier(halves.fit, wishes)
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


def _learnt(halves: Halves, agreement: bool) -> CascadeRouting:
    if agreement not in halves.learnt:
        found = CascadeRouting(signals=(halves.signal,), seed=halves.seed)
        found.fit(_table(halves.fit, agreement), *halves.fit_scored, value_usd=1.0)
        halves.learnt[agreement] = found
    return halves.learnt[agreement]


def _table(table: Recorded, agreement: bool) -> Recorded:
    return table if agreement else replace(table, responses=None)


METHODS: Final[dict[str, Callable[[Halves], Curve]]] = {
    "zero router": singles,
    "router": routed,
    "confidence": confidence,
    "AutoMix double": automix("double_threshold"),
    "AutoMix POMDP": automix("pomdp", every=2),
    "AutoMix Bayes": automix("bayes"),
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
    print(f"{'quality at USD per 1k':<18}{heads}{'best':>8}{'AIQ':>8}   95 %               delta-IBC  95 %")
    for name, curve in curves.items():
        hull = upper_hull(curve.cost_usd.mean(axis=1), curve.quality.mean(axis=1))
        cells = "".join(f"{float(hull_at(hull, cost)):>9.3f}" for cost in at)
        interval = "{:.4f} to {:.4f}".format(*areas.interval(curve))
        benefit = "{:>+8.2f}   {:+.2f} to {:+.2f}".format(*benefits(areas, curve, at[1]))
        print(f"{name:<18}{cells}{hull.qualities[-1]:>8.3f}{areas.aiq(curve):>8.4f}   {interval}{benefit}")
    print("AIQ of cascade routing less that of")
    ours = curves["cascade routing"]
    for name, curve in curves.items():
        if name != "cascade routing":
            print(shown(areas, ours, curve, name))
    best = max(curves, key=lambda name: areas.aiq(curves[name]))
    if best != "cascade routing":
        print(f"AIQ of {best}, the highest here, less that of")
        print(shown(areas, curves[best], curves["FrugalGPT"], "FrugalGPT"))
        print(shown(areas, curves[best], curves["router"], "router"))
    for name in ("routing", "plain cascade"):
        gains = [areas.over_at(ours, curves[name], cost, name) for cost in at]
        text = ", ".join(f"{one.gain:+.3f} ({one.ci[0]:+.3f} to {one.ci[1]:+.3f})" for one in gains)
        print(f"quality over {name} at these costs: {text}")


def shown(areas: Areas, curve: Curve, other: Curve, name: str) -> str:
    found = areas.over(curve, other, name)
    return f"  {name:<16}{found.gain:>+8.4f}   {found.ci[0]:+.4f} to {found.ci[1]:+.4f}  {found.verdict}"


def benefits(areas: Areas, curve: Curve, cost_usd: float, n: int = 300) -> tuple[float, float, float]:
    """delta-IBC of the hull where it spends `cost_usd`, and 95 % over drawn queries; the cost stays."""
    truth = areas.truth
    ends = [truth.cheapest, truth.best_single]
    assert truth.cost_usd is not None
    tables = (curve.quality.T, curve.cost_usd.T, truth.quality[:, ends], truth.cost_usd[:, ends])
    drawn = [resampled_means(table, n) for table in tables]
    drawn = [np.vstack([table.mean(axis=0), means]) for table, means in zip(tables, drawn, strict=True)]
    found = []
    for quality, cost, singles_quality, singles_cost in zip(*drawn, strict=True):
        reached = float(hull_at(upper_hull(cost, quality), cost_usd))
        small, large = zip(singles_quality.tolist(), singles_cost.tolist(), strict=True)
        found.append(delta_ibc(reached, cost_usd, small=small, large=large))
    return found[0], *percentile_interval(np.array(found[1:]))


def on_date(args: argparse.Namespace) -> None:
    """A query's figures are its means over splits: in each it is judged once, fitted on the other half."""
    data = sampled(args.data)
    print(f"date: {data.singles.n_queries} questions, each judged in {args.splits} splits")
    means: dict[str, list[Curve]] = {}
    for seed in range(args.splits):
        side = np.random.default_rng(seed).permutation(data.singles.n_queries) % 2
        parts = [(np.flatnonzero(side == one), np.flatnonzero(side != one)) for one in (0, 1)]
        for name, draw in (DATE_METHODS | STOPPING).items():
            halves = [draw(data, *part, seed) for part in parts]
            whole = [np.empty((len(halves[0].quality), len(side))) for _ in range(2)]
            for curve, (_, test) in zip(halves, parts, strict=True):
                whole[0][:, test], whole[1][:, test] = curve.quality, curve.cost_usd
            means.setdefault(name, []).append(Curve(*whole))
    curves = {
        name: Curve(
            np.mean([one.quality for one in found], axis=0), np.mean([one.cost_usd for one in found], axis=0)
        )
        for name, found in means.items()
    }
    show(Areas(data.singles, n_resamples=args.resamples, seed=args.seed), curves, data.singles)


class SampledHalves(Halves):
    """The arms whose samples are counted: commonest answers, with their share as the reading."""

    signal = "self_consistency"

    def __init__(self, data: Sampled, fit: IntArray, test: IntArray, seed: int) -> None:
        self.fit, self.test, self.seed = data.voted.select(fit), data.voted.select(test), seed
        self.learnt = {}
        first, second = (outcomes_of(table) for table in (self.fit, self.test))
        self.fit_scored = crossed_scores("ensemble", first, seed=seed)
        router, _ = fitted("ensemble", first, seed=seed)
        self.test_scored = scored(router, routers.fit_cost_model(first), second)


def outcomes_of(table: Recorded) -> Outcomes:
    return Outcomes.from_arrays(table.queries, table.arms, table.quality, cost_usd=table.cost_usd)


_KNOWN: dict[tuple[int, int], SampledHalves] = {}


def on_samples(draw: Callable[[Halves], Curve]) -> Callable[[Sampled, IntArray, IntArray, int], Curve]:
    """A method of this file on the sampled arms; what is learnt of a split is learnt once."""

    def drawn(data: Sampled, fit: IntArray, test: IntArray, seed: int) -> Curve:
        key = seed, int(fit[0])
        if key not in _KNOWN:
            _KNOWN[key] = SampledHalves(data, fit, test, seed)
        return draw(_KNOWN[key])

    return drawn


def one_answer(data: Sampled, fit: IntArray, test: IntArray, seed: int) -> Curve:
    """The router alone, over models that are asked once."""
    return best_of(data.singles, data.singles, fit, test, seed)


def alone(data: Sampled, fit: IntArray, test: IntArray, seed: int) -> Curve:
    table = data.singles.select(test)
    return Curve(table.quality.T, table.cost_usd.T)


DATE_METHODS: Final = {
    "zero router": alone,
    "router": one_answer,
    **{
        name: on_samples(METHODS[name])
        for name in ("confidence", "AutoMix double", "AutoMix POMDP", "AutoMix Bayes", "FrugalGPT", "routing")
    },
    "plain cascade": on_samples(METHODS["plain cascade"]),
    "cascade routing": on_samples(METHODS["cascade routing"]),
}
STOPPING: Final = {
    "BEST-Route": lambda data, *split: best_of(data.pairs, data.pairs, *split),
    "and stops early": stopping,
}


if __name__ == "__main__":
    main()
