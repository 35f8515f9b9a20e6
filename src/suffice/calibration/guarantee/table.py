"""The rows that a promise is tested on, and the p-value of every threshold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.calibration.checks import FloatArray, numbers, same_length
from suffice.calibration.guarantee.betting import betting_p_values
from suffice.calibration.guarantee.binomial import binomial_cdf, clopper_pearson
from suffice.calibration.guarantee.hoeffding_bentkus import hoeffding_bentkus_p
from suffice.calibration.guarantee.promises import Promise
from suffice.errors import ConfigError, DataError

METHODS: Final = ("betting", "binomial", "hoeffding-bentkus")
_STEPS: Final = 33


@dataclass(frozen=True, eq=False)
class Table:
    """Calibration rows in the order in which they are bet on."""

    score: FloatArray
    """(n,): how sure it is that the cheap model suffices; higher is surer."""
    weak: FloatArray
    """(n,): quality of the cheap model's answer, in [0, 1]."""
    strong: FloatArray

    @classmethod
    def of(cls, score: ArrayLike, weak: ArrayLike, strong: ArrayLike) -> Self:
        """Checked.

        Raises
        ------
        DataError
            If the lengths differ, there is no row, or a value is NaN or out of [0, 1].
        """
        columns = {
            "score": numbers(score, "score"),
            "quality_weak": numbers(weak, "quality_weak"),
            "quality_strong": numbers(strong, "quality_strong"),
        }
        same_length(**columns)
        return cls(*columns.values())

    @property
    def n(self) -> int:
        return len(self.score)

    @property
    def is_binary(self) -> bool:
        """Whether every answer is right or wrong."""
        return bool((np.isin(self.weak, (0, 1)) & np.isin(self.strong, (0, 1))).all())

    def shuffled(self, seed: int | None) -> Table:
        """In an order drawn once; None keeps that of arrival."""
        if seed is None:
            return self
        order = np.random.default_rng(seed).permutation(self.n)
        return Table(self.score[order], self.weak[order], self.strong[order])

    def kept(self, grid: FloatArray) -> FloatArray:
        """(n, m): 1 where the cheap model answers."""
        return (self.score[:, None] >= grid).astype(np.float64)

    def n_kept(self, grid: FloatArray) -> NDArray[np.intp]:
        """(m,): how many rows that is."""
        found: NDArray[np.intp] = self.n - np.searchsorted(np.sort(self.score), grid, side="left")
        return found

    def sha256(self) -> str:
        """Of the rows, as float64, in the order given."""
        found = hashlib.sha256()
        for column in (self.score, self.weak, self.strong):
            found.update(np.ascontiguousarray(column, dtype="<f8").tobytes())
        return found.hexdigest()


def p_values(
    promise: Promise, table: Table, kept: FloatArray, epsilon: float, delta: float, method: str
) -> FloatArray:
    """(m,) p-values of "the promise is broken", by column of kept (n, m); 1 where nothing is known."""
    if method == "betting":
        excess = promise.excess(table.weak, table.strong, kept, epsilon)
        most = 1.0 - promise.limit(epsilon)
        if not promise.is_conditional:
            return betting_p_values(excess, most, delta)
        columns = (excess[kept[:, at] > 0, at] for at in range(kept.shape[1]))
        return np.array(
            [betting_p_values(one[:, None], most, delta)[0] if len(one) else 1.0 for one in columns]
        )
    counted, failed = counts(promise, table, kept, epsilon)
    pairs = zip(counted.tolist(), failed.tolist(), strict=True)
    limit = promise.limit(epsilon)
    if method == "binomial":
        return np.array([binomial_cdf(round(k), round(n), limit) if n else 1.0 for n, k in pairs])
    return np.array([hoeffding_bentkus_p(k / n, round(n), limit) if n else 1.0 for n, k in pairs])


def counts(promise: Promise, table: Table, kept: FloatArray, epsilon: float) -> tuple[FloatArray, FloatArray]:
    """(m,) rows that count, and the sum of their losses."""
    weights = promise.weights(kept)
    losses = promise.losses(table.weak, table.strong, kept, epsilon)
    return weights.sum(axis=0), (weights * losses).sum(axis=0)


def upper_bound(promise: Promise, table: Table, kept: FloatArray, delta: float, method: str) -> float:
    """The highest epsilon that the rows do not rule out, for one threshold; kept (n, 1).

    It holds with probability 1 - delta for a threshold that was fixed beforehand; for one that was chosen by
    the test, what is promised is epsilon itself. Betting and Hoeffding-Bentkus are inverted on a grid that is
    narrowed down to 1e-4, and rounded up.
    """
    if method == "binomial":
        counted, failed = counts(promise, table, kept, 0.0)
        return clopper_pearson(round(failed[0]), round(counted[0]), delta) if counted[0] else 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        tried = np.linspace(low, high, _STEPS)
        inner = np.clip(tried[1:-1], 1e-6, 1 - 1e-6)
        held = [p_values(promise, table, kept, float(a), delta, method)[0] > delta for a in inner]
        last = int(np.flatnonzero(held)[-1]) + 1 if any(held) else 0
        low, high = float(tried[last]), float(tried[last + 1])
    return high


def method_for(promise: Promise, table: Table, method: str | None) -> str:
    """The one that was asked for, if it fits; None: exact for counts, else betting.

    Raises
    ------
    ConfigError
        If there is no such method, or it does not suit the promise or the rows.
    """
    if method is None:
        return "binomial" if promise.is_count and table.is_binary else "betting"
    if method not in METHODS:
        raise ConfigError(f"method is {method!r}: expected one of {', '.join(METHODS)}")
    if method == "binomial" and not (promise.is_count and table.is_binary):
        raise ConfigError(
            f"binomial counts failures: {promise.name} of these rows is a mean of graded values; take betting"
        )
    if method == "hoeffding-bentkus" and not promise.in_unit:
        raise ConfigError(
            f"hoeffding-bentkus certifies next to nothing for {promise.name}, whose losses have both signs; "
            "take betting"
        )
    return method


def checked_grid(grid: Iterable[float]) -> FloatArray:
    """(m,) thresholds, safest (highest) first.

    Raises
    ------
    DataError
        If there is none, one stands twice, or one leaves [0, 1].
    """
    found = numbers(list(grid), "grid")
    if not len(found):
        raise DataError("the grid is empty: give thresholds in [0, 1]")
    ordered: FloatArray = np.sort(found)[::-1]
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise DataError(f"the threshold {twice[0]:g} stands twice in the grid: give each once")
    return ordered


def check_level(name: str, value: float) -> None:
    """In (0, 1).

    Raises
    ------
    ConfigError
        If not.
    """
    if not 0 < value < 1:
        raise ConfigError(f"{name} is {value!r}: expected a number between 0 and 1")


def check_unseen(row_ids: Sequence[Any], training_ids: Iterable[Any], n: int) -> None:
    """No calibration row may stand in what the score or the grid was made from.

    Raises
    ------
    DataError
        If one does, or there are more or fewer ids than rows.
    """
    if len(row_ids) != n:
        raise DataError(f"{len(row_ids)} row ids for {n} rows: give one per row")
    known = set(training_ids)
    reused = [name for name in row_ids if name in known]
    if reused:
        raise DataError(
            f"{len(reused)} of {n} calibration rows were trained on (such as {reused[0]!r}): the promise "
            "would not hold; give rows that nothing was fitted to"
        )
