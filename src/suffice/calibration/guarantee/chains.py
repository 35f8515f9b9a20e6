"""Several thresholds at once: cascades and panels of k models.

Models stand in order, cheapest first, the reference last. A configuration is a threshold per model but the
last: the first model whose score reaches its threshold answers, else the reference.

References
----------
Angelopoulos et al. (2021), Learn then Test, section 3 (several sequences by Bonferroni, split fixed
sequence); Laufer-Goldshtein et al. (2023), Efficiently Controlling Multiple Risks with Pareto Testing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.calibration.checks import FloatArray, numbers
from suffice.calibration.guarantee.betting import betting_p_values
from suffice.calibration.guarantee.certify import passed
from suffice.calibration.guarantee.promises import promise_of
from suffice.calibration.guarantee.table import check_level
from suffice.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class ChainCertificate:
    """Thresholds of k models with a promise against the last."""

    certified: bool
    promise: str
    epsilon: float
    delta: float
    thresholds: tuple[float, ...] | None
    """By model, without the last; None: all to the last."""
    shares: tuple[float, ...]
    """Of the calibration rows, by model."""
    cost_usd: float
    """Mean, on the calibration rows."""
    n: int
    n_paths: int
    n_passed: int
    """Configurations that passed; all of them keep the promise at once."""


def chosen_models(scores: FloatArray, thresholds: FloatArray) -> NDArray[np.intp]:
    """(n,) place of the first model whose score reaches its threshold, the last one's where none does."""
    reached = np.column_stack([scores >= thresholds, np.ones(len(scores), dtype=bool)])
    found: NDArray[np.intp] = np.argmax(reached, axis=1)
    return found


def certify_chains(
    scores: ArrayLike,
    quality: ArrayLike,
    cost_usd: ArrayLike,
    paths: Sequence[ArrayLike],
    *,
    promise: str = "mean-drop",
    epsilon: float,
    delta: float,
    seed: int | None = 0,
) -> ChainCertificate:
    """The cheapest configuration that passes; each path is tested in its order at level delta / paths.

    Parameters
    ----------
    scores : shape (n, k - 1), in [0, 1], higher where that model is surer to suffice
    quality : shape (n, k), in [0, 1]; the last is the reference
    cost_usd : shape (n, k)
    paths : each of shape (m, k - 1), configurations fixed without these rows, safest first; one path, or
        `learned_path` of other rows, spends all of delta on itself
    promise : mean-drop, regressions or ratio
    seed : of the order in which rows are bet on; None keeps that of arrival

    Raises
    ------
    DataError
        If a shape does not fit, a value is NaN or out of range, or a configuration stands twice.
    ConfigError, UnknownName
        If epsilon, delta or the promise cannot be.
    """
    check_level("epsilon", epsilon)
    check_level("delta", delta)
    sure, got, paid = _checked(scores, quality, cost_usd)
    ways = [_path(path, sure.shape[1]) for path in paths]
    if not ways:
        raise DataError("there is no path: give at least one list of configurations")
    order = np.arange(len(sure)) if seed is None else np.random.default_rng(seed).permutation(len(sure))
    rows = np.arange(len(sure))
    best, n_passed = np.full(len(sure), got.shape[1] - 1), 0
    thresholds = None
    cost = float(paid[:, -1].mean())
    for way in ways:
        models = np.column_stack([chosen_models(sure, one) for one in way])
        values = _p_values(promise, got, models, order, epsilon, delta / len(ways))
        n = passed(values, delta / len(ways))
        n_passed += n
        for step in range(n):
            mean = float(paid[rows, models[:, step]].mean())
            if mean < cost or thresholds is None:
                cost, best, thresholds = mean, models[:, step], tuple(way[step].tolist())
    return ChainCertificate(
        certified=thresholds is not None,
        promise=promise,
        epsilon=epsilon,
        delta=delta,
        thresholds=thresholds,
        shares=tuple((np.bincount(best, minlength=got.shape[1]) / len(sure)).tolist()),
        cost_usd=cost,
        n=len(sure),
        n_paths=len(ways),
        n_passed=n_passed,
    )


def learned_path(
    scores: ArrayLike,
    quality: ArrayLike,
    cost_usd: ArrayLike,
    configurations: ArrayLike,
    *,
    promise: str = "mean-drop",
    epsilon: float,
    delta: float,
) -> FloatArray:
    """(m, k - 1): configurations worth testing, most likely to pass first, by rows that certify nothing.

    Those that another one beats in both loss and cost are left out, as are those whose loss is above the
    limit here; what remains goes by p-value.
    """
    sure, got, paid = _checked(scores, quality, cost_usd)
    grid = _path(configurations, sure.shape[1])
    models = np.column_stack([chosen_models(sure, one) for one in grid])
    values = _p_values(promise, got, models, np.arange(len(sure)), epsilon, delta)
    loss = _excess(promise, got, models, epsilon).mean(axis=0)
    cost = np.take_along_axis(paid, models, axis=1).mean(axis=0)
    by_cost = np.lexsort((loss, cost))
    least = np.minimum.accumulate(np.concatenate([[np.inf], loss[by_cost][:-1]]))
    front = by_cost[loss[by_cost] < least]  # a strictly lower loss than all that are cheaper
    front = front[loss[front] <= 0] if (loss[front] <= 0).any() else front[-1:]
    found: FloatArray = grid[front[np.lexsort((-cost[front], values[front]))]]
    return found


def _excess(promise: str, quality: FloatArray, models: NDArray[np.intp], epsilon: float) -> FloatArray:
    kind = promise_of(promise)
    if kind.name == "selective":
        raise ConfigError(
            "selective speaks of one cheap model: for chains take mean-drop, regressions or ratio"
        )
    got = np.take_along_axis(quality, models, axis=1)
    return kind.excess(got, quality[:, -1], np.ones(models.shape), epsilon)


def _p_values(
    promise: str,
    quality: FloatArray,
    models: NDArray[np.intp],
    order: NDArray[np.intp],
    epsilon: float,
    delta: float,
) -> FloatArray:
    excess = _excess(promise, quality, models, epsilon)
    return betting_p_values(excess[order], 1.0 - promise_of(promise).limit(epsilon), delta)


def _checked(
    scores: ArrayLike, quality: ArrayLike, cost_usd: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    tables = []
    for values, name, high in (
        (scores, "scores", 1.0),
        (quality, "quality", 1.0),
        (cost_usd, "cost_usd", np.inf),
    ):
        table = np.asarray(values, dtype=np.float64)
        if table.ndim != 2:
            raise DataError(f"{name} has shape {table.shape}: expected one column per model")
        numbers(table.ravel(), name, high=high)
        tables.append(table)
    n, k = tables[1].shape
    if tables[0].shape != (n, k - 1) or tables[2].shape != (n, k) or k < 2 or not n:
        said = ", ".join(str(table.shape) for table in tables)
        raise DataError(
            f"scores, quality and cost_usd have shapes {said}: expected (n, k - 1), (n, k), (n, k)"
        )
    return tables[0], tables[1], tables[2]


def _path(path: ArrayLike, n_thresholds: int) -> FloatArray:
    found = np.asarray(path, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != n_thresholds or not len(found) or np.isnan(found).any():
        raise DataError(f"a path has shape {found.shape}: expected (m, {n_thresholds}) thresholds, no NaN")
    if len(np.unique(found, axis=0)) < len(found):
        raise DataError("a configuration stands twice in a path: give each once")
    return found
