"""How often the intervals of off-policy estimators hold the truth.

Four arms, five context numbers, rewards 0 or 1 by a logistic curve that no linear model fits; a logging
policy that is a softmax with a floor of 2 % per arm, a target that is a sharper softmax of other weights. The
truth is the target's mean reward over 400,000 contexts.

    python benchmarks/online/off_policy.py [--runs 400]
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from suffice.metrics import Logged, cross_fitted, direct, estimates, floored

K, D = 4, 5
NAMES = ("ips", "snips", "obp", "dm", "dm_fitted", "dr", "switch_dr")
Array = NDArray[np.float64]


def softmax(scores: Array) -> Array:
    """(n, K)"""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


class World:
    """Contexts, rewards and both policies."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.reward, self.logging, self.target = (rng.normal(size=(D, K)) for _ in range(3))

    def chances(self, x: Array) -> Array:
        """(n, K): of a reward of 1."""
        return np.asarray(1 / (1 + np.exp(-(1.2 * x @ self.reward + 0.8 * np.sin(3 * x[:, :1])))))

    def log(self, n: int, rng: np.random.Generator) -> tuple[Logged, Array]:
        """Decisions of the logging policy, and their contexts."""
        x = rng.normal(size=(n, D))
        behaviour = floored(softmax(0.6 * x @ self.logging), 0.02)
        arm = (behaviour.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, K - 1)
        rows = np.arange(n)
        reward = (rng.random(n) < self.chances(x)[rows, arm]).astype(float)
        return Logged.of(reward, arm, behaviour[rows, arm], softmax(x @ self.target)), x

    def truth(self) -> float:
        """The target's value."""
        x = np.random.default_rng(1).normal(size=(400_000, D))
        return float((softmax(x @ self.target) * self.chances(x)).sum(axis=1).mean())


def obp_style(logged: Logged, rng: np.random.Generator) -> tuple[float, float]:
    """SNIPS as obp has it: the mean weight is frozen, then rows are drawn."""
    rows = logged.weights * logged.reward / logged.weights.mean()
    means = [rng.choice(rows, len(rows)).mean() for _ in range(200)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def one_run(world: World, n: int, seed: int) -> dict[str, tuple[float, float]]:
    """Intervals by estimator."""
    rng = np.random.default_rng(seed)
    logged, x = world.log(n, rng)
    found = {name: (one.low, one.high) for name, one in estimates(logged, cross_fitted(x, logged)).items()}
    found["dm_fitted"] = found["dm"]
    wrong = np.tile([logged.reward[logged.arm == a].mean() for a in range(K)], (n, 1))
    dm = direct(logged, wrong)  # an average per arm, the model that logs without contexts allow
    found["dm"] = dm.low, dm.high
    found["obp"] = obp_style(logged, rng)
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    runs = parser.parse_args().runs
    world = World()
    truth = world.truth()
    print(f"truth {truth:.4f}; {runs} runs, nominal 95 %: coverage (mean width)")
    for n in (500, 2000):
        found = [one_run(world, n, seed) for seed in range(runs)]
        for name in NAMES:
            bounds = np.array([run[name] for run in found])
            held = ((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).mean()
            print(f"n = {n:5d}  {name:10s} {held:.3f}  ({(bounds[:, 1] - bounds[:, 0]).mean():.3f})")


if __name__ == "__main__":
    main()
