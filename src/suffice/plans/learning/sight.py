"""What a policy that learns sees of a query: the same on every machine, so that any can learn from it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from suffice.bandits.context import Projection
from suffice.errors import EmbedderError
from suffice.protocols import Embedder
from suffice.routers.builtin_data import pretrained
from suffice.types import Query

N_DIRECTIONS: Final = 16
LEVEL: Final = 3.0
"""The constant: how good a candidate is on the whole is less sure than what a query changes, as in the priors
of the built-in router, so it may leave the router's word three times as far."""


class Sight:
    """(d,): ease, spread and domain as the built-in router reads them, directions of the query's vector, how
    good the router takes the candidates to be on the whole, and a constant.

    The directions are random (Johnson and Lindenstrauss), drawn once and for all: nothing has to be fitted,
    kept or sent to other workers.
    """

    def __init__(self, embedder: Embedder, n_directions: int = N_DIRECTIONS) -> None:
        self._embedder = embedder
        size = embedder.dimensions
        draw = np.random.default_rng(0).standard_normal((size, n_directions)) / np.sqrt(n_directions)
        self._projection = Projection(np.zeros(size, np.float32), draw.astype(np.float32))
        shipped = pretrained()
        self._n_read = 2 + len(shipped.facts.domains)
        self.d = self._n_read + 1 + self._projection.d
        self.name = f"read{self._n_read}+random{n_directions}+level{LEVEL:g}({embedder.name})"
        """Which contexts may be compared."""

    def __call__(self, query: Query, mean_score: float) -> NDArray[np.float32]:
        """(d,)

        Parameters
        ----------
        mean_score : of the candidates, in [0, 1]
        """
        read, familiarity = pretrained().read([query.text])
        read[:, 2:] -= 1 / (self._n_read - 2)
        try:
            vector = self._embedder.embed([query.text])[0]
        except EmbedderError:
            vector = np.zeros(self._embedder.dimensions, np.float32)
        seen = np.clip(read[0] * familiarity[0], -3, 3)
        directions = self._projection(vector)[:-1]
        return np.concatenate([seen, [mean_score - 0.5], directions, [LEVEL]]).astype(np.float32)
