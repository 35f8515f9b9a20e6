"""Learning how hard a text is, and how much ability helps, from who answered it rightly.

    P(arm j right on query i) = sigmoid(level_jt + ease_i + ability_j * spread_i)

Ease and spread are linear in what the text holds; ability belongs to the arm, level to arm and task: only
differences within tasks teach what is hard, and nothing of it comes from how tasks are worded. Lord (1980),
Applications of Item Response Theory, for the form; Song et al. (2025), IRT-Router (arXiv 2506.01048), for
predicting it from the text. Departures: linear in hashed words, and fitted by iteratively reweighted ridge
regression (McCullagh and Nelder, 1989, section 2.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scripts.pretrain.corpus import Corpus, model_of

from suffice.types import FloatArray

_N_ROUNDS: Final = 4
_CG_STEPS: Final = 40


@dataclass(frozen=True)
class Fit:
    """What was learnt of arms and features."""

    level: FloatArray
    """Logits of every arm on every task: an average question of it."""
    ability: FloatArray
    """(K,) logits above the average model."""
    ease: FloatArray
    """(V + S,) weights"""
    spread: FloatArray
    """(V + S,)"""


def abilities(corpus: Corpus, level: FloatArray) -> FloatArray:
    """(K,): each arm's model on one scale, by least squares on level = ability + source.

    Sources are tied together by the models that they share.
    """
    models, model = np.unique([model_of(str(arm)) for arm in corpus.arms], return_inverse=True)
    sources, source = np.unique([str(arm).partition(":")[0] for arm in corpus.arms], return_inverse=True)
    rows = np.arange(len(level))
    design = np.zeros((len(level) + len(models) + len(sources), len(models) + len(sources)))
    design[rows, model] = design[rows, len(models) + source] = 1
    design[len(level) :] = np.diag([0.5] * len(models) + [0.2] * len(sources))
    known = np.concatenate((level, np.zeros(len(models) + len(sources))))
    found = np.linalg.lstsq(design, known, rcond=None)[0][: len(models)]
    return np.asarray((found - found.mean())[model])


def fit(
    corpus: Corpus,
    features: sparse.csr_matrix,
    *,
    ease_penalty: float,
    spread_penalty: float,
    power: float = 0.65,
    balance: float = 0.0,
) -> Fit:
    """Levels, abilities and weights.

    Parameters
    ----------
    features : (n, V + S)
    ease_penalty, spread_penalty : of the squared weights
    power : a query answered by m arms weighs m ** (1 - power)
    balance : a task of m queries weighs m ** (1 - balance): what holds in many tasks holds in new ones
    """
    n, k = len(corpus.texts), len(corpus.arms)
    cell, n_cells = task_cells(corpus)
    counts = np.bincount(corpus.query, minlength=n)
    weight = counts[corpus.query].astype(np.float64) ** -power
    even = np.bincount(cell, minlength=n_cells)[cell].astype(np.float64) ** -balance
    weight = weight * even * (weight.mean() / (weight * even).mean())
    ability = abilities(corpus, _logit_means(corpus.arm, corpus.score, k))
    level = _logit_means(cell, corpus.score, n_cells)
    ease, spread = np.zeros((2, features.shape[1]))
    eases, spreads = np.zeros((2, n))
    for turn in range(_N_ROUNDS):
        for part in ("ease", "spread") if turn else ("ease",):
            factor = 1.0 if part == "ease" else ability[corpus.arm]
            gradient, curve = _working(corpus, level[cell], ability, eases, spreads, weight)
            current = eases if part == "ease" else spreads
            steps = _sums(corpus.query, gradient * factor, n)
            sizes = _sums(corpus.query, curve * factor**2, n)
            # h (z + g / h) is what the normal equations need: no division by a small h
            wanted = sizes * current + steps
            penalty = ease_penalty if part == "ease" else spread_penalty
            found = weighted_ridge(features, sizes, wanted, penalty, ease if part == "ease" else spread)
            if part == "ease":
                ease, eases = found, features @ found
            else:
                spread, spreads = found, features @ found
            gradient, curve = _working(corpus, level[cell], ability, eases, spreads, weight)
            level = level + _sums(cell, gradient, n_cells) / (_sums(cell, curve, n_cells) + 0.1)
    return Fit(level=level, ability=ability, ease=ease, spread=spread)


def weighted_ridge(
    features: sparse.csr_matrix, sizes: FloatArray, wanted: FloatArray, penalty: float, start: FloatArray
) -> FloatArray:
    """w of least sum of h (t - x'w)^2 + penalty w^2, by conjugate gradients.

    Parameters
    ----------
    sizes : (n,): h
    wanted : (n,): h t
    """
    transposed = features.T.tocsr()
    x = start.copy()
    residual = transposed @ (wanted - sizes * (features @ x)) - penalty * x
    direction, size = residual.copy(), float(residual @ residual)
    goal = 1e-6 * max(size, 1e-12)
    for _ in range(_CG_STEPS):
        if size <= goal:
            break
        applied = transposed @ (sizes * (features @ direction)) + penalty * direction
        step = size / float(direction @ applied)
        x += step * direction
        residual -= step * applied
        new_size = float(residual @ residual)
        direction = residual + new_size / size * direction
        size = new_size
    return x


def _working(
    corpus: Corpus,
    level: FloatArray,
    ability: FloatArray,
    eases: FloatArray,
    spreads: FloatArray,
    weight: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """(N,) each: gradient and curvature of the log likelihood in the logit."""
    logit = level + eases[corpus.query] + ability[corpus.arm] * spreads[corpus.query]
    right = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
    return weight * (corpus.score - right), weight * right * (1 - right)


def _sums(places: NDArray[np.intp], values: FloatArray, n: int) -> FloatArray:
    return np.bincount(places, weights=values, minlength=n)


def _logit_means(places: NDArray[np.intp], score: FloatArray, n: int) -> FloatArray:
    mean = (_sums(places, score, n) + 0.5) / (np.bincount(places, minlength=n) + 1)
    return np.asarray(np.log(mean / (1 - mean)))


def task_cells(corpus: Corpus) -> tuple[NDArray[np.intp], int]:
    """(N,): a number for the arm and the task of each answer, and how many there are."""
    sources = [str(arm).partition(":")[0] for arm in corpus.arms]
    tasks = [dict(one.split("/", 1) for one in str(origin).split("|")) for origin in corpus.origins]
    keys: dict[tuple[int, str], int] = {}
    cells = [
        keys.setdefault((arm, tasks[query][sources[arm]]), len(keys))
        for query, arm in zip(corpus.query.tolist(), corpus.arm.tolist(), strict=True)
    ]
    return np.array(cells, np.intp), len(keys)
