"""Regret of bandits in worlds whose answer is known: still, with late rewards, and changing at half-time.

    python benchmarks/online/regret.py [--seeds 8] [--steps 6000]

10 arms, contexts of 16 numbers on the unit sphere and a constant, an arm's mean reward linear in the
context with a weight vector of length 1, noise 0.1. The bandit is given (reward + 1.5) / 3, cut to [0, 1];
regret is in the units before.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
from typing import Any

import numpy as np

from suffice import bandits
from suffice.types import FloatArray

N_ARMS, D, NOISE = 10, 16, 0.1
TUNED: dict[str, Any] = {"alpha": 0.1, "ridge": 0.3}
"""Of LinUCB, for this noise; chosen on seeds 100 and 101 after 3,000 steps."""
ARMS = tuple(f"arm-{place}" for place in range(N_ARMS))


def unit(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def played(
    name: str | None, seed: int, steps: int, *, delay: int = 0, changes_at: int | None = None, **params: Any
) -> FloatArray:
    """(steps,) regret of every step; without a name arms are drawn by lot."""
    random = np.random.default_rng(seed)
    weights = unit(random.normal(size=(N_ARMS, D)))
    bandit = None if name is None else bandits.create(name, ARMS, D + 1, seed=seed, **params)
    waiting: list[tuple[Any, float]] = []
    regret = np.empty(steps)
    for step in range(steps):
        if step == changes_at:
            weights = unit(random.normal(size=(N_ARMS, D)))
        x = unit(random.normal(size=D))
        means = weights @ x
        noise = NOISE * random.normal()
        if bandit is None:
            regret[step] = means.max() - means.mean()
            continue
        pull = bandit.decide(np.append(x, 1.0), id=str(step), now=float(step))
        reward = means[ARMS.index(pull.arm)]
        regret[step] = means.max() - reward
        waiting.append((pull, float(np.clip((reward + noise + 1.5) / 3, 0, 1))))
        if len(waiting) > delay:
            bandit.learn(*waiting.pop(0))
    return regret


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6000)
    options = parser.parse_args()
    steps, seeds = options.steps, range(options.seeds)

    def row(title: str, name: str | None, n: int, **params: Any) -> None:
        totals = np.array([played(name, seed, n, **params).sum() for seed in seeds])
        error = totals.std(ddof=1) / np.sqrt(len(totals))
        print(f"{title:<34}{totals.mean():>8.0f} +- {error:.0f}", flush=True)

    print(f"regret after {steps} steps, {len(seeds)} seeds")
    row("by lot", None, steps)
    for name in ("linucb", "lin_ts", "epsilon_greedy", "squarecb", "exp3", "pilot"):
        row(name, name, steps, **(TUNED if name in ("linucb", "pilot") else {}))
    print("rewards 500 steps late, after 4000 steps")
    row("linucb", "linucb", 4000, delay=500, **TUNED)
    print(f"another world after {steps // 2} steps: regret before, and after")
    half = steps // 2
    forgetful: dict[str, dict[str, Any]] = {
        "linucb": {},
        "discounted_linucb": {"gamma": 0.997},
        "sliding_window": {"window": 1000},
    }
    for name, params in forgetful.items():
        given = TUNED | params
        runs = np.array([played(name, seed, steps, changes_at=half, **given) for seed in seeds])
        before, after = runs[:, : steps // 2].sum(axis=1), runs[:, steps // 2 :].sum(axis=1)
        print(f"{name:<34}{before.mean():>8.0f}{after.mean():>8.0f}", flush=True)


if __name__ == "__main__":
    main()
