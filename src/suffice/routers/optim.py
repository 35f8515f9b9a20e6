"""Stochastic gradient descent in numpy: Adam, and rows in small batches.

Kingma and Ba (2015), Adam: A Method for Stochastic Optimization, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_BETA1: Final = 0.9
_BETA2: Final = 0.999
_EPSILON: Final = 1e-8


class Adam:
    """Adam with the paper's moments; changes the arrays of `params` in place."""

    def __init__(self, params: dict[str, NDArray[Any]], lr: float, weight_decay: float = 0.0) -> None:
        """
        Parameters
        ----------
        params : floating arrays by name
        lr : step size, above 0
        weight_decay : added to the gradient times the parameter (an L2 penalty, as in the Adam of
            PyTorch that the papers train with), from 0
        """
        self.params, self.lr, self.weight_decay = params, lr, weight_decay
        self._means = {name: np.zeros_like(param) for name, param in params.items()}
        self._squares = {name: np.zeros_like(param) for name, param in params.items()}
        self._n_steps = 0

    def step(self, grads: Mapping[str, NDArray[Any]]) -> None:
        """One step; a parameter without a gradient stays as it is."""
        self._n_steps += 1
        size = self.lr * float(np.sqrt(1 - _BETA2**self._n_steps)) / (1 - _BETA1**self._n_steps)
        for name, given in grads.items():
            param, mean, square = self.params[name], self._means[name], self._squares[name]
            grad = given + self.weight_decay * param if self.weight_decay else given
            mean += (1 - _BETA1) * (grad - mean)
            square += (1 - _BETA2) * (grad * grad - square)
            param -= size * mean / (np.sqrt(square) + _EPSILON)


def minibatches(n: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Row numbers of one epoch, shuffled, `size` at a time; the last batch may be smaller.

    Rows sorted by `text_draws` beforehand make training independent of the order of queries.
    """
    order = rng.permutation(n)
    for start in range(0, n, size):
        yield order[start : start + size]
