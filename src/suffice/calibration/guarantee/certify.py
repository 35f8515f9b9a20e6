"""A threshold with a promise.

References
----------
Angelopoulos et al. (2021), Learn then Test: fixed-sequence testing, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from suffice.calibration.guarantee.binomial import rows_at_rate, rows_without_loss
from suffice.calibration.guarantee.certificate import Certificate
from suffice.calibration.guarantee.power import rows_needed
from suffice.calibration.guarantee.promises import promise_of
from suffice.calibration.guarantee.table import (
    Table,
    check_level,
    check_unseen,
    checked_grid,
    method_for,
    p_values,
    upper_bound,
)

GRID: Final = tuple(round(0.98 - 0.02 * step, 2) for step in range(49))
"""0.98 down to 0.02, for scores that are calibrated probabilities."""
_CELLS: Final = 4_000_000
"""Rows times thresholds held at a time: 32 MB an array."""


def certify(
    score: ArrayLike,
    quality_weak: ArrayLike,
    quality_strong: ArrayLike,
    *,
    promise: str = "mean-drop",
    epsilon: float,
    delta: float,
    grid: Iterable[float] = GRID,
    method: str | None = None,
    seed: int | None = 0,
    date: str | None = None,
    row_ids: Sequence[Any] | None = None,
    training_ids: Iterable[Any] = (),
) -> Certificate:
    """The lowest threshold that passes: thresholds are tested from the safest on, until one fails.

    The rows must be independent draws of the traffic, and nothing may have been fitted to them: neither the
    score nor its calibrator, nor the grid. Then the promise is broken with probability at most delta, however
    bad the score is and however few rows there are. Where nothing passes all goes to the strong model, and
    the certificate says about how many rows are needed.

    Parameters
    ----------
    score : shape (n,), in [0, 1], higher where the cheap model is surer to suffice
    quality_weak, quality_strong : shape (n,), in [0, 1]
    promise : mean-drop, regressions, selective or ratio, see `promises`
    epsilon : in (0, 1); for ratio, 1 - rho
    delta : in (0, 1), the probability with which the promise may be wrong
    grid : thresholds in [0, 1], none twice; tested from the highest on, in whatever order they are given
    method : betting, binomial (right-or-wrong qualities, for regressions and selective) or hoeffding-bentkus
        (not for mean-drop); None takes binomial where it can be had, else betting
    seed : of the order in which rows are bet on; None keeps the order given, that of arrival
    date : written on the certificate
    row_ids, training_ids : of these rows, and of those that something was fitted to

    Raises
    ------
    DataError
        If the columns differ in length, hold NaN or values out of range, the grid is empty or holds a
        threshold twice, or a row was trained on.
    ConfigError, UnknownName
        If epsilon, delta, the method or the promise cannot be.

    Examples
    --------
    >>> found = certify([0.9] * 500, [1.0] * 500, [1.0] * 500, epsilon=0.02, delta=0.1, grid=[0.95, 0.5])
    >>> found.certified, found.threshold, found.weak_share
    (True, 0.5, 1.0)
    """
    kind = promise_of(promise)
    check_level("epsilon", epsilon)
    check_level("delta", delta)
    thresholds = checked_grid(grid)
    table = Table.of(score, quality_weak, quality_strong)
    if row_ids is not None:
        check_unseen(row_ids, training_ids, table.n)
    chosen = method_for(kind, table, method)
    shuffled = table.shuffled(seed)
    n_kept = shuffled.n_kept(thresholds)
    _, first, place = np.unique(n_kept, return_index=True, return_inverse=True)
    # thresholds between the same two scores keep the same rows: tested once
    n_parts = -(-len(first) * table.n // _CELLS)
    parts = (shuffled.kept(part) for part in np.array_split(thresholds[first], n_parts) if len(part))
    distinct = [p_values(kind, shuffled, part, epsilon, delta, chosen) for part in parts]
    values = np.concatenate(distinct)[place]
    start = first_tested(kind.name, n_kept, epsilon, delta)
    n_passed = passed(values[start:], delta)
    last = start + n_passed - 1
    at = shuffled.kept(thresholds[[last if n_passed else start]])
    return Certificate(
        certified=n_passed > 0,
        promise=kind.name,
        epsilon=float(epsilon),
        delta=float(delta),
        method=chosen,
        threshold=float(thresholds[last]) if n_passed else None,
        weak_share=float(at.mean()) if n_passed else 0.0,
        bound=upper_bound(kind, shuffled, at, delta, chosen) if n_passed else None,
        n=table.n,
        rows_needed=None if n_passed else rows_needed(kind, shuffled, at, epsilon, delta, chosen),
        grid=tuple(thresholds.tolist()),
        p_values=tuple(np.clip(values, 0.0, 1.0).tolist()),
        seed=seed,
        date=date,
        data_sha256=table.sha256(),
    )


def passed(values: np.ndarray[Any, Any], delta: float) -> int:
    """How many tests in a row pass from the first on: at most one level is spent, whatever their number."""
    failed = np.flatnonzero(values > delta)
    return int(failed[0]) if len(failed) else len(values)


def first_tested(promise: str, n_kept: np.ndarray[Any, Any], epsilon: float, delta: float) -> int:
    """Where the sequence starts: of `selective`, at the first threshold that keeps rows enough.

    Enough to pass at half the error that is allowed; where none keeps so many, enough to pass without any.
    The rule is fixed beforehand and looks at scores alone, and the test is one given the scores.
    """
    if promise != "selective":
        return 0
    least = rows_without_loss(epsilon, delta)
    for wanted in (rows_at_rate(epsilon / 2, epsilon, delta) or least, least):
        if (n_kept >= wanted).any():
            return int(np.argmax(n_kept >= wanted))
    return len(n_kept) - 1  # too few everywhere: so many, how many more are needed
