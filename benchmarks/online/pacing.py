"""Pacing alone: rewards and costs known before every choice, so that only the price can be wrong.

    python benchmarks/online/pacing.py --data paretobandit.parquet

Pacers start cold: nothing is known of the queries that will come. `start` is a pacer that was shown a third
of the queries first, which are then not played. Per cent of the hindsight bound and the largest share of
the budget that was spent, over random orders.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from suffice.budgets import pacing
from suffice.budgets.bound import lagrangian_bound
from suffice.outcomes import Outcomes
from suffice.types import FloatArray

BUDGETS = (3e-4, 1e-3, 2e-3, 5e-3)
PACERS = ("resolve", "dual", "on_mckp", "static")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--orders", type=int, default=10)
    options = parser.parse_args()
    outcomes = Outcomes.read(options.data)
    table = Table("pacer", *(f"B = {budget:g}" for budget in BUDGETS), title="% of the bound, most spent / B")
    for is_shown in (False, True):
        for name in PACERS:
            if name == "static" and not is_shown:
                continue  # it has no price without a past
            cells = [
                _cell(name, outcomes.quality, outcomes.cost_usd, budget, options.orders, is_shown)
                for budget in BUDGETS
            ]
            table.add_row(f"{name}{', start' if is_shown else ''}", *cells)
    Console(width=120).print(table)


def _cell(
    name: str, quality: FloatArray, costs: FloatArray, budget: float, n_orders: int, is_shown: bool
) -> str:
    shares, spent, overspent = [], [], 0.0
    for seed in range(n_orders):
        order = np.random.default_rng(seed).permutation(len(quality))
        n_shown = len(order) // 3 if is_shown else 0
        past, rows = order[:n_shown], order[n_shown:]
        pacer = pacing.create(name, budget_usd=budget * len(rows), horizon=float(len(rows)))
        if is_shown:
            pacer.warm(quality[past], costs[past])
        found = _play(pacer, quality[rows], costs[rows])
        shares.append(found / lagrangian_bound(quality[rows], costs[rows], budget)[0])
        spent.append(pacer.spent_usd / pacer.budget_usd)
        overspent = max(overspent, pacer.spent_usd - pacer.budget_usd)
    assert overspent <= 0
    return f"{np.mean(shares):.2%} (worst {min(shares):.2%}), {max(spent):.4f}"


def _play(pacer: pacing.Pacer, quality: FloatArray, costs: FloatArray) -> float:
    """Mean quality."""
    total = 0.0
    for rewards, prices in zip(quality, costs, strict=True):
        price = pacer.price(rewards, prices)
        arm = pacing.pick(rewards, prices, price, pacer.allowed(rewards, prices))
        pacer.paid(0.0 if arm is None else float(prices[arm]))
        total += 0.0 if arm is None else float(rewards[arm])
    return total / len(quality)


if __name__ == "__main__":
    main()
