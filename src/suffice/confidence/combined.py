"""One confidence out of all the signals that there are.

Needs: whatever its signals need, and some hundred answers known to be right or wrong. Costs: its signals; no
call of its own. A signal that is missing, in training or later, is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike

from suffice.confidence.base import FloatArray, Reading
from suffice.errors import ArtefactError, DataError, NotFitted

FORMAT: Final = 1
_KNOTS: Final = 64
_PENALTIES: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_REMEDY: Final = "fit it again"


def table(readings: Sequence[Mapping[str, Reading]]) -> dict[str, FloatArray]:
    """The confidences of many answers, name -> shape (n_answers,), NaN where a signal is unavailable.

    Parameters
    ----------
    readings : per answer name -> reading; a name that is left out is missing
    """
    names = sorted({name for row in readings for name in row})
    found = {name: np.full(len(readings), np.nan) for name in names}
    for i, row in enumerate(readings):
        for name, reading in row.items():
            if reading.confidence is not None:
                found[name][i] = reading.confidence
    return found


class Combined:
    """A logistic model over the signals' ranks, with an indicator for each that is missing.

    A signal counts by its rank among the training rows, so its unit does not matter, infinities are allowed,
    and value or confidence may be given as long as it is the same one later. A missing one stands at the
    middle rank, and the indicator says so. The L2 penalty is chosen by cross-validated log-loss; the model's
    logits on the rows held out give a slope and an offset that undo what the penalty did to its calibration.
    With under two rows a fold, or answers that are all right or all wrong, it predicts their smoothed share.

    References
    ----------
    Platt (1999) for the slope and offset. Gupta et al. (2024), Language Model Cascades, also learn
    a rule over several readings of one answer.
    """

    def __init__(self, *, n_folds: int = 5, seed: int = 0) -> None:
        self.n_folds, self.seed = n_folds, seed

    def fit(self, signals: Mapping[str, ArrayLike], correct: ArrayLike) -> Self:
        """Learn from answers whose truth is known.

        Parameters
        ----------
        signals : name -> shape (n,), NaN where missing; the order of the names does not matter
        correct : shape (n,), true or false

        Raises
        ------
        DataError
            If there is no signal or no row, lengths differ, or correct is not 0 or 1 throughout.
        """
        right = np.asarray(correct, dtype=np.float64)
        columns = {name: np.asarray(signals[name], dtype=np.float64) for name in sorted(signals)}
        if not columns or right.ndim != 1 or not len(right) or not np.isin(right, (0, 1)).all():
            raise DataError("needs at least one signal and one row, each right (1) or wrong (0)")
        wrong_shape = [name for name, values in columns.items() if values.shape != right.shape]
        if wrong_shape:
            raise DataError(f"{len(right)} rows, but not as many values of {', '.join(wrong_shape)}")
        self.names_ = tuple(columns)
        self.knots_ = [_knots(values) for values in columns.values()]
        self.missing_ = [float(np.isnan(values).mean()) for values in columns.values()]
        x = self._features(columns)
        self.weights_, self.penalty_, self.slope_, self.offset_ = self._learn(x, right)
        return self

    def predict(self, signals: Mapping[str, ArrayLike]) -> FloatArray:
        """(n,) probabilities of being right, in (0, 1).

        Parameters
        ----------
        signals : name -> shape (n,), NaN where missing; names not seen in training are ignored, trained ones
            that are left out are missing

        Raises
        ------
        DataError
            If lengths differ, or none of the trained signals is given.
        NotFitted
            Before `fit`.
        """
        if not hasattr(self, "weights_"):
            raise NotFitted("the combined signal")
        given = {name: np.asarray(signals[name], dtype=np.float64) for name in self.names_ if name in signals}
        shapes = {values.shape for values in given.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise DataError(f"needs columns of one length of any of {', '.join(self.names_)}")
        absent = np.full(next(iter(shapes)), np.nan)
        x = self._features({name: given.get(name, absent) for name in self.names_})
        return _sigmoid(self.slope_ * _logits(x, self.weights_) + self.offset_)

    def to_json(self) -> str:
        """Everything `from_json` needs."""
        if not hasattr(self, "weights_"):
            raise NotFitted("the combined signal")
        columns = [
            {"name": name, "values": values.tolist(), "ranks": ranks.tolist(), "missing": missing}
            for name, (values, ranks), missing in zip(self.names_, self.knots_, self.missing_, strict=True)
        ]
        state = {"weights": self.weights_.tolist(), "penalty": self.penalty_}
        line = {"slope": self.slope_, "offset": self.offset_, "n_folds": self.n_folds, "seed": self.seed}
        return json.dumps({"format": FORMAT, "signals": columns, **state, **line}, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """A model as `to_json` left it.

        Raises
        ------
        ArtefactError
            If it is damaged or of another version.
        """
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ArtefactError(f"a combined signal of format {content['format']}: {_REMEDY}")
            found = cls(n_folds=int(content["n_folds"]), seed=int(content["seed"]))
            found._restore(content)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"a combined signal that is damaged ({error}): {_REMEDY}") from error
        return found

    def _restore(self, content: Mapping[str, Any]) -> None:
        columns = content["signals"]
        self.names_ = tuple(str(column["name"]) for column in columns)
        self.knots_ = [
            (np.array(column["values"], np.float64), np.array(column["ranks"], np.float64))
            for column in columns
        ]
        self.missing_ = [float(column["missing"]) for column in columns]
        self.weights_ = np.array(content["weights"], np.float64)
        self.penalty_ = None if content["penalty"] is None else float(content["penalty"])
        self.slope_, self.offset_ = float(content["slope"]), float(content["offset"])
        numbers = np.r_[self.weights_, self.slope_, self.offset_, self.missing_]
        fits = self.weights_.shape == (2 * len(columns) + 1,) and np.isfinite(numbers).all()
        if not fits or any(values.shape != ranks.shape for values, ranks in self.knots_):
            raise ValueError("numbers that do not belong together")

    def _features(self, columns: Mapping[str, FloatArray]) -> FloatArray:
        """(n, 2 S): standardised ranks, then indicators about their means."""
        ranks, absences = [], []
        for values, (at, rank), missing in zip(columns.values(), self.knots_, self.missing_, strict=True):
            absent = np.isnan(values)
            placed = np.interp(_finite(values), at, rank) if len(at) else np.full(len(values), 0.5)
            ranks.append(
                np.where(absent, 0.0, (placed - 0.5) * np.sqrt(12))
            )  # a uniform's standard deviation
            absences.append((absent - missing) if 0 < missing < 1 else np.zeros(len(values)))
        return np.column_stack([*ranks, *absences])

    def _learn(self, x: FloatArray, right: FloatArray) -> tuple[FloatArray, float | None, float, float]:
        n_right = right.sum()
        if len(right) < 2 * self.n_folds or n_right in (0, len(right)):
            prior = (n_right + 1) / (len(right) + 2)
            return np.zeros(x.shape[1] + 1), None, 1.0, float(np.log(prior / (1 - prior)))
        fold = np.random.default_rng(self.seed).permutation(len(right)) % self.n_folds
        held = {penalty: self._held_out(x, right, fold, penalty) for penalty in _PENALTIES}
        best = min(_PENALTIES, key=lambda penalty: (_log_loss(held[penalty], right), -penalty))
        offset, slope = _logistic(held[best][:, None], right, 1e-3)
        if slope <= 0:  # nothing learnt that holds on other rows
            slope, offset = 0.0, float(np.log((n_right + 1) / (len(right) - n_right + 1)))
        return _logistic(x, right, best), best, float(slope), float(offset)

    def _held_out(self, x: FloatArray, right: FloatArray, fold: Any, penalty: float) -> FloatArray:
        logits = np.empty(len(right))
        for number in range(self.n_folds):
            out = fold == number
            logits[out] = _logits(x[out], _logistic(x[~out], right[~out], penalty))
        return logits


def _knots(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Some of the values that were seen, and their mid-ranks in (0, 1)."""
    seen, counts = np.unique(_finite(values[~np.isnan(values)]), return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / max(1, counts.sum())
    if len(seen) > _KNOTS:
        kept = np.unique(np.searchsorted(ranks, np.linspace(ranks[0], ranks[-1], _KNOTS)))
        seen, ranks = seen[kept], ranks[kept]
    return seen, ranks


def _finite(values: FloatArray) -> FloatArray:
    return np.nan_to_num(values, nan=0.0, posinf=1e300, neginf=-1e300)


def _logits(x: FloatArray, weights: FloatArray) -> FloatArray:
    found: FloatArray = weights[0] + x @ weights[1:]
    return found


def _sigmoid(logits: FloatArray) -> FloatArray:
    return 0.5 * (1 + np.tanh(logits / 2))


def _log_loss(logits: FloatArray, right: FloatArray) -> float:
    return float(np.mean(np.logaddexp(0, logits) - right * logits))


def _logistic(x: FloatArray, right: FloatArray, penalty: float) -> FloatArray:
    """(1 + n_features,) intercept and weights, by Newton's method; steps that raise the loss are halved."""
    a = np.column_stack([np.ones(len(x)), x])
    ridge = np.r_[1e-6, np.full(x.shape[1], penalty)]  # the intercept's only keeps it finite

    def loss(weights: FloatArray) -> float:
        logits = a @ weights
        return float(np.sum(np.logaddexp(0, logits) - right * logits) + weights**2 @ ridge / 2)

    weights = np.zeros(a.shape[1])
    for _ in range(50):
        p = _sigmoid(a @ weights)
        gradient = a.T @ (p - right) + ridge * weights
        step = np.linalg.solve((a * (p * (1 - p))[:, None]).T @ a + np.diag(ridge), gradient)
        here, length = loss(weights), 1.0
        while length > 1e-6 and loss(weights - length * step) > here:
            length /= 2
        weights = weights - length * step
        if np.abs(length * step).max() < 1e-10:
            break
    return weights
