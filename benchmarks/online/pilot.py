"""PILOT's headline setting: how much of GPT-4's quality for a quarter of its cost, learning on the way.

    python benchmarks/online/pilot.py --data routerbench.parquet
    python benchmarks/online/pilot.py --data routerbench.parquet --routers --split 1 --seeds 2

A part of the queries is known beforehand (`--warm`); the rest comes one by one, only the chosen model's score
is told, and never more is spent than a quarter of what GPT-4 would cost on the stream. The learning curve is
quality by fifths of the stream, in per cent of GPT-4's on all of it. `--routers` plays trained routers that
do not learn on: how far the warm queries carry.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from suffice.evaluation import Replay, replay_policy
from suffice.evaluation.selection import is_complete
from suffice.outcomes import Outcomes

STRONG = "gpt-4-1106-preview"
SHARE = 0.25
SPLIT_SEED = 7
ROUTERS = ("ridge", "blend", "knn", "ensemble")
N_PARTS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--warm", type=float, default=0.7, help="share of the queries")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--split", type=int, default=SPLIT_SEED, help="seed of the split")
    parser.add_argument("--routers", action="store_true")
    options = parser.parse_args()
    outcomes = Outcomes.read(options.data)
    outcomes = outcomes.select(rows=is_complete(outcomes, costs=True))
    warm, stream = outcomes.split(options.warm, seed=options.split)
    place = stream.arms.index(STRONG)
    strong, cost = float(stream.quality[:, place].mean()), float(stream.cost_usd[:, place].mean())
    budget = SHARE * cost
    fixed = _affordable(warm, budget)
    players = (
        ("PILOT, warm", "pilot", warm, {}),
        ("PILOT, cold (no prior)", "pilot", None, {}),
        ("LinUCB, warm", "linucb", warm, {}),
        ("LinUCB, cold (no prior)", "linucb", None, {}),
        ("supervised (ridge)", "ridge", warm, {}),
        (f"fixed: {fixed}", "fixed", warm, {"model": fixed}),
        ("random", "random", warm, {}),
    )
    if options.routers:
        players = tuple((f"supervised ({name})", name, warm, {}) for name in ROUTERS)
    table = Table(
        "policy", "% of GPT-4's quality", "95 %", "cost", "% of the bound", "by fifths of the stream"
    )
    for label, policy, past, params in players:
        found = replay_policy(
            stream, past, policy=policy, params=params, budget_usd=budget, n_seeds=options.seeds
        )
        assert found.overspend == 0
        low, high = found.quality_ci or (float("nan"), float("nan"))  # below three orders
        table.add_row(
            label,
            f"{found.quality_mean / strong:.1%}",
            f"{low / strong:.1%} to {high / strong:.1%}",
            f"{found.cost_per_query / cost:.1%}",
            f"{found.share_of_bound:.1%}",
            "  ".join(f"{part / strong:.1%}" for part in _parts(found)),
        )
        print(label, found.quality_mean / strong, flush=True)
    table.title = (
        f"{warm.n_queries:,} warm queries, {stream.n_queries:,} in the stream; {STRONG}: {strong:.3f} for "
        f"{1000 * cost:.2f} USD per 1,000"
    )
    Console(width=150).print(table)


def _affordable(warm: Outcomes, budget: float) -> str:
    """The model that was best of those whose mean cost fits."""
    fits = warm.cost_usd.mean(axis=0) <= budget
    return warm.arms[int(np.argmax(np.where(fits, warm.quality.mean(axis=0), -np.inf)))]


def _parts(found: Replay) -> list[float]:
    """Mean quality of each part of the stream."""
    ends = np.array([point.queries for point in found.regret_curve])
    sizes = np.diff(ends, prepend=0)
    quality = np.array([point.quality for point in found.regret_curve])
    part = np.minimum(N_PARTS * (ends - 1) // found.n_queries, N_PARTS - 1)
    return [float(np.average(quality[part == k], weights=sizes[part == k])) for k in range(N_PARTS)]


if __name__ == "__main__":
    main()
