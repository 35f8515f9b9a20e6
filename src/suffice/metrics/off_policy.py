"""What another policy would have earned, from rewards of the arms that were chosen.

Row i has a reward, the arm that was chosen, the probability with which it was to be chosen (its propensity),
and the probabilities with which the policy in question, the target, would choose each arm. The weight of a
row is w = target / propensity of its arm.

References
----------
Horvitz & Thompson (1952), IPS; Swaminathan & Joachims (2015), The self-normalized estimator, SNIPS; Dudik et
al. (2014), Doubly robust policy evaluation; Wang, Agarwal & Dudik (2017), Optimal and adaptive off-policy
evaluation, Switch-DR; Kish (1965), Survey Sampling, for the effective sample size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.metrics.bootstrap import percentile_interval, resample_counts
from suffice.metrics.checks import BadScores
from suffice.metrics.student_t import half_width

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

LEAST_ESS: Final = 100
"""Effective rows without which nothing is concluded."""
MOST_SHARE: Final = 0.05
"""The largest share of all weight that one row may have."""
LEAST_CLUSTERS: Final = 20
"""Effective clusters without which nothing is concluded: with fewer, their spread is not known."""
LEAST_PROPENSITY: Final = 1e-6
"""A propensity below it is taken for one that was not logged."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Logged:
    """Decisions and their rewards, checked.

    Raises
    ------
    BadScores
        If shapes differ, a propensity is no probability above 0, or a row of the target does not sum
        to 1.
    """

    reward: FloatArray
    """(n,)"""
    arm: IntArray
    """(n,): which was chosen, 0 to K - 1"""
    propensity: FloatArray
    """(n,): of the arm that was chosen"""
    target: FloatArray
    """(n, K)"""
    cluster: IntArray | None = None
    """(n,): rows of one user or session resemble each other; None: every row by itself"""

    @property
    def n_clusters(self) -> int:
        """Rows, where each stands by itself."""
        return len(self.arm) if self.cluster is None else int(self.cluster.max()) + 1

    @classmethod
    def of(
        cls,
        reward: ArrayLike,
        arm: ArrayLike,
        propensity: ArrayLike,
        target: ArrayLike,
        cluster: ArrayLike | None = None,
    ) -> Logged:
        """From anything that NumPy reads; clusters may be names."""
        r, p = np.asarray(reward, dtype=np.float64), np.asarray(propensity, dtype=np.float64)
        chosen, wanted = np.asarray(arm), np.asarray(target, dtype=np.float64)
        groups = None if cluster is None else np.asarray(cluster)
        shapes = {one.shape for one in (r, chosen, p, groups) if one is not None}
        if r.ndim != 1 or not len(r) or shapes != {r.shape} or wanted.ndim != 2 or len(wanted) != len(r):
            raise BadScores(
                f"shapes {sorted(map(str, shapes))} and {wanted.shape}: expected (n,) each, target (n, K)"
            )
        if not np.isfinite(r).all():
            raise BadScores("a reward is missing: leave its row out, unknown is not 0")
        if not np.issubdtype(chosen.dtype, np.integer) or chosen.min() < 0 or chosen.max() >= wanted.shape[1]:
            raise BadScores(f"arms must be whole numbers from 0 to {wanted.shape[1] - 1}")
        if not ((p >= LEAST_PROPENSITY) & (p <= 1)).all():
            raise BadScores(f"a propensity is {p.min():g}: what was chosen had a chance; log it, above 0")
        if not (wanted >= 0).all() or np.abs(wanted.sum(axis=1) - 1).max() > 1e-6:
            raise BadScores("a row of the target is no distribution over the arms: it must sum to 1")
        return cls(
            reward=r, arm=chosen.astype(np.intp), propensity=p, target=wanted, cluster=_numbered(groups)
        )

    @property
    def weights(self) -> FloatArray:
        """(n,)"""
        found: FloatArray = self.target[np.arange(len(self.arm)), self.arm] / self.propensity
        return found


@dataclass(frozen=True, kw_only=True)
class OffPolicy:
    """The value of a policy, with an interval."""

    value: float
    low: float
    high: float
    level: float
    n: int
    ess: float
    """Effective rows, (sum w)^2 / sum w^2."""
    largest_weight: float
    """Share of all weight that the heaviest row has."""
    refused: str | None = None
    """Why nothing may be concluded from it; None: the weights allow it."""


def ips(logged: Logged, *, level: float = 0.95) -> OffPolicy:
    """Mean of w r: unbiased, and wide where weights vary."""
    return _estimate(logged, logged.weights * logged.reward, level)


def snips(logged: Logged, *, level: float = 0.95) -> OffPolicy:
    """Sum of w r over sum of w; the interval by the delta method, in which the divisor varies too."""
    w = logged.weights
    mean = float(w.mean())
    if mean == 0:
        return _estimate(logged, np.zeros(len(w)), level)
    value = float((w * logged.reward).mean()) / mean
    return _estimate(logged, value + w * (logged.reward - value) / mean, level)


def direct(logged: Logged, predicted: ArrayLike, *, level: float = 0.95) -> OffPolicy:
    """Mean of what is predicted for the target's arms (DM).

    Its interval knows nothing of the predictions' own error: never rely on it alone.

    Parameters
    ----------
    predicted : shape (n, K), rewards; of each row from data without it, see `cross_fitted`
    """
    return _estimate(logged, (logged.target * _predicted(logged, predicted)).sum(axis=1), level)


def doubly_robust(logged: Logged, predicted: ArrayLike, *, level: float = 0.95) -> OffPolicy:
    """`direct`, corrected by w times the residual of what was chosen: right if either is."""
    return _robust(logged, predicted, logged.weights, level)


def switch_dr(
    logged: Logged, predicted: ArrayLike, *, tau: float | None = None, level: float = 0.95
) -> OffPolicy:
    """As `doubly_robust`, without the correction where a weight is above tau: less noise for some bias.

    Parameters
    ----------
    predicted : as for `direct`
    tau : the largest weight that is used; None: the root of n, so that the bias vanishes as rows come in

    References
    ----------
    Ionides (2008), Truncated importance sampling, for the root of n.
    """
    w = logged.weights
    most = math.sqrt(len(w)) if tau is None else tau
    return _robust(logged, predicted, np.where(w <= most, w, 0.0), level)


def estimates(
    logged: Logged, predicted: ArrayLike | None = None, *, tau: float | None = None, level: float = 0.95
) -> Mapping[str, OffPolicy]:
    """All of them by name; those that need predictions only where there are some."""
    found = {"ips": ips(logged, level=level), "snips": snips(logged, level=level)}
    if predicted is not None:
        found["dm"] = direct(logged, predicted, level=level)
        found["dr"] = doubly_robust(logged, predicted, level=level)
        found["switch_dr"] = switch_dr(logged, predicted, tau=tau, level=level)
    return found


def cross_fitted(
    features: ArrayLike, logged: Logged, *, n_folds: int = 5, ridge: float = 1.0, seed: int = 0
) -> FloatArray:
    """(n, K) rewards predicted by a ridge regression per arm, of each row from the folds without it.

    Parameters
    ----------
    features : shape (n, d), or (n, K, d) where each arm has its own
    n_folds : at least 2; a cluster is in one fold
    ridge : above 0; the constant is not shrunk. An arm without rows is predicted as the mean of all.
    seed : of the folds

    Raises
    ------
    BadScores
        If shapes do not fit, or all rows are of one cluster, which leaves none to train on.

    References
    ----------
    Chernozhukov et al. (2018), Double/debiased machine learning, definition 3.1.
    """
    x = np.asarray(features, dtype=np.float64)
    n, k = logged.target.shape
    if x.ndim == 2:
        x = np.broadcast_to(x[:, None, :], (n, k, x.shape[1]))
    if x.shape[:2] != (n, k) or n_folds < 2 or not ridge > 0 or not np.isfinite(x).all():
        raise BadScores(f"features of shape {x.shape} for {n} rows of {k} arms: expected (n, d) or (n, K, d)")
    if logged.n_clusters < 2:
        raise BadScores("all rows are of one cluster: no other is left to train on, and none to compare with")
    groups = np.arange(n) if logged.cluster is None else logged.cluster
    fold = np.random.default_rng(seed).permutation(logged.n_clusters)[groups] % n_folds
    found = np.empty((n, k))
    for f in range(n_folds):
        train, test = fold != f, fold == f
        for a in range(k):
            own = train & (logged.arm == a)
            found[test, a] = _ridge(x[own, a], logged.reward[own], x[test, a], ridge, logged.reward[train])
    return found


def floored(probabilities: ArrayLike, floor: float, eligible: ArrayLike | None = None) -> FloatArray:
    """(n, K) probabilities, of which no eligible arm has less than `floor`: what makes logs usable.

    Parameters
    ----------
    probabilities : shape (n, K), rows sum to 1
    floor : at most 1 / K; 0.01 to 0.02 is usual
    eligible : shape (n, K); None: all. Others keep 0.

    Raises
    ------
    BadScores
        If the floor is negative or leaves no room, or a row sums to anything but 1.

    Examples
    --------
    >>> floored([[1.0, 0.0, 0.0]], 0.02).round(2).tolist()
    [[0.96, 0.02, 0.02]]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    may = np.ones(p.shape, dtype=bool) if eligible is None else np.asarray(eligible, dtype=bool)
    n_may = may.sum(axis=-1, keepdims=True)
    if not floor >= 0 or (floor * n_may > 1).any() or (n_may == 0).any():  # NaN too
        raise BadScores(f"a floor of {floor} for {n_may.max()} arms: expected 0 to one over their number")
    if not (p >= 0).all() or np.abs(p.sum(axis=-1) - 1).max() > 1e-6 or p[~may].any():
        raise BadScores("a row is no distribution over its eligible arms: it must sum to 1")
    found: FloatArray = np.where(may, floor + (1 - floor * n_may) * p, 0.0)
    return found


def cluster_bootstrap(
    logged: Logged,
    predicted: ArrayLike | None = None,
    *,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of SNIPS, or of DR where there are predictions, by drawing whole clusters.

    Parameters
    ----------
    predicted : as for `direct`; None: SNIPS

    Raises
    ------
    BadScores
        If there are fewer than `LEAST_CLUSTERS` clusters: draws of so few do not show how they differ.
    """
    if logged.n_clusters < LEAST_CLUSTERS:
        raise BadScores(
            f"{logged.n_clusters} clusters, at least {LEAST_CLUSTERS} are needed: log more users or sessions"
        )
    w = logged.weights
    if predicted is None:
        top, bottom = w * logged.reward, w
    else:
        top, bottom = _contributions(logged, _predicted(logged, predicted), w), np.ones(len(w))
    groups = np.arange(len(w)) if logged.cluster is None else logged.cluster
    tops, bottoms = (np.bincount(groups, weights=column) for column in (top, bottom))
    drawn = []
    for counts in resample_counts(len(tops), n_resamples, seed=seed):
        below = counts @ bottoms
        drawn.append(np.divide(counts @ tops, below, out=np.zeros(len(below)), where=below > 0))
    return percentile_interval(np.concatenate(drawn), level)


def _numbered(groups: NDArray[Any] | None) -> IntArray | None:
    return None if groups is None else np.unique(groups, return_inverse=True)[1].astype(np.intp)


def _robust(logged: Logged, predicted: ArrayLike, weights: FloatArray, level: float) -> OffPolicy:
    return _estimate(logged, _contributions(logged, _predicted(logged, predicted), weights), level)


def _contributions(logged: Logged, q: FloatArray, weights: FloatArray) -> FloatArray:
    own = q[np.arange(len(weights)), logged.arm]
    found: FloatArray = (logged.target * q).sum(axis=1) + weights * (logged.reward - own)
    return found


def _predicted(logged: Logged, predicted: ArrayLike) -> FloatArray:
    q = np.asarray(predicted, dtype=np.float64)
    if q.shape != logged.target.shape or not np.isfinite(q).all():
        raise BadScores(f"predictions of shape {q.shape}: expected numbers, {logged.target.shape}")
    return q


def _estimate(logged: Logged, contributions: FloatArray, level: float) -> OffPolicy:
    """The mean of contributions, with the variance of sums of clusters; unbounded where there is one."""
    if not 0 < level < 1:
        raise BadScores(f"level {level}: expected inside (0, 1)")
    n, value = len(contributions), float(contributions.mean())
    off: FloatArray = contributions - value
    if logged.cluster is not None:
        off = np.bincount(logged.cluster, weights=off).astype(np.float64)
    m = len(off)
    error = math.sqrt(float((off**2).sum()) * m / max(m - 1, 1)) / n
    normal = NormalDist().inv_cdf(0.5 + level / 2)  # of rows alone: there are enough, or it is refused
    quantile = normal if logged.cluster is None else half_width(level, m - 1)
    radius = math.inf if m < 2 else quantile * error
    w = logged.weights
    total, ess = float(w.sum()), _effective(w)
    largest = float(w.max()) / total if total else 1.0
    return OffPolicy(
        value=value,
        low=value - radius,
        high=value + radius,
        level=level,
        n=n,
        ess=ess,
        largest_weight=largest,
        refused=_refusal(ess, largest, logged),
    )


def _effective(weights: FloatArray) -> float:
    """How many equal weights tell as much."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _refusal(ess: float, largest: float, logged: Logged) -> str | None:
    if ess < LEAST_ESS:
        return f"only {ess:.0f} effective rows, {LEAST_ESS} are needed: log more, or explore more"
    if logged.cluster is not None:
        clusters = _effective(np.bincount(logged.cluster, weights=logged.weights).astype(np.float64))
        if clusters < LEAST_CLUSTERS:
            return (
                f"only {clusters:.0f} effective users or sessions, {LEAST_CLUSTERS} are needed: "
                "rows of one resemble each other; log more of them"
            )
    if largest > MOST_SHARE:
        return f"one row has {largest:.0%} of all weight, {MOST_SHARE:.0%} is the most: raise the floor"
    return None


def _ridge(x: FloatArray, y: FloatArray, new: FloatArray, ridge: float, everything: FloatArray) -> FloatArray:
    if not len(y):
        return np.full(len(new), everything.mean() if len(everything) else 0.0)
    center, level = x.mean(axis=0), y.mean()
    z = x - center
    coefficients = np.linalg.solve(z.T @ z + ridge * np.eye(x.shape[1]), z.T @ (y - level))
    found: FloatArray = level + (new - center) @ coefficients
    return found
