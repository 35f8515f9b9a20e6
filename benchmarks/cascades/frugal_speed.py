"""How long FrugalGPT's optimiser takes over all chains of up to three of 27 models, on one core.

    OPENBLAS_NUM_THREADS=1 python benchmarks/cascades/frugal_speed.py [--queries 2000] [--models 27]

Made-up answers: models of rising price and skill, queries of differing hardness, a scorer that knows
something. 27 + 27 x 26 + 27 x 26 x 25 chains, 40 quantiles per stage, then refinement.
"""

from __future__ import annotations

import argparse
from time import perf_counter, process_time

import numpy as np

from suffice.cascades.frugalgpt import Wish, best_chains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--models", type=int, default=27)
    args = parser.parse_args()
    n, m = args.queries, args.models
    rng = np.random.default_rng(0)
    skill = np.sort(rng.uniform(0.3, 0.9, m))
    hardness = rng.normal(size=(n, 1))
    p = 1 / (1 + np.exp(-(np.log(skill / (1 - skill)) + hardness)))
    quality = (rng.random((n, m)) < p).astype(np.float64)
    price = np.sort(rng.lognormal(0, 1.5, m)) * 1e-4
    cost = price * rng.uniform(0.5, 1.5, (n, m))
    accept = np.clip(0.3 * quality + 0.7 * rng.random((n, m)), 0, 1)
    n_chains = m + m * (m - 1) + m * (m - 1) * (m - 2)
    for n_wishes in (1, 16):
        wishes = [Wish(budget_usd=float(b)) for b in np.quantile(price, np.linspace(0.4, 0.95, n_wishes))]
        wall, cpu = perf_counter(), process_time()
        chains = best_chains(quality, cost, accept, wishes)
        wall, cpu = perf_counter() - wall, process_time() - cpu
        best = chains[-1]
        assert best is not None
        print(f"{n_chains:,} chains, {n:,} queries, {n_wishes} budgets: {cpu:.1f} s CPU, {wall:.1f} s wall")
        print(f"  the last: models {best.arms}, quality {best.quality:.3f}, {best.cost_usd:.2e} USD")


if __name__ == "__main__":
    main()
