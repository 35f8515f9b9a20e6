"""What an arm will cost, learnt from what it did cost: ridge regression of ln(cost) on the context."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from suffice.types import FloatArray

_RIDGE: Final = 1.0
_LEAST: Final = 1e-12  # USD: free arms have a logarithm too
_MARGIN: Final = 1.25
_TIMES: Final = 3.0


class CostLearner:
    """Recursive least squares per arm, brought back from logarithms by the mean of cost / exp(prediction).

    Costs are known as soon as an answer is there, but only of the arm that gave it. At the price list of
    the records: callers multiply by price changes.
    """

    def __init__(self, n_arms: int, d: int, *, unknown_usd: float) -> None:
        """
        Parameters
        ----------
        d : of the contexts, the last entry of which is constant
        unknown_usd : what an arm is taken to cost of which nothing is known
        """
        self.unknown_usd = unknown_usd
        self._inverse = np.repeat(np.eye(d)[None] / _RIDGE, n_arms, axis=0)
        self._theta = np.zeros((n_arms, d))
        self._middle = np.full(n_arms, np.log(max(unknown_usd, _LEAST)))
        self._n = np.zeros(n_arms)
        self._ratio = np.ones(n_arms)  # mean cost / exp(prediction)
        self._most = np.zeros(n_arms)

    def predict(self, x: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        """(K,) USD expected, and (K,) to set aside: thrice that, or 1.25 times the dearest answer so far.

        Of an arm that never answered: as told, and twice that.
        """
        expected = np.exp(np.minimum(self._middle + self._theta @ x, 50.0)) * self._ratio
        expected = np.where(
            self._n > 0, np.minimum(expected, np.maximum(self._most, _LEAST)), self.unknown_usd
        )
        at_most = np.minimum(_MARGIN * self._most, _TIMES * expected)
        return expected, np.where(self._n > 0, at_most, 2 * self.unknown_usd)

    def predictions(self, contexts: NDArray[np.float32]) -> FloatArray:
        """(n, K) expected."""
        return np.stack([self.predict(x)[0] for x in contexts])

    def learn(self, x: NDArray[np.float32], arm: int, cost_usd: float) -> None:
        """What an answer cost, at the price list of the records."""
        log = np.log(max(cost_usd, _LEAST))
        if not self._n[arm]:
            self._middle[arm] = log
        guess = float(self._middle[arm] + self._theta[arm] @ x)
        inverse, n = self._inverse[arm], self._n[arm] + 1
        v = inverse @ x
        scale = 1 + x @ v
        inverse -= np.outer(v, v) / scale
        self._theta[arm] += v * ((log - guess) / scale)
        after = float(self._middle[arm] + self._theta[arm] @ x)
        weight = 1 / min(n + 1, 500)
        self._ratio[arm] += weight * (min(cost_usd / np.exp(after), 20.0) - self._ratio[arm])
        self._n[arm] = n
        self._most[arm] = max(self._most[arm], cost_usd)
