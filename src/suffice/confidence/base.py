"""What every signal returns, and the checks that all share.

Conventions, everywhere in this package:

- natural logs; a confidence lies in [0, 1], higher is surer, and is not calibrated yet;
- a signal that cannot be had is `Unavailable`, with the reason, and never 0;
- what a provider or a model may send (no token, NaN, an answer without a number) gives `Unavailable`;
  what only a mistake of the caller can give (shapes that differ, similarities above 1) raises ValueError;
- token log-probabilities are used as given: a caller whose server reports the end-of-sequence token leaves
  it out, or keeps it everywhere. A token of probability 0 (-inf) makes a sequence's confidence 0;
- answers are drawn from the same model by sampling unless said otherwise. Duplicates count as often as they
  were drawn. One answer says nothing about agreement: `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

_ROUNDING = 1e-3
"""How far above 0 a log-probability, or outside [0, 1] a similarity, may stand by half-precision rounding."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal's reading of one answer.

    Examples
    --------
    >>> float(Signal(1.25, 0.8))
    1.25
    """

    value: float
    """As the source defines it: its own unit and direction; may be infinite. What float() gives."""
    confidence: float
    """In [0, 1], higher is surer, uncalibrated; usually a monotone function of the value."""

    def __post_init__(self) -> None:
        if np.isnan(self.value) or not 0 <= self.confidence <= 1:
            raise ValueError(f"{self}: a value is a number and a confidence lies in [0, 1]")

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why a signal cannot be had here; its value and its confidence are None."""

    reason: str

    @property
    def value(self) -> None:
        return None

    @property
    def confidence(self) -> None:
        return None


Reading = Signal | Unavailable


def share(value: float) -> Signal:
    """A value that is its own confidence, trimmed by rounding only."""
    value = clipped(value)
    return Signal(value, value)


def nats(uncertainty: float) -> Signal:
    """An uncertainty in nats; its confidence exp(-uncertainty) is a (geometric mean of) probability.

    Below 0, which only unnormalised estimates reach, the confidence stays 1.

    Examples
    --------
    >>> nats(0.0)
    Signal(value=0.0, confidence=1.0)
    """
    return Signal(uncertainty, float(np.exp(-max(uncertainty, 0.0))))


def clipped(value: float) -> float:
    """Into [0, 1]."""
    return float(min(1.0, max(0.0, value)))


def entropy(probabilities: ArrayLike) -> FloatArray:
    """-sum p ln p over the last axis; 0 ln 0 is 0."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(-np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)) + 0.0  # no -0.0


def token_logprobs(logprobs: Sequence[float] | FloatArray | None) -> FloatArray | Unavailable:
    """Checked log-probabilities of one sequence, shape (n_tokens,), at most 0, n_tokens at least 1."""
    if logprobs is None:
        return Unavailable("no log-probabilities")
    values = np.asarray(logprobs, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"log-probabilities of one sequence have one axis, not shape {values.shape}")
    if not len(values):
        return Unavailable("no token")
    if np.isnan(values).any() or (values > _ROUNDING).any():
        return Unavailable("a token's log-probability is NaN or above 0")
    return np.minimum(values, 0.0)


def alternatives(top_logprobs: Sequence[Sequence[float]] | None) -> list[FloatArray] | Unavailable:
    """Per token the log-probabilities of its alternatives, largest first.

    Tokens with under two alternatives of which one has a probability above 0 are left out: with one
    alternative nothing can be compared. None left is `Unavailable`.
    """
    if top_logprobs is None:
        return Unavailable("no log-probabilities of alternatives")
    rows = [np.sort(np.asarray(row, dtype=np.float64))[::-1] for row in top_logprobs]
    if any(np.isnan(row).any() or (row > _ROUNDING).any() for row in rows):
        return Unavailable("an alternative's log-probability is NaN or above 0")
    rows = [np.minimum(row, 0.0) for row in rows if len(row) > 1 and np.isfinite(row[0])]
    return rows or Unavailable("under two alternatives at every token")


def sequence_lps(log_likelihoods: Sequence[float] | FloatArray | None) -> FloatArray | Unavailable:
    """Checked log-probabilities of several sequences, shape (n_samples,), n_samples at least 2."""
    values = token_logprobs(log_likelihoods)
    if isinstance(values, Unavailable):
        return values if log_likelihoods is None else Unavailable(values.reason.replace("token", "sequence"))
    return values if len(values) > 1 else Unavailable("one sample: nothing to compare it with")


def similarity_matrix(similarity: ArrayLike) -> FloatArray | Unavailable:
    """Checked similarities of every ordered pair, made symmetric, shape (n, n), n at least 2."""
    matrix = np.asarray(similarity, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"similarities of n answers have shape (n, n), not {matrix.shape}")
    if np.isnan(matrix).any():
        return Unavailable("a similarity is NaN")
    if ((matrix < -_ROUNDING) | (matrix > 1 + _ROUNDING)).any():
        raise ValueError("a similarity lies outside [0, 1]")
    if len(matrix) < 2:
        return Unavailable("under two answers: nothing to compare")
    return np.clip((matrix + matrix.T) / 2, 0.0, 1.0)


def distributions(probabilities: ArrayLike, ndim: int) -> FloatArray:
    """Checked class probabilities: `ndim` axes, the last over at least two classes, each summing to 1."""
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != ndim or not p.size or p.shape[-1] < 2:
        raise ValueError(f"class probabilities have {ndim} axes, the last of at least 2, not shape {p.shape}")
    if not ((p >= -_ROUNDING).all() and (np.abs(p.sum(axis=-1) - 1) < 1e-4).all()):
        raise ValueError("class probabilities are at least 0 and sum to 1")
    return np.clip(p, 0.0, 1.0)
