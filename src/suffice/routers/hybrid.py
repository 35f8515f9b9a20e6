"""Hybrid LLM: the chance that a cheap arm's answer is no worse than the strongest arm's.

Ding et al. (2024, arXiv 2404.14618), Hybrid LLM, section 3, with the gap H = q(small) - q(large):

- deterministic (3.1): the label is 1[H >= 0];
- probabilistic (3.2): the label is P(H >= 0). The paper samples ten answers of either model; we have
  their mean quality, and take it as the chance of a right answer: 1 - q(large) (1 - q(small)), which for
  right or wrong answers is the deterministic label;
- transformed (3.3): the label is 1[H >= -t], with t* = argmax over t of the mean of |y_i - y_j| over
  pairs of queries, 2 p (1 - p) for labels of mean p: labels that differ most teach most.

Departures: a logistic regression on words learns the label instead of a fine-tuned DeBERTa. Any number
of arms: each is held against the strongest by a label of its own. And the chance is turned into quality,
the arm's mean moved by how much the mean gap differs between the two labels, so that a policy can weigh
it against cost; for a pair that keeps the paper's order of queries, and its threshold is a value here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError, ConfigError, UnknownModel
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter, arm_means
from suffice.routers.logistic import Logistic
from suffice.types import FloatArray, Query

_PREFIX: Final = "logistic_"
Form = Literal["deterministic", "probabilistic", "transformed"]


class Hybrid(BaseRouter):
    """score = arm's mean + rise of the gap x (chance of no loss - its mean); the strongest has its mean."""

    name = "hybrid"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        form: Form = "transformed",
        strongest: str | None = None,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        form : of the label
        strongest : the arm that the others are held against; None is that of the highest mean quality,
            of equals the first by name
        seed : of the folds of the logistic regression
        """
        self.embedder = embedder
        self.form, self.strongest, self.seed = form, strongest, seed

    def _fit(self, outcomes: Outcomes) -> None:
        if self.form not in ("deterministic", "probabilistic", "transformed"):
            raise ConfigError(
                f"hybrid's form is {self.form!r}; deterministic, probabilistic or transformed is needed"
            )
        quality = np.asarray(outcomes.quality, np.float64)
        self.means_ = arm_means(quality)
        self.strong_ = self._strong(outcomes.arms)
        gaps = quality - quality[:, [self.strong_]]
        self.shifts_ = np.zeros(len(self.means_))
        if self.form == "transformed":
            self.shifts_ = np.array([best_shift(arm[~np.isnan(arm)]) for arm in gaps.T])
        if self.form == "probabilistic":
            labels = 1 - quality[:, [self.strong_]] * (1 - quality)
        else:
            labels = np.where(np.isnan(gaps), np.nan, gaps >= -self.shifts_)
        labels[:, self.strong_] = np.nan
        self.base_ = arm_means(labels)
        self.rises_ = _rises(labels, gaps)
        self.chances_: Logistic | None = None
        if not np.isnan(labels).all():
            table = Outcomes.from_arrays(outcomes.queries, outcomes.arms, labels)
            self.chances_ = self._learner().fit(table)

    def _learner(self) -> Logistic:
        return Logistic(embedder=self._feature_embedder(), seed=self.seed)

    def _strong(self, arms: Sequence[str]) -> int:
        if self.strongest is None:
            return min(range(len(arms)), key=lambda k: (-np.nan_to_num(self.means_[k], nan=-1.0), arms[k]))
        if self.strongest not in arms:
            raise UnknownModel(self.strongest, arms)
        return list(arms).index(self.strongest)

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        departures = np.zeros((len(queries), len(self.means_)))
        if self.chances_ is not None:
            chances = self.chances_.scores(queries)
            departures = np.nan_to_num((chances - self.base_) * self.rises_, nan=0.0)
        return self.means_ + departures

    def _evidence(self, query: Query) -> tuple[str, ...]:
        lines = [f"every arm is held against {self.arms_[self.strong_]}, by {self.form} labels"]
        if self.chances_ is not None:
            chances = self.chances_.scores([query])[0]
            known = [k for k in np.argsort(-np.nan_to_num(chances, nan=-1.0)) if not np.isnan(chances[k])]
            lines += [f"chance that {self.arms_[k]} is no worse: {chances[k]:.2f}" for k in known[:3]]
            lines += self.chances_.explain(query).evidence
        return tuple(lines)

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {
            "means": self.means_,
            "base": self.base_,
            "rises": self.rises_,
            "shifts": self.shifts_,
        }
        facts: dict[str, Any] = {"strong": self.strong_, "logistic": None}
        if self.chances_ is not None:
            own, facts["logistic"] = self.chances_._state()
            arrays |= {_PREFIX + name: array for name, array in own.items()}
        return arrays, facts

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        shape = (len(self.arms_),)
        self.means_, self.base_ = (arrays.take(name, "f", shape, finite=False) for name in ("means", "base"))
        self.rises_, self.shifts_ = (arrays.take(name, "f", shape) for name in ("rises", "shifts"))
        self.strong_ = int(facts["strong"])
        if not 0 <= self.strong_ < len(self.arms_):
            raise ArtefactError(f"the strongest arm is number {self.strong_} of {len(self.arms_)}")
        self.chances_ = None
        if facts["logistic"] is not None:
            self.chances_ = self._learner()
            self.chances_.arms_, self.chances_.n_train_ = self.arms_, self.n_train_
            self.chances_._restore(arrays.under(_PREFIX), facts["logistic"])


def best_shift(gaps: FloatArray) -> float:
    """t* >= 0 for which labels 1[H >= -t] differ most between queries: 2 p (1 - p) is greatest.

    Parameters
    ----------
    gaps : (n,), of known quality; none gives 0
    """
    if not len(gaps):
        return 0.0
    shifts = np.unique(np.append(np.maximum(-gaps, 0.0), 0.0))
    above = np.searchsorted(np.sort(gaps), -shifts, side="left")
    share = 1 - above / len(gaps)
    return float(shifts[np.argmax(2 * share * (1 - share))])


def _rises(labels: FloatArray, gaps: FloatArray) -> FloatArray:
    """(K,): the mean gap where a label is 1, less that where it is 0; 0 where either never occurs."""
    y, gap = np.nan_to_num(labels, nan=0.0), np.nan_to_num(gaps, nan=0.0)
    no = np.where(np.isnan(labels), 0.0, 1 - y)
    n_yes, n_no = y.sum(axis=0), no.sum(axis=0)
    means = [(w * gap).sum(axis=0) / np.maximum(n, 1e-9) for w, n in ((y, n_yes), (no, n_no))]
    return np.where((n_yes > 0) & (n_no > 0), means[0] - means[1], 0.0)
