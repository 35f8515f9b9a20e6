"""False alarms with a look at every step, samples until a lift is found, and the delay of drift detectors.

python benchmarks/online/sequential.py [--runs 1000]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from suffice.metrics import Adwin, Difference, PageHinkley, asymptotic_sequence

Array = NDArray[np.float64]
FIRST = 50
"""Pairs, or answers of each arm, before the first look."""


def pairs(runs: int) -> None:
    """One answer of each arm at a time: a fixed-n z-test at every step, and the confidence sequence."""
    for name, p in (("A/A .50", (0.5, 0.5)), ("lift .10", (0.5, 0.6)), ("lift .05", (0.5, 0.55))):
        z_alarms, found = 0, []
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            x = (rng.random(5000) < p[1]).astype(float) - (rng.random(5000) < p[0])
            n = np.arange(1.0, 5001)
            mean = np.cumsum(x) / n
            z = np.abs(mean) / np.sqrt(np.maximum(np.cumsum(x**2) / n - mean**2, 1e-12) / n)
            z_alarms += bool((z[FIRST:] > 1.959964).any())
            low, high = asymptotic_sequence(x)
            out = (low[FIRST:] > 0) | (high[FIRST:] < 0)
            if out.any():
                found.append(FIRST + 1 + int(out.argmax()))
        share = len(found) / runs
        print(
            f"pairs    {name}: z-test {z_alarms / runs:.3f}, sequence {share:.3f}, "
            f"median {median(found)} per arm"
        )


def split(runs: int) -> None:
    """Users drawn into arms, unlike numbers in each, rates near 1, answers of one user that resemble."""
    for name, p, share, per_user, n in (
        ("A/A .80, half", (0.8, 0.8), 0.5, 1, 5000),
        ("A/A .95, half", (0.95, 0.95), 0.5, 1, 5000),
        ("A/A .95, 5 %", (0.95, 0.95), 0.05, 1, 5000),
        ("A/A .80, half, 10 answers a user", (0.8, 0.8), 0.5, 10, 5000),
        ("lift .10, half", (0.5, 0.6), 0.5, 1, 5000),
    ):
        for counts_users in (True, False) if per_user > 1 else (True,):
            ends = [
                one_split(p, share, per_user, n, seed, counts_users=counts_users) for seed in range(runs // 4)
            ]
            found = [end for end in ends if end is not None]
            what = "" if counts_users else " (as if each answer were a user's)"
            print(
                f"split    {name}{what}: alarms {len(found) / len(ends):.3f}, "
                f"median {median([end / 2 for end in found])} per arm"
            )


def one_split(
    p: tuple[float, float], share: float, per_user: int, n: int, seed: int, *, counts_users: bool
) -> int | None:
    """Answers of both arms until the bounds exclude 0; None: never."""
    rng = np.random.default_rng(seed)
    n_users = n // per_user
    arms = (rng.random(n_users) < share).astype(int)
    rates = np.array(p)[arms]
    if per_user > 1:  # a user's own rate: Beta with the same mean
        rates = rng.beta(4 * rates, 4 * (1 - rates))
    owner = rng.permutation(np.repeat(np.arange(n_users), per_user))
    values = (rng.random(n) < rates[owner]).astype(float).tolist()
    found, sums = Difference(), {}
    for i, user in enumerate(owner.tolist()):
        before = sums.get(user, (0.0, 0.0)) if counts_users else (0.0, 0.0)
        sums[user] = found.update(int(arms[user]), values[i], share, before)
        if min(found.n) >= FIRST:
            low, high = found.bounds(spread=1.0)
            if low > 0 or high < 0:
                return i + 1
    return None


def drift(runs: int) -> None:
    """Residuals of an arm whose score varies by query; a fall of 15 points after 20,000 answers."""
    for name, make in (("adwin", Adwin), ("page_hinkley", PageHinkley)):
        for base in (0.8, 0.65):
            alarms, delays = [], []
            for seed in range(max(20, runs // 25)):
                n_false, delay = one_drift(make, base, seed)
                alarms.append(n_false)
                delays.append(delay)
            print(
                f"drift    {name}, quality {base:.2f}: {np.mean(alarms):.3f} false alarms in 20,000, "
                f"delay of a 15-point fall {median(delays)} (90 %: {np.quantile(delays, 0.9):.0f})"
            )


def one_drift(make: Callable[[], Adwin | PageHinkley], base: float, seed: int) -> tuple[int, float]:
    """Alarms before the fall, and answers from the fall to the first alarm."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(base - 0.15, base + 0.15, 25_000)
    detector = make()
    residuals = ((rng.random(20_000) < scores[:20_000]) - scores[:20_000]).tolist()
    n_false = sum(detector.update(value) for value in residuals)
    fallen = ((rng.random(5000) < scores[20_000:] - 0.15) - scores[20_000:]).tolist()
    return n_false, next((i + 1 for i, value in enumerate(fallen) if detector.update(value)), math.inf)


def median(values: list[int] | list[float]) -> str:
    """Of none: a dash."""
    return f"{np.median(values):.0f}" if values else "-"


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    pairs(runs)
    split(runs)
    drift(runs)


if __name__ == "__main__":
    main()
