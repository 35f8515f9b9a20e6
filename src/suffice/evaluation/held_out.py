"""Confidences repaired on one part of the answers and judged on the other, both ways round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from suffice.calibration import choose_calibrator
from suffice.confidence.combined import Combined
from suffice.types import BoolArray, FloatArray

Rows = NDArray[np.intp]
Learn = Callable[[Rows], Callable[[Rows], FloatArray]]
"""Rows to learn from, to a function from other rows to their predictions."""


def halves(groups: Sequence[str], *, seed: int = 0) -> BoolArray:
    """(n,): which part each answer is in. Groups stay whole; the parts have as many groups each."""
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    first = {names[i] for i in order[: (len(names) + 1) // 2]}
    return np.array([group in first for group in groups], dtype=np.bool_)


def crossed(part: BoolArray, is_there: BoolArray, learn: Learn) -> FloatArray:
    """(n,): every answer's prediction by what was learnt from the part that it is not in; NaN without one."""
    found = np.full(len(part), np.nan)
    for own in (part, ~part):
        fit, held = np.flatnonzero(~own & is_there), np.flatnonzero(own & is_there)
        if len(fit) and len(held):
            found[held] = learn(fit)(held)
    return found


def calibrated(
    confidence: FloatArray, correct: FloatArray, part: BoolArray, *, seed: int = 0
) -> tuple[FloatArray, tuple[str, ...]]:
    """Held-out calibrated confidences, NaN where there are none, and the calibrators that were chosen.

    Parameters
    ----------
    confidence : shape (n,), NaN where missing
    correct : shape (n,), 1 or 0
    part : of `halves`
    """
    chosen: list[str] = []

    def learn(fit: Rows) -> Callable[[Rows], FloatArray]:
        calibrator = choose_calibrator(confidence[fit], correct[fit], seed=seed)
        chosen.append(calibrator.name)
        return lambda held: calibrator.predict(confidence[held])

    return crossed(part, ~np.isnan(confidence), learn), tuple(chosen)


def combined(
    signals: Mapping[str, FloatArray], correct: FloatArray, part: BoolArray, *, seed: int = 0
) -> FloatArray:
    """Held-out predictions of `Combined`, which calibrates itself; NaN for an answer without any signal."""

    def learn(fit: Rows) -> Callable[[Rows], FloatArray]:
        known = {name: values[fit] for name, values in signals.items()}
        fitted = Combined(seed=seed).fit(known, correct[fit])
        return lambda held: fitted.predict({name: values[held] for name, values in signals.items()})

    is_there = ~np.all([np.isnan(values) for values in signals.values()], axis=0)
    return crossed(part, np.asarray(is_there, dtype=np.bool_), learn)
