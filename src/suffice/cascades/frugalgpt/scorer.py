"""g(query, answer): how likely an answer is right, learnt from both texts.

References
----------
Chen et al. (2023), FrugalGPT, arXiv 2305.05176, section 3: there DistilBERT reads query and answer; here
a logistic model reads the embeddings of both, their products, who answered and how long the answer is.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from suffice.calibration import Calibrator, choose_calibrator, from_json
from suffice.errors import ArtefactError, ConfigError, DataError, NotFitted
from suffice.protocols import Embedder
from suffice.types import FloatArray, IntArray

_PENALTIES: Final = (3.0, 30.0, 300.0)
CANDIDATES: Final = ("identity", "temperature", "platt", "beta")
_MAX_ROWS: Final = 16_000
_STEPS: Final = 12
_TAIL: Final = 2_000
"""Characters of an answer that are read, from its end."""


class AnswerScorer:
    """A penalised logistic model, calibrated on answers to queries that were left out."""

    def __init__(self, embedder: Embedder | None = None, *, n_folds: int = 3, seed: int = 0) -> None:
        self.embedder, self.n_folds, self.seed = embedder, n_folds, seed

    def fit(
        self, texts: Sequence[str], arms: Sequence[str], responses: NDArray[np.object_], quality: FloatArray
    ) -> Self:
        """Learn from graded answers; sets `held_out_` (n, M), each by models that saw no answer to its query.

        Parameters
        ----------
        texts : n queries
        responses, quality : shape (n, M); None and NaN where unknown. An answer without text is wrong and
            not learnt from

        Raises
        ------
        DataError
            If no graded answer has a text.
        """
        self.arms_ = tuple(arms)
        rows = np.argwhere(~np.isnan(quality) & is_spoken(responses))
        if not len(rows):
            raise DataError("no graded answer has a text: a scorer of answers has nothing to learn from")
        y = (quality[tuple(rows.T)] >= 0.5).astype(np.float64)
        x = self._features(texts, rows, responses)
        self.means_, self.scales_ = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
        x = self._scaled(x)
        fold_of_text = np.array([zlib.crc32(f"{self.seed} {text}".encode()) % self.n_folds for text in texts])
        raw, penalty = _left_out(x, y, fold_of_text[rows[:, 0]], self.seed)
        self.weights_ = _logistic(x, y, penalty, self.seed)
        self.calibrator_: Calibrator = choose_calibrator(raw, y, candidates=CANDIDATES, seed=self.seed)
        self.held_out_ = filled(quality.shape, rows, self.calibrator_.predict(raw))
        return self

    def scores(self, texts: Sequence[str], responses: NDArray[np.object_]) -> FloatArray:
        """(n, M) probabilities that the answers of all arms are right; 0 for one without text."""
        if not hasattr(self, "weights_"):
            raise NotFitted("the scorer of answers")
        rows = np.argwhere(is_spoken(responses))
        if not len(rows):
            return np.zeros(responses.shape)
        x = self._scaled(self._features(texts, rows, responses))
        return filled(responses.shape, rows, self.calibrator_.predict(_sigmoid(x @ self.weights_)))

    def score(self, text: str, arm: int, answer: str) -> float:
        """Of one answer."""
        responses = np.full((1, len(self.arms_)), None, dtype=object)
        responses[0, arm] = answer
        return float(self.scores([text], responses)[0, arm])

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON values for `restore`."""
        embedder = self._embedder()
        arrays = {
            "scorer_weights": self.weights_,
            "scorer_means": self.means_,
            "scorer_scales": self.scales_,
        }
        facts = {"calibrator": self.calibrator_.to_json(), "arms": self.arms_, "embedder": embedder.name}
        return arrays, facts

    def restore(self, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """What `state` gave.

        Raises
        ------
        ArtefactError
            If the embedder is another, or an array does not fit.
        """
        self.arms_ = tuple(facts["arms"])
        given = None if self.embedder is None else self.embedder.name
        if given != facts["embedder"]:
            raise ArtefactError(
                f"the scorer was trained with the embedder {facts['embedder']!r}, not {given!r}: pass it"
            )
        self.calibrator_ = from_json(facts["calibrator"])
        width = 3 * self._embedder().dimensions + len(self.arms_) + 2
        for name in ("weights", "means", "scales"):
            array = np.asarray(arrays[f"scorer_{name}"], np.float64)
            if array.shape != (width,) or not np.isfinite(array).all():
                raise ArtefactError(f"scorer_{name} is {array.shape}, expected {width} finite numbers")
            setattr(self, f"{name}_", array)
        return self

    def _embedder(self) -> Embedder:
        if self.embedder is None:
            raise ConfigError("the scorer of answers has no embedder: pass one, such as HashedNgrams()")
        return self.embedder

    def _features(self, texts: Sequence[str], rows: IntArray, responses: NDArray[np.object_]) -> FloatArray:
        """(r, 3 d + M + 2): answer, query, their products, the arm, the answer's length, a one."""
        embedder = self._embedder()
        answers = [str(responses[row, arm])[-_TAIL:] for row, arm in rows]
        asked = embedder.embed(list(texts))[rows[:, 0]].astype(np.float64)
        said = embedder.embed(answers).astype(np.float64)
        lengths = np.log1p([len(str(responses[row, arm])) for row, arm in rows])
        who = np.eye(len(self.arms_))[rows[:, 1]]
        products = asked * said * np.sqrt(embedder.dimensions)
        return np.hstack((said, asked, products, who, lengths[:, None], np.ones((len(rows), 1))))

    def _scaled(self, x: FloatArray) -> FloatArray:
        scaled = (x - self.means_) / self.scales_
        scaled[:, -1] = 1.0
        return np.asarray(scaled)


def is_spoken(responses: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which answers have a text."""
    flat = [bool(text and str(text).strip()) for text in responses.ravel()]
    return np.array(flat, dtype=np.bool_).reshape(responses.shape)


def _left_out(x: FloatArray, y: FloatArray, fold: IntArray, seed: int) -> tuple[FloatArray, float]:
    """Predictions of rows by models of the other folds, and the penalty with which they are best."""
    best, found, chosen = np.inf, np.full(len(y), y.mean()), _PENALTIES[-1]
    for penalty in _PENALTIES:
        predicted = np.full(len(y), y.mean())
        for held in np.unique(fold):
            inside = fold != held
            if inside.any():
                predicted[~inside] = _sigmoid(x[~inside] @ _logistic(x[inside], y[inside], penalty, seed))
        inside = np.clip(predicted, 1e-6, 1 - 1e-6)
        loss = -float(np.mean(y * np.log(inside) + (1 - y) * np.log1p(-inside)))
        if loss < best:
            best, found, chosen = loss, predicted, penalty
    return found, chosen


def _logistic(x: FloatArray, y: FloatArray, penalty: float, seed: int) -> FloatArray:
    """(d,) weights by Newton's steps, the last one (of the constant) free of the penalty."""
    if len(y) > _MAX_ROWS:
        kept = np.random.default_rng(seed).choice(len(y), _MAX_ROWS, replace=False)
        x, y = x[kept], y[kept]
    ridge = np.full(x.shape[1], penalty)
    ridge[-1] = 1e-3
    weights = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = _sigmoid(x @ weights)
        curvature = (x * (p * (1 - p))[:, None]).T @ x
        curvature[np.diag_indices_from(curvature)] += ridge
        step = np.linalg.solve(curvature, x.T @ (y - p) - ridge * weights)
        weights += step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-4:
            break
    return weights


def filled(shape: tuple[int, ...], rows: IntArray, values: FloatArray) -> FloatArray:
    """A table of that shape with the values at those places, and 0 elsewhere."""
    found = np.zeros(shape)
    found[tuple(rows.T)] = values
    return found


def _sigmoid(z: FloatArray) -> FloatArray:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))
