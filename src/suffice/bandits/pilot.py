"""PILOT: LinUCB that starts from what people preferred, in a space learnt from the same preferences.

References
----------
Panda et al. (2025), Adaptive LLM routing under budget constraints (PILOT), arXiv 2508.21141, section 3:
(1) a projection of query embeddings by a contrastive loss on preferences, (2) model embeddings by binary
cross-entropy on wins, (3) LinUCB whose regressions start from the model embeddings (A = lambda I,
b = lambda theta). The cost policy of its section 4 is `suffice.budgets.pacing` (`on_mckp`). Departures:
recorded outcomes can take the place of preferences or refine them, as ridge regressions counted as
`prior_weight` observations; that weight is chosen by how well the first half of them foretells the second;
contexts keep a constant, so that rewards need not be cosines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.bandits.context import Projection
from suffice.bandits.linear import BASELINE
from suffice.bandits.linucb import LinUCB
from suffice.errors import ConfigError, DataError
from suffice.types import FloatArray

_WEIGHTS: Final = (2.0, 8.0, 32.0, 128.0, 512.0)
_SLOPE: Final = 0.25
"""Of a chance over its log odds, around one half: from wins to rewards."""
_MARGIN: Final = 0.3
"""Of the triplet loss, between cosines."""


class Pilot(LinUCB):
    """Preference-prior LinUCB on contexts that end in a constant."""

    name = "pilot"

    def __init__(
        self,
        arms: tuple[str, ...],
        d: int,
        *,
        alpha: float = 0.1,
        ridge: float = 0.5,
        prior_weight: float | None = None,
        floor: float = 0.0,
        lease_s: float = math.inf,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        prior_weight : of the prior, in observations; None chooses it on the warm-up outcomes, and takes 8
            with preferences alone
        """
        super().__init__(arms, d, alpha=alpha, ridge=ridge, floor=floor, lease_s=lease_s, seed=seed)
        if prior_weight is not None and not prior_weight > 0:
            raise ConfigError(f"prior_weight is {prior_weight}; above 0 is needed")
        self.prior_weight = prior_weight

    def prefer(
        self, x: ArrayLike, first: Sequence[str], second: Sequence[str], preference: ArrayLike
    ) -> Pilot:
        """Start from preferences.

        Parameters
        ----------
        x : shape (n, d), contexts
        first, second : (n,) arms
        preference : (n,) for the second, in [0, 1]

        Raises
        ------
        DataError
            If nothing is left after pairs with unknown arms.
        """
        rows, wish = np.asarray(x, np.float64), np.asarray(preference, np.float64)
        known = [
            place for place, pair in enumerate(zip(first, second, strict=True)) if set(pair) <= set(self.arms)
        ]
        if not known:
            raise DataError("no preference is between two of the arms")
        left = np.array([self.arms.index(first[place]) for place in known])
        right = np.array([self.arms.index(second[place]) for place in known])
        theta = _SLOPE * won(rows[known], left, right, wish[known], len(self.arms))
        self.ridge = self.prior_weight or 8.0
        self.start_from(theta)
        return self

    def warm(self, x: ArrayLike, quality: ArrayLike) -> Pilot:
        """Start from recorded outcomes.

        Parameters
        ----------
        x : shape (n, d)
        quality : shape (n, K), in [0, 1], NaN for unknown
        """
        rows, known = np.asarray(x, np.float64), np.asarray(quality, np.float64) - BASELINE
        if rows.shape != (len(known), self.d) or known.shape[1:] != (len(self.arms),) or len(rows) < 2:
            raise DataError(
                f"contexts {rows.shape} and quality {known.shape} for {len(self.arms)} arms of {self.d}"
            )
        order = np.random.default_rng(self.seed).permutation(len(rows))
        weight = self.prior_weight or _foretelling(rows[order], known[order], self.ridge)
        grams, theta = [], []
        for column, start in zip(known.T, self._start, strict=True):
            seen = ~np.isnan(column)
            gram = rows[seen].T @ rows[seen]
            target = rows[seen].T @ column[seen] + self.ridge * start
            theta.append(np.linalg.solve(gram + self.ridge * np.eye(self.d), target))
            grams.append(gram * min(1.0, weight / max(int(seen.sum()), 1)))
        self.prior_weight = weight
        self.start_from(np.array(theta), np.array(grams))
        return self

    def _params(self) -> dict[str, Any]:
        return super()._params() | {"prior_weight": self.prior_weight}


def won(
    x: FloatArray,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    preference: FloatArray,
    n_arms: int,
    *,
    ridge: float = 0.5,
    n_steps: int = 25,
) -> FloatArray:
    """(K, d) model vectors by cross-entropy on wins, by Newton's method; they add up to 0.

    P(second wins) = sigmoid((theta_second - theta_first) . x): Bradley-Terry with strengths that are linear
    in the query.
    """
    n, d = x.shape
    theta = np.zeros((n_arms, d))
    side = np.zeros((n, n_arms))
    side[np.arange(n), second] += 1
    side[np.arange(n), first] -= 1
    design = (side[:, :, None] * x[:, None, :]).reshape(n, -1)
    for _ in range(n_steps):
        chance = 1 / (1 + np.exp(-np.clip(design @ theta.ravel(), -30, 30)))
        gradient = design.T @ (chance - preference) + ridge * theta.ravel()
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + ridge * np.eye(n_arms * d)
        step = np.linalg.solve(curve, gradient)
        theta -= step.reshape(theta.shape)
        if np.abs(step).max() < 1e-6:
            break
    return np.asarray(theta - theta.mean(axis=0))


def contrastive_projection(
    vectors: FloatArray,
    winner: NDArray[np.intp],
    d: int = 32,
    *,
    n_steps: int = 300,
    batch: int = 256,
    seed: int = 0,
) -> Projection:
    """A projection in which queries that the same model won lie near each other.

    A triplet loss on cosines, max(0, margin + cos(a, other winner) - cos(a, same winner)), from the
    principal axes on, by Adam.

    Parameters
    ----------
    vectors : shape (n, D)
    winner : shape (n,)
        The index of the model that was preferred.

    Raises
    ------
    DataError
        If fewer than two models won twice.
    """
    groups = [np.flatnonzero(winner == arm) for arm in np.unique(winner)]
    groups = [rows for rows in groups if len(rows) > 1]
    if len(groups) < 2:
        raise DataError("a contrastive projection needs two models that were preferred at least twice")
    rows = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(rows, full_matrices=False)
    weights = axes[: min(d - 1, len(axes))].T.copy()
    random = np.random.default_rng(seed)
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    sizes = np.array([len(one) for one in groups], float)
    for step in range(1, n_steps + 1):
        kinds = random.choice(len(groups), size=batch, p=sizes / sizes.sum())
        others = (kinds + 1 + random.integers(0, len(groups) - 1, batch)) % len(groups)
        near = np.array([random.choice(groups[kind], 2, replace=False) for kind in kinds])
        far = np.array([random.choice(groups[kind]) for kind in others])
        gradient = _triplet_gradient(rows[near[:, 0]], rows[near[:, 1]], rows[far], weights)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rate = 0.01 * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weights -= rate * first / (np.sqrt(second) + 1e-8)
    return Projection.along(vectors, weights)


def _triplet_gradient(
    anchor: FloatArray, near: FloatArray, far: FloatArray, weights: FloatArray
) -> FloatArray:
    """Of the mean triplet loss with respect to the projection."""
    a, p, q = anchor @ weights, near @ weights, far @ weights
    lengths = [np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-9) for one in (a, p, q)]
    ua, up, uq = (one / length for one, length in zip((a, p, q), lengths, strict=True))
    cos_p, cos_q = (ua * up).sum(axis=1, keepdims=True), (ua * uq).sum(axis=1, keepdims=True)
    active = (_MARGIN + cos_q - cos_p > 0) / len(anchor)
    to_a = active * ((uq - cos_q * ua) - (up - cos_p * ua)) / lengths[0]
    to_p = -active * (ua - cos_p * up) / lengths[1]
    to_q = active * (ua - cos_q * uq) / lengths[2]
    return np.asarray(anchor.T @ to_a + near.T @ to_p + far.T @ to_q)


def _foretelling(x: FloatArray, quality: FloatArray, ridge: float) -> float:
    """The prior weight with which the first half tells the second best, learning on as it goes by."""
    half = len(x) // 2
    errors = dict.fromkeys(_WEIGHTS, 0.0)
    d = x.shape[1]
    for column in quality.T:
        seen = ~np.isnan(column[:half])
        gram, target = x[:half][seen].T @ x[:half][seen], x[:half][seen].T @ column[:half][seen]
        theta = np.linalg.solve(gram + ridge * np.eye(d), target)
        later = half + np.flatnonzero(~np.isnan(column[half:]))[:200]
        for weight in _WEIGHTS:
            share = min(1.0, weight / max(int(seen.sum()), 1))
            inverse = np.linalg.inv(share * gram + ridge * np.eye(d))
            now = theta.copy()
            for row in later:
                residual = column[row] - now @ x[row]
                errors[weight] += residual**2
                along = inverse @ x[row]
                scale = 1 + x[row] @ along
                now += along * (residual / scale)
                inverse -= np.outer(along, along / scale)
    return min(_WEIGHTS, key=lambda weight: errors[weight])
