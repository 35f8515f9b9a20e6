"""Regret where rewards are no line in the context, and where they are: a network beside linear bandits.

    python benchmarks/online/neural.py [--steps 6000]

`cosine`: 5 arms, contexts on the unit sphere of 8 numbers, an arm's mean reward cos(3 w'x) with its own unit
vector w, noise 0.1. `wheel`: the wheel of Riquelme et al. (2018, section 5.4): contexts in the unit disc;
outside half its radius the arm of the quadrant earns 50, all else 1 to 1.2, noise 0.01. `linear`: the world
of `regret.py`. Bandits get rewards brought into [0, 1], contexts with a constant, and keep their defaults.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
from collections.abc import Callable
from typing import Final

import numpy as np
from regret import N_ARMS, D, unit

from suffice import bandits
from suffice.types import FloatArray

NAMES: Final = ("linucb", "lin_ts", "neural_linear")
N_SEEDS, T = 10, 2.262
"""Student's 97.5 % point for so many seeds."""
World = tuple[Callable[[], FloatArray], Callable[[FloatArray], FloatArray], float, float, float]
"""Draws a context; the arms' mean rewards for it; their noise, least and most."""


def cosine(random: np.random.Generator) -> World:
    weights = unit(random.normal(size=(5, 8)))
    return lambda: unit(random.normal(size=8)), lambda x: np.cos(3 * (weights @ x)), 0.1, -1.5, 1.5


def linear(random: np.random.Generator) -> World:
    weights = unit(random.normal(size=(N_ARMS, D)))
    return lambda: unit(random.normal(size=D)), lambda x: weights @ x, 0.1, -1.5, 1.5


def wheel(random: np.random.Generator) -> World:
    def context() -> FloatArray:
        angle = random.uniform(0, 2 * np.pi)
        return np.sqrt(random.random()) * np.array([np.cos(angle), np.sin(angle)])

    def means(x: FloatArray) -> FloatArray:
        found = np.array([1.2, 1.0, 1.0, 1.0, 1.0])
        if np.hypot(*x) > 0.5:
            found[1 + 2 * int(x[0] > 0) + int(x[1] > 0)] = 50.0
        return found

    return context, means, 0.01, 0.9, 50.1


def regret(name: str | None, make: Callable[[np.random.Generator], World], seed: int, steps: int) -> float:
    """Of all steps together; without a name arms are drawn by lot."""
    random = np.random.default_rng(seed)
    context, means, noise, least, most = make(random)
    first = context()
    arms = tuple(f"arm-{place}" for place in range(len(means(first))))
    bandit = None if name is None else bandits.create(name, arms, len(first) + 1, seed=seed)
    lost = 0.0
    for step in range(steps):
        x = context()
        expected, off = means(x), noise * random.normal()
        if bandit is None:
            lost += float(expected.max() - expected.mean())
            continue
        pull = bandit.decide(np.append(x, 1.0), id=str(step), now=float(step))
        earned = float(expected[arms.index(pull.arm)])
        lost += float(expected.max()) - earned
        bandit.learn(pull, float(np.clip((earned + off - least) / (most - least), 0, 1)))
    return lost


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=6000)
    options = parser.parse_args()
    print(f"regret after {options.steps} steps, {N_SEEDS} seeds: mean, 95 % interval (Student's t)")
    for make in (cosine, wheel, linear):
        for name in (None, *NAMES):
            found = np.array([regret(name, make, seed, options.steps) for seed in range(N_SEEDS)])
            error = T * found.std(ddof=1) / np.sqrt(len(found))
            mean = found.mean()
            print(
                f"{make.__name__:<8}{name or 'by lot':<16}{mean:>10,.0f}"
                f"{mean - error:>11,.0f} to {mean + error:<10,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
