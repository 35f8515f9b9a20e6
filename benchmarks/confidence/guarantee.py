"""Is the promise kept, and what does keeping it cost: thresholds certified on simulated traffic.

    python benchmarks/confidence/guarantee.py --repeats 500

Scores are Beta(2, 1.5), the cheap model is right with that probability, the strong one with probability g1
where the cheap one is right and g0 where it is wrong. g0 and g1 are solved for the two facts that are known
of the setting to be reproduced: with the true risks known, at most 28 % of calls can go to the cheap model
under a mean drop of 0.02, and 20 % under regressions of 0.02. (g0 from the second: the mean of (1 - s) g0
over the surest 20 % of scores, times 0.2, is 0.02; then g1 from the first.) Share and true risk of a
threshold are read off the law, not off a sample. Every method has the same rows in every repeat, the grid
0.98 down to 0.02 by 0.02, epsilon 0.02, delta 0.10.

naive       the lowest threshold whose mean drop on the calibration rows is at most epsilon
hoeffding   Hoeffding-Bentkus on (D + 1) / 2
betting     mean drop, betting on D: the default
binomial    regressions, exact binomial
conformal   regressions, conformal risk control: a promise in expectation only
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from suffice.calibration.guarantee import (
    GRID,
    certify,
    conformal_risk_control,
    hoeffding_bentkus_p,
)

EPSILON, DELTA = 0.02, 0.10
SIZES = (200, 500, 1000, 2000, 5000)
FLOORS = {200: 0.09, 500: 0.15, 1000: 0.17, 2000: 0.19, 5000: 0.22}
Rows = tuple[Any, Any, Any]


class Law:
    """Of scores and qualities, on a fine grid of scores."""

    def __init__(self, n: int = 1_000_000) -> None:
        self.score = (np.arange(n) + 0.5) / n
        density = self.score * (1 - self.score) ** 0.5
        self.density = density / density.sum()
        self.share = self._above(np.ones(n))
        wrong, right = self._above(1 - self.score), self._above(self.score)
        at_20, at_28 = (int(np.argmin(np.abs(self.share - share))) for share in (0.20, 0.28))
        self.g0 = EPSILON / wrong[at_20]
        self.g1 = 1 - (self.g0 * wrong[at_28] - EPSILON) / right[at_28]
        self.drop = self.g0 * wrong - (1 - self.g1) * right
        self.regressions = self.g0 * wrong

    def _above(self, value: Any) -> Any:
        """The mean of value where the score reaches each place of the grid, over all traffic."""
        return np.cumsum((value * self.density)[::-1])[::-1]

    def at(self, curve: Any, threshold: float | None) -> float:
        """What a curve is at a threshold; 0 where all goes to the strong model."""
        return 0.0 if threshold is None else float(curve[round(threshold * len(self.score))])

    def draw(self, n: int, rng: np.random.Generator) -> Rows:
        score = rng.beta(2, 1.5, n)
        weak = rng.random(n) < score
        strong = rng.random(n) < np.where(weak, self.g1, self.g0)
        return score, weak.astype(float), strong.astype(float)


def drops(score: Any, weak: Any, strong: Any) -> Any:
    return (score[:, None] >= np.array(GRID)) * (strong - weak)[:, None]


def naive(score: Any, weak: Any, strong: Any) -> float | None:
    held = np.flatnonzero(drops(score, weak, strong).mean(axis=0) <= EPSILON)
    return GRID[held[-1]] if len(held) else None


def hoeffding(score: Any, weak: Any, strong: Any) -> float | None:
    last = None
    for threshold, mean in zip(GRID, drops(score, weak, strong).mean(axis=0), strict=True):
        if hoeffding_bentkus_p((mean + 1) / 2, len(score), (EPSILON + 1) / 2) > DELTA:
            break
        last = threshold
    return last


def certified(promise: str, method: str) -> Callable[..., float | None]:
    def threshold(score: Any, weak: Any, strong: Any) -> float | None:
        return certify(
            score, weak, strong, promise=promise, method=method, epsilon=EPSILON, delta=DELTA, seed=None
        ).threshold

    return threshold


def conformal(score: Any, weak: Any, strong: Any) -> float | None:
    return conformal_risk_control(score, weak, strong, epsilon=EPSILON).threshold


METHODS: dict[str, tuple[str, Callable[..., float | None]]] = {
    "naive": ("drop", naive),
    "hoeffding": ("drop", hoeffding),
    "betting": ("drop", certified("mean-drop", "betting")),
    "binomial": ("regressions", certified("regressions", "binomial")),
    "conformal": ("regressions", conformal),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    law = Law()
    print(
        f"g0 {law.g0:.4f}, g1 {law.g1:.4f}; {given.repeats} repeats; violation rate / mean share of the weak"
    )
    print(f"{'n':>5}" + "".join(f"{name:>16}" for name in METHODS))
    is_kept = True
    for n in SIZES:
        rng = np.random.default_rng([given.seed, n])
        found: dict[str, list[tuple[bool, float]]] = {name: [] for name in METHODS}
        for _ in range(given.repeats):
            rows = law.draw(n, rng)
            for name, (risk, method) in METHODS.items():
                threshold = method(*rows)
                is_broken = law.at(getattr(law, risk), threshold) > EPSILON
                found[name].append((is_broken, law.at(law.share, threshold)))
        means = {name: np.mean(pairs, axis=0) for name, pairs in found.items()}
        cells = (f"{broken:.3f} / {share:.3f}" for broken, share in means.values())
        print(f"{n:>5}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
        is_kept &= all(means[name][0] <= DELTA + 0.04 for name in ("betting", "binomial"))
        is_kept &= means["betting"][1] >= FLOORS[n]
    print(
        f"betting and binomial broken in at most {DELTA + 0.04:.2f}, betting's shares at least "
        f"{', '.join(f'{floor:.2f}' for floor in FLOORS.values())}: {'kept' if is_kept else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
