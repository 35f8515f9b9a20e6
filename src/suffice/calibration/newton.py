"""Unregularised logistic regression on a few features, by Newton steps."""

from __future__ import annotations

from typing import Final

import numpy as np

from suffice.calibration.checks import FloatArray, sigmoid

_MAX_STEPS: Final = 200
_TOLERANCE: Final = 1e-12
"""Of the gradient of the mean loss."""


def logistic_fit(features: FloatArray, targets: FloatArray) -> FloatArray | None:
    """Coefficients (d,) that minimise the mean log loss of sigmoid(features @ coefficients).

    Steps are halved until the loss falls, so they converge from 0 wherever there is a minimum.

    Parameters
    ----------
    features : shape (n, d), a constant column included where one is wanted
    targets : shape (n,), in [0, 1]

    Returns
    -------
    None where there is no finite minimum (separable classes) or several (collinear features)
    """
    scale = np.maximum(np.abs(features).max(axis=0), 1e-300)
    x = features / scale
    found = np.zeros(x.shape[1])
    gradient = _gradient(x, found, targets)
    for _ in range(_MAX_STEPS):
        if np.abs(gradient).max() <= _TOLERANCE:
            break
        step = _step(x, found, targets, gradient)
        if step is None:
            return None
        new = _gradient(x, found - step, targets)
        if np.abs(new).max() >= np.abs(gradient).max() and np.abs(gradient).max() <= 1e-9:
            break  # as near as floating point comes
        found, gradient = found - step, new
    else:
        return None
    is_lost = (
        np.abs(x @ found).min() > 25
    )  # every row is certain: the gradient vanished on the way to infinity
    return None if is_lost else found / scale


def _step(x: FloatArray, found: FloatArray, targets: FloatArray, gradient: FloatArray) -> FloatArray | None:
    """Newton's, halved until the loss does not rise; None where the curvature says nothing."""
    p = sigmoid(x @ found)
    hessian = (x * (p * (1 - p))[:, None]).T @ x / len(x)
    if np.linalg.cond(hessian) > 1e14:
        return None
    step = np.linalg.solve(hessian, gradient)
    loss = _loss(x @ found, targets)
    while _loss(x @ (found - step), targets) > loss * (1 + 1e-14):
        step = step / 2
        if np.abs(step).max() < 1e-14:
            return None
    return np.asarray(step)


def _gradient(x: FloatArray, found: FloatArray, targets: FloatArray) -> FloatArray:
    slope: FloatArray = x.T @ (sigmoid(x @ found) - targets) / len(x)
    return slope


def _loss(z: FloatArray, targets: FloatArray) -> float:
    return float(np.mean(np.logaddexp(0.0, z) - targets * z))
