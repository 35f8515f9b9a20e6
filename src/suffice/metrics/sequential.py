"""Intervals that hold at every look at once, so that one may stop whenever one likes.

A confidence sequence is an interval after every row; the chance that any of them, ever, misses the mean is at
most alpha. Three of them: `asymptotic_sequence` for any scale (its promise needs some dozens of rows),
`empirical_bernstein_sequence` and `betting_sequence` for values in [0, 1] (theirs holds from the first row).
`Difference` compares two arms of which each row belongs to one, drawn with a known probability.

References
----------
Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2024), Time-uniform central limit theory and asymptotic
confidence sequences; Waudby-Smith & Ramdas (2024), Estimating means of bounded random variables by betting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.metrics.checks import BadScores

FloatArray = NDArray[np.float64]

N_TARGET: Final = 1000
"""The number of rows at which a sequence is made to be tightest."""
PRIOR_FAILURES: Final = 2
"""Surprises that each arm is taken to have had: added to the variance of a difference of bounded values."""


class Bounds(NamedTuple):
    """Shape (n,) each: row i is after i + 1 values."""

    low: FloatArray
    high: FloatArray


def asymptotic_sequence(values: ArrayLike, *, alpha: float = 0.05, n_target: int = N_TARGET) -> Bounds:
    """Confidence sequence of a mean, on any scale.

    Parameters
    ----------
    values : shape (n,)
    alpha : the chance that it ever misses, in (0, 1)
    n_target : rows at which it is tightest

    Returns
    -------
    Bounds; infinite after the first row, whose variance nobody knows

    Raises
    ------
    BadScores
        If a value is not finite or alpha is out of range.

    References
    ----------
    Waudby-Smith et al. (2024), theorem 2.2.
    """
    x = _values(values, alpha)
    n = np.arange(1.0, len(x) + 1)
    mean = np.cumsum(x) / n
    variance = np.maximum(np.cumsum(x**2) / n - mean**2, 0.0)
    radius = np.array([mixture_radius(i, alpha, n_target) for i in n]) * np.sqrt(variance)
    radius[:1] = np.inf
    return Bounds(mean - radius, mean + radius)


def mixture_radius(n: float, alpha: float, n_target: float = N_TARGET) -> float:
    """Half-width after n rows of variance 1: Robbins' normal mixture, two-sided.

    Examples
    --------
    >>> round(mixture_radius(1000, 0.05), 4)
    0.0943
    """
    tuned = -2 * math.log(alpha)
    rho2 = (tuned + math.log(tuned) + 1) / n_target  # equation 15 there, which makes it tightest at n_target
    v = n * rho2 + 1
    return math.sqrt(v / (n * n * rho2) * math.log(v / alpha**2))


def empirical_bernstein_sequence(values: ArrayLike, *, alpha: float = 0.05) -> Bounds:
    """Confidence sequence of a mean in [0, 1], with sums alone; each bound keeps the best so far.

    Parameters
    ----------
    values : shape (n,), in [0, 1]
    alpha : the chance that it ever misses, in (0, 1)

    Raises
    ------
    BadScores
        If a value leaves [0, 1] or alpha is out of range.

    References
    ----------
    Waudby-Smith & Ramdas (2024), theorem 2 with the bets of equation 15, at most 1/2.
    """
    x = _values(values, alpha, is_bounded=True)
    bets = np.minimum(_bets(x, alpha), 0.5)
    before = np.concatenate([[0.5], _regularised_mean(x)[:-1]])
    cost = (x - before) ** 2 * (-np.log1p(-bets) - bets)
    total = np.cumsum(bets)
    mean = np.cumsum(bets * x) / total
    radius = (math.log(2 / alpha) + np.cumsum(cost)) / total
    return _running(mean - radius, mean + radius)


def betting_sequence(values: ArrayLike, *, alpha: float = 0.05, n_levels: int = 1001) -> Bounds:
    """Confidence sequence of a mean in [0, 1], the tightest of the three from few rows: hedged betting.

    Parameters
    ----------
    values : shape (n,), in [0, 1]
    alpha : the chance that it ever misses, in (0, 1)
    n_levels : candidate means that are betted against, spread evenly from 0 to 1; bounds are widened to the
        next one

    Raises
    ------
    BadScores
        If a value leaves [0, 1] or alpha is out of range.

    References
    ----------
    Waudby-Smith & Ramdas (2024), theorem 3: half the stake on "higher", half on "lower", the larger counts;
    a row takes at most half of it.
    """
    x = _values(values, alpha, is_bounded=True)
    bets, levels = _bets(x, alpha), np.linspace(0.0, 1.0, n_levels)
    limit = math.log(2 / alpha)
    low, high = np.empty(len(x)), np.empty(len(x))
    up, down = np.zeros(n_levels), np.zeros(n_levels)
    is_in = np.ones(n_levels, dtype=bool)
    with np.errstate(divide="ignore"):
        most_up, most_down = 0.5 / levels, 0.5 / (1 - levels)
    for i, value in enumerate(x):
        up += np.log1p(np.minimum(bets[i], most_up) * (value - levels))
        down += np.log1p(-np.minimum(bets[i], most_down) * (value - levels))
        is_in &= np.maximum(up, down) < limit
        inside = np.flatnonzero(is_in)
        if not len(inside):  # it was wrong, or lies between two levels
            low[i:], high[i:] = low[max(i - 1, 0)], high[max(i - 1, 0)]
            break
        low[i] = levels[max(inside[0] - 1, 0)] if inside[0] else 0.0
        high[i] = levels[min(inside[-1] + 1, n_levels - 1)]
    return Bounds(low, high)


@dataclass
class Difference:
    """How much better the second arm is than the first, row by row.

    A few sums, so that it can be written down.

    Each row belongs to the second arm with a probability that was known before, `share`, which may change
    from row to row. A row's evidence is the doubly robust difference of Waudby-Smith et al., section 3: means
    so far, corrected by the row's own residual over its probability. Rows weigh p (1 - p), as little as they
    tell where one arm is rare: so a canary of 1 % does not drown what its later stages find. The result is
    then the weighted mean of the difference, which is the plain one where the difference does not change.

    Rows of one unit (a user) may resemble each other: with what `update` returned last for the unit, the
    variance is that of units, not rows.
    """

    n: list[int] = field(default_factory=lambda: [0, 0])
    """Rows, by arm."""
    total: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Of values, by arm."""
    weighted: float = 0.0
    weight: float = 0.0
    aa: float = 0.0
    ab: float = 0.0
    bb: float = 0.0
    """Sums over units of squares and products of their own `weighted` and `weight`."""

    def update(
        self, arm: int, value: float, share: float, before: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[float, float]:
        """Take a row; returns the sums of its unit, to be given back with the unit's next row.

        Parameters
        ----------
        arm : 0 or 1
        value : finite, on any scale
        share : the probability with which it was to be arm 1, inside (0, 1)
        before : what this returned for the unit's last row

        Raises
        ------
        BadScores
            If the value is not finite or the share not inside (0, 1).
        """
        if not math.isfinite(value) or not 0 < share < 1:
            raise BadScores(
                f"value {value!r} at share {share!r}: expected a number, and a share inside (0, 1)"
            )
        probability = share if arm else 1 - share
        means = [total / n if n else value for total, n in zip(self.total, self.n, strict=True)]
        residual = (value - means[arm]) / probability
        found = self._take(
            means[1] - means[0] + (residual if arm else -residual), share * (1 - share), before
        )
        self.n[arm] += 1
        self.total[arm] += value
        return found

    def _take(self, evidence: float, weight: float, before: tuple[float, float]) -> tuple[float, float]:
        a, b = weight * evidence, weight
        self.weighted += a
        self.weight += b
        self.aa += a * (a + 2 * before[0])
        self.ab += a * b + a * before[1] + b * before[0]
        self.bb += b * (b + 2 * before[1])
        return before[0] + a, before[1] + b

    def pair(self, difference: float) -> None:
        """Take a row that both arms answered, and how much better the second was.

        Raises
        ------
        BadScores
            If the difference is not finite.
        """
        if not math.isfinite(difference):
            raise BadScores(f"the difference is {difference!r}: expected a number")
        self._take(difference, 0.25, (0.0, 0.0))
        self.n = [self.n[0] + 1, self.n[1] + 1]
        self.total[1] += difference

    @property
    def estimate(self) -> float | None:
        """Second arm less first; None before the first row."""
        return self.weighted / self.weight if self.weight else None

    def bounds(
        self, *, alpha: float = 0.05, n_target: int = N_TARGET, spread: float = 0.0
    ) -> tuple[float, float]:
        """Of the difference, at all times at once with probability 1 - alpha.

        Parameters
        ----------
        alpha : the chance that they ever miss
        n_target : rows of both arms together, at a share of 1/2, at which they are tightest
        spread : greatest less smallest value, where that is known: the variance that two residuals as large
            as that would add to each arm is added, without which a rare arm that did not fail yet looks sure

        Returns
        -------
        low, high; infinite where an arm has no row
        """
        if not min(self.n):
            return -math.inf, math.inf
        mean = self.weighted / self.weight
        variance = self.aa - 2 * mean * self.ab + mean * mean * self.bb
        rare = self.n[1] / sum(self.n)
        variance = max(variance, 0.0) + PRIOR_FAILURES * spread**2 * (rare**2 + (1 - rare) ** 2)
        n = 4 * self.weight  # rows at a share of 1/2 that tell as much
        radius = math.sqrt(n * variance) / self.weight * mixture_radius(n, alpha, n_target)
        return mean - radius, mean + radius


def sample_ratio_p(counts: ArrayLike, shares: ArrayLike) -> float:
    """p-value of "units were split as they should be": Pearson's chi-square, for one look.

    Parameters
    ----------
    counts : shape (K,), units that each arm got
    shares : shape (K,), what they should have got, summing to 1

    Raises
    ------
    BadScores
        If there are not two arms or more, or no units, or a share is not above 0, or they do not sum to 1.

    Examples
    --------
    >>> round(sample_ratio_p([500, 500], [0.5, 0.5]), 6), sample_ratio_p([821, 1000], [0.5, 0.5]) < 0.001
    (1.0, True)
    """
    n, p = np.asarray(counts, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    if n.shape != p.shape or n.ndim != 1 or len(n) < 2 or not n.sum() > 0 or (n < 0).any():
        raise BadScores(f"counts {n.tolist()} and shares {p.tolist()}: expected a number of units per arm")
    if not (p > 0).all() or abs(p.sum() - 1) > 1e-9:
        raise BadScores(f"shares {p.tolist()}: expected numbers above 0 that sum to 1")
    expected = n.sum() * p
    return _chi_square_tail(float(((n - expected) ** 2 / expected).sum()), len(n) - 1)


def ratio_mismatch(excess: float, variance: float, *, alpha: float = 0.001, n_target: int = N_TARGET) -> bool:
    """Whether units were not split as they should be; may be asked after every unit.

    Parameters
    ----------
    excess : units of the second arm, less the sum of their shares
    variance : the sum of share (1 - share)
    alpha : the chance of ever being wrong
    """
    n = 4 * variance
    return n > 0 and abs(excess) > 0.5 * n * mixture_radius(n, alpha, n_target)


def _chi_square_tail(x: float, df: int) -> float:
    """P(chi-square with df degrees > x), by recurrence from 1 or 2 degrees."""
    half = x / 2
    found = math.erfc(math.sqrt(half)) if df % 2 else math.exp(-half)
    k = 1 if df % 2 else 2
    while k < df:
        if half > 0:
            found += math.exp(k / 2 * math.log(half) - half - math.lgamma(k / 2 + 1))
        k += 2
    return min(found, 1.0)


def _values(values: ArrayLike, alpha: float, *, is_bounded: bool = False) -> FloatArray:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all() or not 0 < alpha < 1:
        raise BadScores(f"values of shape {x.shape} at alpha {alpha}: expected numbers, and alpha in (0, 1)")
    if is_bounded and (x.min() < 0 or x.max() > 1):
        raise BadScores(f"values from {x.min():g} to {x.max():g}: expected [0, 1], rescale them first")
    return x


def _regularised_mean(x: FloatArray) -> FloatArray:
    """After each row, with one row of 1/2."""
    mean: FloatArray = (0.5 + np.cumsum(x)) / np.arange(2.0, len(x) + 2)
    return mean


def _bets(x: FloatArray, alpha: float) -> FloatArray:
    """(n,): equation 15 of Waudby-Smith & Ramdas (2024), from the rows before alone."""
    t = np.arange(1.0, len(x) + 1)
    spread = np.cumsum((x - _regularised_mean(x)) ** 2)
    variance = (0.25 + np.concatenate([[0.0], spread[:-1]])) / t
    bets: FloatArray = np.sqrt(2 * math.log(2 / alpha) / (variance * t * np.log1p(t)))
    return bets


def _running(low: FloatArray, high: FloatArray) -> Bounds:
    """What was excluded stays so."""
    low = np.maximum.accumulate(np.maximum(low, 0.0))
    high = np.minimum.accumulate(np.minimum(high, 1.0))
    return Bounds(low, high)
