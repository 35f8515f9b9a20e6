"""Would the answer to one text serve another? A calibrated probability, and the cut that keeps a promise.

A logistic model on which words are left over on either side and how near the vectors are; the guards stand
beside it as vetoes, and as one feature. It ships
trained on pairs that the project wrote (`benchmarks/caching/`); `Judgement.fit` learns
from others.
"""

from __future__ import annotations

import functools
import importlib.resources
import math
from collections.abc import Sequence
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.caching.guards import raised
from suffice.caching.lexicon import lexicon
from suffice.caching.reading import Reading, read
from suffice.calibration import Platt
from suffice.calibration.checks import sigmoid
from suffice.calibration.guarantee import clopper_pearson, rows_without_loss
from suffice.calibration.newton import logistic_fit
from suffice.errors import DataError

FEATURES: Final = (
    "constant",
    "cosine_all_shared",
    "cosine_one_sided",
    "cosine_exchanged",
    "all_shared",
    "one_sided",
    "one_sided_words",
    "exchanged",
    "exchanged_unknown",
    "exchanged_known",
    "unknown_left_over",
    "poles_left_over",
    "alike_left_over",
    "n_shared",
    "guards",
)
"""Left over are the words of one text that the other lacks, light ones aside; one-sided: only one has such,
exchanged: both have. A cosine says another thing in each of these cases: one word more hardly moves a vector.
Unknown are words that the lexicon does not hold, poles those with an opposite."""
_SIGNS: Final = np.array([0, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, 1, 1, -1])
"""Which way each feature may speak."""
_FIRST: Final = 0.15
"""Of the pairs that no guard forbids: the share served by the strictest threshold, or more to prove it."""
_PRIOR: Final = 2.0
"""Rows' worth of belief, per coefficient, that a feature says nothing; so that the fit is always finite."""


class Pair(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Two texts, and whether an answer to one serves the other."""

    a: str
    b: str
    same: bool
    cosine: float
    """Of their vectors; 0 where there are none."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What is thought of a pair."""

    probability: float
    vetoes: tuple[str, ...]
    """The guards that forbid to serve, whatever the probability."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A trained decision for the vectors of one embedder, or for no vectors."""

    weights: tuple[float, ...]
    """One for each of `FEATURES`."""
    slope: float = 1.0
    """Platt's, on the logit; learnt on other pairs than the weights."""
    offset: float = 0.0
    threshold: float = 1.01
    """From this probability on an answer is served; above 1, none is."""
    precision: float | None = None
    """What the threshold promises of served answers, with confidence 95 %; None: nothing."""

    @classmethod
    def shipped(cls, embedder: str) -> Judgement:
        """For the embedder of that name: hashed, minilm, or one that trusts words alone for any other."""
        family = "hashed" if embedder.startswith("hashed-") else embedder.partition("@")[0]
        known = _shipped()
        return known.get(family, known["words"])

    @property
    def uses_vectors(self) -> bool:
        """False where the words alone decide, as with hashed vectors."""
        return any(self.weights[1:4])

    def verdict(self, a: Reading, b: Reading, cosine: float) -> Verdict:
        """What is thought of two texts that are near in their vectors."""
        vetoes = raised(a, b)
        z = sum(w * x for w, x in zip(self.weights, features(a, b, cosine, len(vetoes)), strict=True))
        z = min(max(self.slope * z + self.offset, -500.0), 500.0)
        return Verdict(1 / (1 + math.exp(-z)), vetoes)

    @classmethod
    def fit(cls, pairs: Sequence[Pair]) -> Self:
        """Weights from pairs; calibrate and choose the threshold on others.

        Raises
        ------
        DataError
            If there are no pairs of either kind.
        """
        x, same, _ = _rows(pairs)
        if not same.any() or same.all():
            raise DataError("pairs that are the same and pairs that are not are both needed")
        found = _weights(x, same)
        while found is not None and (found * _SIGNS < 0).any():
            x[:, found * _SIGNS < 0] = 0  # what is left over never speaks for, what is shared never against
            found = _weights(x, same)
        if found is None:
            raise DataError("no finite weights fit these pairs: give more, and more of different kinds")
        return cls(weights=tuple(map(float, found)))

    def calibrated(self, pairs: Sequence[Pair], *, precision: float = 0.98) -> Judgement:
        """The same weights with probabilities and a threshold from these pairs.

        The threshold falls from the surest pair on for as long as, with confidence 95 %, at most
        1 - precision of what would be served is wrong: fixed sequence testing, as for the guarantees.

        Raises
        ------
        DataError
            If no threshold keeps the promise.
        """
        x, same, vetoed = _rows(pairs)
        z = x @ np.array(self.weights)
        platt = Platt(smoothed=True).fit(sigmoid(z[~vetoed]), same[~vetoed])
        state = platt._state()
        probability = sigmoid(state["a"] * z + state["b"])
        threshold = _lowest(probability[~vetoed], same[~vetoed], 1 - precision)
        if threshold is None:
            raise DataError(
                f"no threshold serves with precision {precision}: give more pairs, or promise less"
            )
        return msgspec.structs.replace(
            self, slope=state["a"], offset=state["b"], threshold=threshold, precision=precision
        )


def _weights(x: NDArray[np.float64], same: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Logistic weights under a weak belief that each is 0."""
    prior = _PRIOR * np.eye(x.shape[1]) * np.abs(x).max(axis=0).clip(1e-9)
    prior[0, 0] = 0  # no belief about the constant
    rows = np.concatenate([x, prior, -prior])
    return logistic_fit(rows, np.concatenate([same.astype(np.float64), np.full(2 * len(prior), 0.5)]))


def features(a: Reading, b: Reading, cosine: float, n_vetoes: int) -> tuple[float, ...]:
    """One number for each of `FEATURES`; equal for (b, a)."""
    shared = a.words & b.words
    known = lexicon()
    only_a, only_b = a.words - b.words, b.words - a.words
    heavy_a, heavy_b = only_a - known.light, only_b - known.light
    fewer, more = sorted((len(heavy_a), len(heavy_b)))
    strange_a, strange_b = len(heavy_a & a.unknown), len(heavy_b & b.unknown)
    return (
        1.0,
        cosine if more == 0 else 0.0,
        cosine if fewer == 0 < more else 0.0,
        cosine if fewer > 0 else 0.0,
        float(more == 0 and bool(shared)),
        float(fewer == 0 and more > 0),
        min(more, 4) / 4 if fewer == 0 else 0.0,
        float(fewer > 0),
        min(strange_a, strange_b, 3) / 3,
        min(len(heavy_a) - strange_a, len(heavy_b) - strange_b, 3) / 3,
        min(max(strange_a, strange_b), 4) / 4,
        min(sum(word in known.opposites for word in heavy_a | heavy_b), 3) / 3,
        _alike(heavy_a, heavy_b),
        min(len(shared), 6) / 6,
        min(n_vetoes, 3) / 3,
    )


def _alike(a: frozenset[str], b: frozenset[str]) -> float:
    """Share of left-over words that are spelt much like one on the other side: forms and typos."""
    if not a or not b or len(a) * len(b) > 36:
        return 0.0
    fewer, more = sorted((a, b), key=len)
    return sum(max(_dice(one, other) for other in more) >= 0.6 for one in fewer) / len(more)


def _dice(a: str, b: str) -> float:
    """Of the letter pairs of two words, their ends included."""
    one = {a[i : i + 2] for i in range(-1, len(a))}
    other = {b[i : i + 2] for i in range(-1, len(b))}
    return 2 * len(one & other) / (len(one) + len(other))


def _rows(pairs: Sequence[Pair]) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """(n, len(FEATURES)), whether they are the same, and whether a guard forbids it."""
    rows, vetoed = [], []
    for pair in pairs:
        a, b = read(pair.a), read(pair.b)
        n_vetoes = len(raised(a, b))
        rows.append(features(a, b, pair.cosine, n_vetoes))
        vetoed.append(n_vetoes > 0)
    x = np.array(rows, np.float64).reshape(len(pairs), len(FEATURES))
    return x, np.array([pair.same for pair in pairs], np.bool_), np.array(vetoed, np.bool_)


def _lowest(probability: NDArray[np.float64], same: NDArray[np.bool_], most_wrong: float) -> float | None:
    """The lowest cut down to which every cut keeps the promise, beginning where `_FIRST` is served."""
    order = np.argsort(-probability, kind="stable")
    wrong = np.cumsum(~same[order])
    found = None
    first = max(int(_FIRST * len(order)), rows_without_loss(most_wrong, 0.05))
    for i in range(first - 1, len(order)):
        at = float(probability[order[i]])
        if i + 1 < len(order) and probability[order[i + 1]] == at:
            continue
        if clopper_pearson(int(wrong[i]), i + 1, 0.05) > most_wrong:
            break
        found = at
    return found


@functools.cache
def _shipped() -> dict[str, Judgement]:
    text = importlib.resources.files("suffice.caching").joinpath("judgement.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Judgement])
