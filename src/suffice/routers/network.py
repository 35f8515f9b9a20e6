"""A multilayer perceptron in numpy: two hidden layers, any number of outputs, soft labels, any of `losses`.

Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating errors; hidden
weights start as in He et al. (2015), equation 10. The last layer starts at 0, so that before training
every output is its offset, and no output depends on the place of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.routers.binary_losses import binary_loss
from suffice.routers.losses import CROSS_ENTROPY, Loss
from suffice.routers.optim import Adam, minibatches
from suffice.types import FloatArray

Weights = dict[str, NDArray[Any]]
"""By name: w1 (d, h1), b1, w2 (h1, h2), b2, w3 (h2, K), b3."""

_WITHOUT_GAIN: Final = 1e-5
"""A held-out loss that falls by less than this share counts as no better."""


def initial(n_inputs: int, hidden: tuple[int, int], n_outputs: int, seed: int) -> Weights:
    """Weights before training, in float64."""
    rng = np.random.default_rng(seed)
    first, second = hidden
    return {
        "w1": rng.standard_normal((n_inputs, first)) * np.sqrt(2 / max(n_inputs, 1)),
        "b1": np.zeros(first),
        "w2": rng.standard_normal((first, second)) * np.sqrt(2 / first),
        "b2": np.zeros(second),
        "w3": np.zeros((second, n_outputs)),
        "b3": np.zeros(n_outputs),
    }


def logits(weights: Mapping[str, NDArray[Any]], x: NDArray[Any]) -> NDArray[Any]:
    """(n, K): before the sigmoid, without offsets."""
    first = np.maximum(x @ weights["w1"] + weights["b1"], 0)
    second = np.maximum(first @ weights["w2"] + weights["b2"], 0)
    return np.asarray(second @ weights["w3"] + weights["b3"])


def loss(z: FloatArray, y: FloatArray, mask: FloatArray, criterion: Loss = CROSS_ENTROPY) -> float:
    """Of sigmoid(z) with soft labels y, averaged over what the mask (0 or 1) lets through."""
    each = binary_loss(criterion, z, y)[0]
    return float((mask * each).sum() / max(float(mask.sum()), 1.0))


def gradients(
    weights: Weights,
    x: FloatArray,
    y: FloatArray,
    mask: FloatArray,
    offsets: FloatArray,
    criterion: Loss = CROSS_ENTROPY,
) -> Weights:
    """Of `loss(logits(weights, x) + offsets, y, mask, criterion)`, by name."""
    first = np.maximum(x @ weights["w1"] + weights["b1"], 0)
    second = np.maximum(first @ weights["w2"] + weights["b2"], 0)
    z = second @ weights["w3"] + weights["b3"] + offsets
    back = mask * binary_loss(criterion, z, y)[1] / max(float(mask.sum()), 1.0)
    found = {"w3": second.T @ back, "b3": back.sum(axis=0)}
    back = (back @ weights["w3"].T) * (second > 0)
    found |= {"w2": first.T @ back, "b2": back.sum(axis=0)}
    back = (back @ weights["w2"].T) * (first > 0)
    return found | {"w1": x.T @ back, "b1": back.sum(axis=0)}


def train(
    weights: Weights,
    inside: Sequence[FloatArray],
    held: Sequence[FloatArray],
    offsets: FloatArray,
    *,
    lr: float,
    penalty: float,
    batch: int,
    max_epochs: int,
    patience: int,
    seed: int,
    criterion: Loss = CROSS_ENTROPY,
) -> Weights:
    """The weights of the epoch with the least held-out loss; `weights` are changed.

    Parameters
    ----------
    inside, held : x (n, d), y (n, K) with 0 where unknown, and mask (n, K)
    patience : epochs without a better one before it stops
    """
    (x, y, mask), (held_x, held_y, held_mask) = inside, held
    adam, rng = Adam(weights, lr, penalty), np.random.default_rng(seed)
    best = {name: array.copy() for name, array in weights.items()}
    least, since = loss(logits(weights, held_x) + offsets, held_y, held_mask, criterion), 0
    for _ in range(max_epochs):
        for rows in minibatches(len(x), batch, rng):
            adam.step(gradients(weights, x[rows], y[rows], mask[rows], offsets, criterion))
        now = loss(logits(weights, held_x) + offsets, held_y, held_mask, criterion)
        if now < least * (1 - _WITHOUT_GAIN):
            best, least, since = {name: array.copy() for name, array in weights.items()}, now, 0
        else:
            since += 1
            if since >= patience:
                break
    return best
