"""What is kept of users: their past choices between two models, with the query as a short vector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.routers.artefact import Arrays
from suffice.types import FloatArray, IntArray


@dataclass(frozen=True, eq=False, slots=True)
class History:
    """Interactions of one user, the oldest first."""

    inputs: FloatArray
    """(n, D): the queries' vectors, a constant last."""
    first: IntArray
    """(n,): which model is a."""
    second: IntArray
    """(n,): which is b."""
    pref_b: FloatArray
    """(n,), in [0, 1]."""
    gaps: FloatArray
    """(n,): by how much the router without users rates b above a."""

    def __len__(self) -> int:
        return len(self.first)

    def select(self, rows: IntArray | slice) -> History:
        return History(
            self.inputs[rows], self.first[rows], self.second[rows], self.pref_b[rows], self.gaps[rows]
        )

    def followed_by(self, later: History, most: int) -> History:
        """Both, of which the latest `most` are kept."""
        return History(
            np.concatenate((self.inputs, later.inputs))[-most:],
            np.concatenate((self.first, later.first))[-most:],
            np.concatenate((self.second, later.second))[-most:],
            np.concatenate((self.pref_b, later.pref_b))[-most:],
            np.concatenate((self.gaps, later.gaps))[-most:],
        )


def packed(histories: dict[str, History], width: int) -> dict[str, NDArray[Any]]:
    """Arrays for an artefact; users stand in the order of the dictionary."""
    every = list(histories.values())
    return {
        "history_sizes": np.array([len(one) for one in every], np.int64),
        "history_inputs": np.vstack([np.empty((0, width)), *(one.inputs for one in every)]),
        "history_first": np.concatenate([np.empty(0, np.int64), *(one.first for one in every)]),
        "history_second": np.concatenate([np.empty(0, np.int64), *(one.second for one in every)]),
        "history_prefs": np.concatenate([np.empty(0), *(one.pref_b for one in every)]),
        "history_gaps": np.concatenate([np.empty(0), *(one.gaps for one in every)]),
    }


def unpacked(arrays: Arrays, users: list[str], width: int, n_models: int) -> Iterator[tuple[str, History]]:
    """The reverse of `packed`; ValueError where the arrays do not fit each other."""
    sizes = arrays.take("history_sizes", "i", (len(users),))
    n = int(sizes.sum())
    kept = History(
        arrays.take("history_inputs", "f", (n, width)),
        arrays.take("history_first", "i", (n,)).astype(np.intp),
        arrays.take("history_second", "i", (n,)).astype(np.intp),
        arrays.take("history_prefs", "f", (n,)),
        arrays.take("history_gaps", "f", (n,)),
    )
    models = np.concatenate((kept.first, kept.second))
    if (sizes < 0).any() or (models < 0).any() or (models >= n_models).any():
        raise ValueError("histories of models that the router does not have")
    ends = np.cumsum(sizes)
    for user, start, end in zip(users, ends - sizes, ends, strict=True):
        yield user, kept.select(slice(int(start), int(end)))
