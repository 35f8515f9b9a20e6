"""Is the promise kept on real answers, and how much of the saving is left.

    python benchmarks/confidence/guarantee_real.py --data DIR

A router is trained on a part of the file; the rest is the pool. 200 times a calibration set of 1,000 rows is
drawn from the pool with replacement, a threshold certified on it (mean drop at most 0.02, delta 0.1) and its
true drop read off the whole pool; beside it the naive threshold, the lowest whose drop on the same rows is
at most 0.02. "Share" is that of calls that the strong model is spared, on the pool; "attainable" is what
could be spared if the pool's drops were known.

The chain: three models of ZeroEval, the dearest the reference. Its thresholds are fixed before any answer of
the calibration rows is known: cuts of the router's gains on the pool at which 0, 2, ..., 100 % of queries
leave the reference, by three paths (the cheapest alone, the middle one alone, both at the same cut), each at
level delta / 3. Saved: of the reference's cost.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from suffice import routers
from suffice.calibration.guarantee import certify, certify_chains, chosen_models
from suffice.evaluation.guaranteeing import GAIN_GRID, gain_scores, pair
from suffice.outcomes import Outcomes

EPSILON, DELTA, N_DRAWS, N_ROWS, MOST_BROKEN = 0.02, 0.10, 200, 1000, 28
PAIR = ("gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1")
CHAIN = ("gemini-1.5-flash", "gpt-4o-mini-2024-07-18", "claude-3-5-sonnet-20241022")
"""Cheapest first."""


def naive(score: Any, drop: Any) -> float | None:
    """The lowest threshold of the grid whose mean drop on these rows is at most epsilon."""
    order = np.argsort(-score, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(drop[order])]) / len(drop)
    n_kept = len(score) - np.searchsorted(np.sort(score), GAIN_GRID, side="left")
    held = np.flatnonzero(total[n_kept] <= EPSILON)
    return GAIN_GRID[held[-1]] if len(held) else None


def two_models(path: Path, router: str, n_train: int, seed: int) -> None:
    rows = pair(Outcomes.read(path), *PAIR)
    train, pool = rows.split(n_train / rows.n_queries, seed=seed)
    score = gain_scores(routers.create(router).fit(train), pool)
    strong, weak = pool.quality.T
    drop = strong - weak
    best = np.cumsum(drop[np.argsort(-score, kind="stable")]) / len(drop)
    found: dict[str, list[tuple[bool, float]]] = {"certified": [], "naive": []}
    n_none = 0
    for draw in range(N_DRAWS):
        at = np.random.default_rng([seed, draw]).integers(len(score), size=N_ROWS)
        paper = certify(
            score[at], weak[at], strong[at], epsilon=EPSILON, delta=DELTA, grid=GAIN_GRID, seed=None
        )
        n_none += not paper.certified
        for name, threshold in (("certified", paper.threshold), ("naive", naive(score[at], drop[at]))):
            kept = np.zeros(len(score)) if threshold is None else (score >= threshold).astype(float)
            found[name].append((float((kept * drop).mean()) > EPSILON, float(kept.mean())))
    attainable = (np.flatnonzero(best <= EPSILON).max(initial=-1) + 1) / len(drop)
    print(
        f"{path.stem}: {router} trained on {train.n_queries:,}, pool {pool.n_queries:,}; mean drop of the "
        f"weak model {drop.mean():.3f}; attainable share {attainable:.3f}, "
        f"at random {EPSILON / drop.mean():.3f}"
    )
    _show(found, n_none)


def _show(found: dict[str, list[tuple[bool, float]]], n_none: int) -> None:
    for name, draws in found.items():
        n_broken, share = sum(broken for broken, _ in draws), np.mean([share for _, share in draws])
        print(f"  {name:<10} broken in {n_broken:>3} of {N_DRAWS}, share {share:.3f}")
    certified, other = (np.mean([share for _, share in found[name]]) for name in ("certified", "naive"))
    n_broken = sum(broken for broken, _ in found["certified"])
    verdict = "kept" if n_broken <= MOST_BROKEN else "MISSED"
    print(
        f"  {certified / other:.0%} of the naive saving; {n_none} draws certified nothing; at most "
        f"{MOST_BROKEN} broken: {verdict}",
        flush=True,
    )


def paths(gains: Any) -> list[Any]:
    """(m, 2) cuts each: the cheapest alone, the middle alone, both."""
    never = 2.0
    found = []
    for scores in (gains[:, 0], gains[:, 1], gains.max(axis=1)):
        cuts = np.unique(np.quantile(scores, np.linspace(0, 1, 51)))[::-1]
        found.append(cuts)
    first, second, both = found
    return [
        np.column_stack([first, np.full(len(first), never)]),
        np.column_stack([np.full(len(second), never), second]),
        np.column_stack([both, both]),
    ]


def chain(path: Path, router: str, seed: int) -> None:
    rows = Outcomes.read(path).select(arms=CHAIN)
    rows = rows.select(rows=np.flatnonzero(~np.isnan(rows.quality + rows.cost_usd).any(axis=1)))
    train, pool = rows.split(0.5, seed=seed)
    trained = routers.create(router).fit(train)
    scores = trained.scores(pool.queries)[:, [trained.arms.index(arm) for arm in CHAIN]]
    gains = (1 + scores[:, :2] - scores[:, 2:]) / 2
    ways = paths(gains)
    configurations = np.vstack(ways)
    every = np.arange(pool.n_queries)
    models = np.column_stack([chosen_models(gains, one) for one in configurations])
    drop = pool.quality[:, 2:] - pool.quality[every[:, None], models]
    paid = pool.cost_usd[every[:, None], models]
    full = pool.cost_usd[:, 2].mean()
    found: dict[str, list[tuple[bool, float]]] = {"certified": [], "naive": []}
    n_none = 0
    for draw in range(N_DRAWS):
        at = np.random.default_rng([seed, draw]).integers(pool.n_queries, size=N_ROWS)
        paper = certify_chains(
            gains[at], pool.quality[at], pool.cost_usd[at], ways, epsilon=EPSILON, delta=DELTA, seed=None
        )
        held = np.flatnonzero(drop[at].mean(axis=0) <= EPSILON)
        cheapest = held[np.argmin(paid[at][:, held].mean(axis=0))] if len(held) else None
        chosen = None
        if paper.thresholds is not None:
            chosen = int(np.flatnonzero((configurations == paper.thresholds).all(axis=1))[0])
        n_none += chosen is None
        for name, place in (("certified", chosen), ("naive", cheapest)):
            known = (0.0, full) if place is None else (drop[:, place].mean(), paid[:, place].mean())
            found[name].append((known[0] > EPSILON, float(1 - known[1] / full)))
    held = np.flatnonzero(drop.mean(axis=0) <= EPSILON)
    print(
        f"{path.stem}: {' -> '.join(CHAIN)}; {router} trained on {train.n_queries:,}, "
        f"pool {pool.n_queries:,}; quality {', '.join(f'{mean:.3f}' for mean in pool.quality.mean(axis=0))}; "
        f"attainable saving {1 - paid[:, held].mean(axis=0).min() / full:.3f} (share = saving of cost)"
    )
    _show(found, n_none)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--router", default="ensemble")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    two_models(given.data / "routellm_mmlu.parquet", given.router, 3000, given.seed)
    two_models(given.data / "routellm_gsm8k.parquet", given.router, 400, given.seed)
    chain(given.data / "zeroeval.parquet", given.router, given.seed)


if __name__ == "__main__":
    main()
