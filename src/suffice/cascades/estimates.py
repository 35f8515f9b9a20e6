"""What cascade routing thinks of every arm: before any answer, and again after each.

A router's scores are calibrated; readings of an answer (a scorer's, any confidence signal's) become the
probability that it is right; `beliefs` joins them with what the answers say; and what comes out is calibrated
once more, on recorded queries with arms drawn at random as asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np

from suffice.calibration import Calibrator, choose_calibrator, from_json
from suffice.cascades.beliefs import Belief, Beliefs
from suffice.confidence.combined import Combined
from suffice.errors import DataError
from suffice.types import FloatArray, IntArray

_CANDIDATES: Final = ("identity", "temperature", "platt", "beta")
_LEAST: Final = 40
"""Answers of an arm, right and wrong ones among them, to learn what its readings mean."""
_MAX_CALIBRATED: Final = 20_000


class Trial(NamedTuple):
    """One recorded query with some arms asked, and then some more."""

    row: int
    before: tuple[int, ...]
    added: tuple[int, ...]


class Estimates:
    """Fitted by `fit`, kept as JSON values."""

    arms_mean: FloatArray
    prior: Calibrator
    evidence: list[Combined | None]
    beliefs: Beliefs
    asked: Calibrator | None = None
    unasked: Calibrator | None = None

    @classmethod
    def fit(
        cls,
        scores: FloatArray,
        quality: FloatArray,
        readings: Mapping[str, FloatArray],
        keys: Sequence[Sequence[str]] | None,
        trials: Sequence[Trial],
        *,
        seed: int = 0,
    ) -> Self:
        """From recorded answers (n, M) to queries that neither router nor scorer was trained on.

        Parameters
        ----------
        scores : a router's, NaN where unknown
        quality : in [0, 1] or NaN
        readings : by name, NaN where missing
        keys : (n, M) what each answer says; None where no texts are there
        """
        found = cls()
        is_known = ~np.isnan(quality)
        counts = is_known.sum(axis=0)
        if not counts.all():
            raise DataError("an arm has no graded answer: leave it out")
        found.arms_mean = np.where(is_known, quality, 0.0).sum(axis=0) / counts
        cells = is_known & ~np.isnan(scores)
        found.prior = _calibrator(scores[cells], quality[cells], seed)
        prior = found.priors(scores)
        found.evidence = [
            _evidence(prior[:, arm], {name: table[:, arm] for name, table in readings.items()}, one, seed)
            for arm, one in enumerate(quality.T)
        ]
        found.beliefs = Beliefs.fit(prior, quality, keys)
        found._calibrate(prior, found.evidences(prior, readings), quality, keys, trials, seed)
        return found

    def priors(self, scores: FloatArray) -> FloatArray:
        """Calibrated scores, of the same shape (..., M); an unknown one is the arm's mean."""
        known = ~np.isnan(scores)
        found = np.broadcast_to(self.arms_mean, scores.shape).copy()
        if known.any():
            found[known] = self.prior.predict(np.clip(scores[known], 0, 1))
        return found

    def evidences(self, prior: FloatArray, readings: Mapping[str, FloatArray]) -> FloatArray:
        """(n, M): how likely each answer is right by its readings; the prior where they say nothing."""
        columns = [
            self.evidence_of(arm, prior[:, arm], {name: table[:, arm] for name, table in readings.items()})
            for arm in range(prior.shape[1])
        ]
        return np.column_stack(columns)

    def evidence_of(self, arm: int, prior: FloatArray, readings: Mapping[str, FloatArray]) -> FloatArray:
        """(n,): of answers of one arm."""
        model = self.evidence[arm]
        return prior if model is None else model.predict({"score": prior, **readings})

    def start(self, prior: FloatArray) -> Belief:
        """Of one query (M,)."""
        return self.beliefs.at(prior)

    def after(
        self, belief: Belief, arms: Sequence[int], evidence: Sequence[float], keys: Sequence[str]
    ) -> FloatArray:
        """(M,): every arm's estimate once these have answered."""
        if not len(arms):
            return belief.prior
        raw = belief.after(arms, evidence, keys)
        if self.asked is None or self.unasked is None:
            return raw
        found = self.unasked.predict(np.clip(raw, 0, 1))
        asked = list(arms)
        found[asked] = self.asked.predict(np.clip(raw[asked], 0, 1))
        return found

    def to_json(self) -> dict[str, Any]:
        assert self.asked is not None and self.unasked is not None
        return {
            "arms_mean": self.arms_mean.tolist(),
            "prior": self.prior.to_json(),
            "evidence": [None if one is None else one.to_json() for one in self.evidence],
            "beliefs": self.beliefs.facts(),
            "asked": self.asked.to_json(),
            "unasked": self.unasked.to_json(),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """The reverse; raises what a damaged value breaks."""
        found = cls()
        found.arms_mean = np.array(facts["arms_mean"], np.float64)
        found.prior, found.asked, found.unasked = (
            from_json(facts[name]) for name in ("prior", "asked", "unasked")
        )
        found.evidence = [None if one is None else Combined.from_json(one) for one in facts["evidence"]]
        found.beliefs = Beliefs(**facts["beliefs"])
        return found

    def _calibrate(
        self,
        prior: FloatArray,
        evidence: FloatArray,
        quality: FloatArray,
        keys: Sequence[Sequence[str]] | None,
        trials: Sequence[Trial],
        seed: int,
    ) -> None:
        asked: list[tuple[float, float]] = []
        unasked: list[tuple[float, float]] = []
        for row, before, added in trials:
            arms = (*before, *added)
            said = [""] * len(arms) if keys is None else [keys[row][arm] for arm in arms]
            raw = self.start(prior[row]).after(arms, evidence[row, list(arms)].tolist(), said)
            for arm, (estimate, truth) in enumerate(zip(raw.tolist(), quality[row].tolist(), strict=True)):
                (asked if arm in arms else unasked).append((estimate, truth))
        self.asked, self.unasked = (_of_pairs(pairs, seed) for pairs in (asked, unasked))


def drawn(n: int, n_arms: int, n_trials: int, seed: int) -> list[Trial]:
    """Trials at random: none to two arms asked before, one or two more."""
    rng = np.random.default_rng(seed)
    found = []
    for row in rng.integers(n, size=n_trials).tolist():
        n_before = min(int(rng.choice(3, p=(0.45, 0.35, 0.2))), n_arms - 1)
        n_added = min(int(rng.integers(1, 3)), n_arms - n_before)
        arms: IntArray = rng.permutation(n_arms)[: n_before + n_added]
        names = tuple(arms.tolist())
        found.append(Trial(row, names[:n_before], names[n_before:]))
    return found


def _calibrator(estimates: FloatArray, quality: FloatArray, seed: int) -> Calibrator:
    if not len(estimates):
        raise DataError("no score of a graded answer is known: give the scores of a router")
    if len(estimates) > _MAX_CALIBRATED:
        kept = np.random.default_rng(seed).choice(len(estimates), _MAX_CALIBRATED, replace=False)
        estimates, quality = estimates[kept], quality[kept]
    correct = (quality >= 0.5).astype(np.float64)
    return choose_calibrator(np.clip(estimates, 0, 1), correct, candidates=_CANDIDATES, seed=seed)


def _of_pairs(pairs: Sequence[tuple[float, float]], seed: int) -> Calibrator:
    table = np.array([pair for pair in pairs if not np.isnan(pair[1])]).reshape(-1, 2)
    if not len(table):  # every arm is always asked: nothing to learn, nothing to use it for
        table = np.array([[0.0, 0.0], [1.0, 1.0]])
    return _calibrator(table[:, 0], table[:, 1], seed)


def _evidence(
    prior: FloatArray, readings: Mapping[str, FloatArray], quality: FloatArray, seed: int
) -> Combined | None:
    if not readings:
        return None
    rows = ~np.isnan(quality)
    correct = quality[rows] >= 0.5
    if min(correct.sum(), (~correct).sum()) < _LEAST // 4 or len(correct) < _LEAST:
        return None
    return Combined(seed=seed).fit(
        {"score": prior[rows], **{name: one[rows] for name, one in readings.items()}}, correct
    )
