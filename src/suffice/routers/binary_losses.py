"""The losses of `losses` for right or wrong, in NumPy, with their slopes.

A classifier of two labels with logit z gives p = sigmoid(z) to the one and 1 - p = sigmoid(-z) to the other,
so that a loss is written once, for the label whose logit is z: the other label's is that of -z.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from suffice.routers.losses import GAMMAS, UNSURE, Loss
from suffice.types import FloatArray

_LEAST: Final = 1e-6
"""Below it 1 - p counts as this, in powers below 1."""


def binary_loss(loss: Loss, logits: FloatArray, chance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Loss and its slope in the logit, each (...).

    Parameters
    ----------
    logits : shape (...)
    chance : shape (...), in [0, 1]: of being right, or right (1) and wrong (0)
    """
    if loss.name in ("cross_entropy", "label_smoothing"):
        smooth = (1 - loss.value) * chance + loss.value / 2
        return np.logaddexp(0, logits) - smooth * logits, _sigmoid(logits) - smooth
    right, up = _of_label(loss, logits)
    wrong, down = _of_label(loss, -logits)
    return chance * right + (1 - chance) * wrong, chance * up - (1 - chance) * down


def _of_label(loss: Loss, z: FloatArray) -> tuple[FloatArray, FloatArray]:
    p, q = _sigmoid(z), _sigmoid(-z)
    surprise, strength = np.logaddexp(0, -z), loss.value
    if loss.name == "gatekeeper":
        from_uniform = np.log(2) - p * surprise - q * np.logaddexp(0, z)
        is_right = z > 0
        return (
            np.where(is_right, strength * surprise, (1 - strength) * from_uniform),
            np.where(is_right, -strength * q, (1 - strength) * p * q * z),
        )
    gamma = strength if loss.name == "focal" else np.where(p < UNSURE, *GAMMAS)
    weight = np.maximum(q, _LEAST) ** gamma
    return weight * surprise, -weight * (gamma * p * surprise + q)


def _sigmoid(z: FloatArray) -> FloatArray:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))
