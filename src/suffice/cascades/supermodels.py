"""Several arms at once, judged before they are asked: the expected best of their later estimates.

Asking arms pays because one can then pick: what a set of arms is worth is the expected maximum of the
estimates that will be held once their answers are there. How far such an estimate moves from what is
thought now is learnt from recorded answers, by how many answers there will be and by how sure one is now.

References
----------
Dekoninck et al. (2025), A Unified Approach to Routing and Cascading for LLMs, arXiv 2410.10347, section 3
and appendix: supermodels, and the expected maximum of independent estimates. There the errors are normal
with one variance for every model; here they are taken as they were found, and `kind="normal"` is theirs.
"""

from __future__ import annotations

import functools
import itertools
from statistics import NormalDist
from typing import Final, Literal, Self

import numpy as np

from suffice.types import BoolArray, FloatArray, IntArray

CLASSES: Final = 3
"""One answer, two, more."""
_BINS: Final = 6
_QUANTILES: Final = 24
_CELLS: Final = 48
_EDGES: Final = np.linspace(0.0, 1.0, _CELLS + 1)
_AT: Final = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
_NORMAL: Final = np.array([NormalDist().inv_cdf(float(at)) for at in _AT])
_STEPS: Final = 256
_LEAST: Final = 20
"""Moves in a bin; with fewer it is joined to its neighbour."""

Kind = Literal["empirical", "normal"]


class ErrorModel:
    """How estimates move when answers come in."""

    def __init__(self, centres: FloatArray, moves: FloatArray) -> None:
        """
        Parameters
        ----------
        centres : shape (CLASSES, B), rising: estimates before
        moves : shape (CLASSES, B, Q), rising: quantiles of how far they moved, in units of
            sqrt(p (1 - p)), the most that a probability p can spread
        """
        self.centres, self.moves = centres, moves

    @classmethod
    def fit(
        cls, before: FloatArray, after: FloatArray, n_answers: IntArray, *, kind: Kind = "empirical"
    ) -> Self:
        """From estimates of the same arms before and after some answers, all (r,).

        Parameters
        ----------
        before, after : in [0, 1]
        n_answers : how many were there after, at least 1
        """
        centres, moves = np.zeros((CLASSES, _BINS)), np.zeros((CLASSES, _BINS, _QUANTILES))
        moved = (after - before) / _scale(before)
        for place in range(CLASSES):
            rows = np.flatnonzero(np.minimum(n_answers, CLASSES) == place + 1)
            if not len(rows):
                centres[place] = np.linspace(0, 1, _BINS)
                continue
            rows = rows[np.argsort(before[rows], kind="stable")]
            parts = np.array_split(rows, _BINS) if len(rows) >= _BINS * _LEAST else [rows] * _BINS
            for number, part in enumerate(parts):
                centres[place, number] = before[part].mean()
                moves[place, number] = (
                    np.quantile(moved[part], _AT) if kind == "empirical" else moved[part].std() * _NORMAL
                )
        return cls(centres, moves)

    def below(self, estimates: FloatArray, n_answers: int) -> FloatArray:
        """(m, cells): how likely each later estimate lies under a threshold of that cell, on average.

        Parameters
        ----------
        estimates : shape (m,), before; each stays the mean of its later ones
        n_answers : that will be there
        """
        # a mixture of two neighbours' distributions keeps the mean, as theirs are their estimates
        table = self._tables[min(n_answers, CLASSES) - 1]
        at = estimates * _STEPS
        lower = np.minimum(at.astype(np.intp), _STEPS - 1)
        share = (at - lower)[:, None]
        return np.asarray((1 - share) * table[lower] + share * table[lower + 1])

    @functools.cached_property
    def _tables(self) -> list[FloatArray]:
        """By class (steps + 1, cells): `below` of evenly spaced estimates."""
        return [self._below(np.linspace(0.0, 1.0, _STEPS + 1), place) for place in range(CLASSES)]

    def _below(self, estimates: FloatArray, place: int) -> FloatArray:
        """The moves at an estimate lie between those of the two nearest centres."""
        centres = self.centres[place]
        upper = np.clip(np.searchsorted(centres, estimates), 1, len(centres) - 1)
        width = np.maximum(centres[upper] - centres[upper - 1], 1e-12)
        share = np.clip((estimates - centres[upper - 1]) / width, 0, 1)[:, None]
        moves = (1 - share) * self.moves[place, upper - 1] + share * self.moves[place, upper]
        later = estimates[:, None] + _scale(estimates)[:, None] * moves
        return cells_below(_centred(later, estimates))


def cells_below(values: FloatArray) -> FloatArray:
    """(m, cells): the mean over a cell of the distribution function of equally likely values (m, Q)."""
    inside = np.clip((_EDGES[1:] - values[..., None]) * _CELLS, 0.0, 1.0)
    return np.asarray(inside.mean(axis=1))


def expected_maximum(below: FloatArray, members: BoolArray, floor: float = 0.0) -> FloatArray:
    """(S,): E[max(floor, later estimates of a set's members)], members independent.

    The integral of 1 - P(all lie below t), cell by cell; exact for sets of one where floor is 0.

    Parameters
    ----------
    below : shape (m, cells), of `ErrorModel.below`
    members : shape (S, m)
    floor : an estimate that is there already, in [0, 1]
    """
    logs = np.log(np.maximum(below, 1e-300))
    none_above = np.exp(np.maximum(members.astype(np.float64) @ logs, -700.0))
    width = np.clip(_EDGES[1:] - np.maximum(_EDGES[:-1], floor), 0.0, None)
    return np.asarray(floor + (1 - none_above) @ width)


@functools.lru_cache(maxsize=256)
def subsets(n: int, largest: int) -> BoolArray:
    """(S, n): every set of 1 to `largest` of n arms, the smaller first."""
    rows = [
        chosen for size in range(1, min(largest, n) + 1) for chosen in itertools.combinations(range(n), size)
    ]
    members = np.zeros((len(rows), n), dtype=np.bool_)
    for row, chosen in enumerate(rows):
        members[row, list(chosen)] = True
    members.flags.writeable = False
    return members


def _scale(estimates: FloatArray) -> FloatArray:
    return np.sqrt(np.clip(estimates * (1 - estimates), 1e-6, None))


def _centred(values: FloatArray, means: FloatArray) -> FloatArray:
    """Values in [0, 1] whose rows have these means: shifted and clipped, again for what the clip took."""
    for _ in range(3):
        values = np.clip(values + (means - values.mean(axis=1))[:, None], 0.0, 1.0)
    # what is left: drawn towards the end on which there is room
    gap = means - values.mean(axis=1)
    room = np.where(gap > 0, 1 - values.mean(axis=1), values.mean(axis=1))
    share = np.clip(np.abs(gap) / np.maximum(room, 1e-12), 0, 1)[:, None]
    return np.asarray(values + share * (np.where(gap > 0, 1.0, 0.0)[:, None] - values))
