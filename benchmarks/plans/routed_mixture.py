"""The architecture of a mixture chosen per query, against the best fixed mixtures at equal cost.

    python benchmarks/plans/routed_mixture.py --data DIR [--resamples 300]

zeroeval with responses, 27 models, half to fit, half to judge. A mixture is a vote of 3 or 5 of the
strongest and most frugal models, its first member the aggregator where there is no majority; all members are
paid. `fixed`: single models and mixtures, mixed by lot, the best of them read on the judged half, which
favours them. `routed`: a router picks one of the same for every query.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import itertools
from pathlib import Path

import numpy as np

from suffice.embedders import HashedNgrams
from suffice.evaluation.cascading import Areas, Curve, Scored
from suffice.evaluation.planned.arms import SIZES, routed, shortlist, singles, votes
from suffice.evaluation.planned.chains import Halves
from suffice.evaluation.planned.data import PlanData
from suffice.outcomes import Runs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--resamples", type=int, default=300)
    options = parser.parse_args()
    models = (options.data / "zeroeval_models.txt").read_text().split()
    outcomes, whole = PlanData.read(Runs.read(options.data / "zeroeval.parquet").where(model=models))
    table = whole.recorded
    complete = np.flatnonzero(~np.isnan(table.quality + table.cost_usd).any(axis=1))
    order = np.random.default_rng(0).permutation(complete)
    half = len(order) // 2
    cuts = (np.sort(order[:half]), np.sort(order[half:]))
    train, test = (whole.of(outcomes.select(rows=rows, arms=models)) for rows in cuts)
    unknown = Scored(np.zeros((0, 0)), np.zeros((0, 0)))
    halves = Halves(train, test, unknown, unknown, 0.02, "ensemble", HashedNgrams())
    sets = [one for size in SIZES for one in itertools.combinations(shortlist(halves), size)]
    tables = [singles(data).beside(votes(data, sets)) for data in (train, test)]
    areas = Areas(test.recorded, n_resamples=options.resamples)
    curves = {
        "zero router": Curve(test.recorded.quality.T, test.recorded.cost_usd.T),
        "fixed": Curve(tables[1].quality.T, tables[1].cost_usd.T),
        "routed models": routed(halves, *(singles(data) for data in (train, test))).curve,
        "routed": routed(halves, *tables).curve,
    }
    print(
        f"{half} to fit, {len(order) - half} to judge; {len(sets)} mixtures of {', '.join(shortlist(halves))}"
    )
    for name, curve in curves.items():
        low, high = areas.interval(curve)
        best = curve.quality.mean(axis=1).max()
        print(f"{name:<14} AIQ {areas.aiq(curve):.4f} ({low:.4f} to {high:.4f}), best {best:.3f}")
    for name in ("zero router", "fixed", "routed models"):
        found = areas.over(curves["routed"], curves[name], name)
        interval = f"({found.ci[0]:+.4f} to {found.ci[1]:+.4f})"
        print(f"routed less {name:<14}{found.gain:+.4f} {interval}  {found.verdict}")


if __name__ == "__main__":
    main()
