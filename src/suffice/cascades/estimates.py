"""What cascade routing thinks of every arm: before any answer, and again after each.

A router's scores are set right by a straight line; readings of an answer (a scorer's, any confidence
signal's) become the probability that it is right; `beliefs` joins them with what the answers say; and what
comes out is calibrated once more, on recorded queries with arms drawn at random as asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np

from suffice.calibration import Calibrator, Identity, choose_calibrator, from_json
from suffice.cascades.beliefs import Belief, Beliefs
from suffice.confidence.combined import Combined
from suffice.errors import DataError
from suffice.types import FloatArray, IntArray

_CANDIDATES: Final = ("identity", "temperature", "platt", "beta")
_LEAST: Final = 40
"""Answers of an arm, right and wrong ones among them, to learn what its readings mean."""
_STEEPEST: Final = 1.5
_EDGE: Final = 0.01
_COUNTS: Final = 3
_MAX_COMBINED: Final = 6_000
_MAX_CALIBRATED: Final = 20_000


class Trial(NamedTuple):
    """One recorded query with some arms asked, and then some more."""

    row: int
    before: tuple[int, ...]
    added: tuple[int, ...]


class Line(NamedTuple):
    """A router's departures from its mean score of an arm, times one slope, on the arm's mean quality.

    Straight, by least squares: what decides between arms are differences of scores, which a curve on the
    logit bends (and a score of 0 or 1 wrecks).
    """

    slope: float
    scores: FloatArray
    """(M,) means."""
    quality: FloatArray
    """(M,) means."""

    @classmethod
    def fit(cls, scores: FloatArray, quality: FloatArray) -> Self:
        """From (n, M), NaN where unknown."""
        both = ~np.isnan(scores + quality)
        known = ~np.isnan(quality)
        means = np.where(known, quality, 0.0).sum(axis=0) / known.sum(axis=0)
        counts = np.maximum(both.sum(axis=0), 1)
        centre = np.where(both, scores, 0.0).sum(axis=0) / counts
        level = np.where(both, quality, 0.0).sum(axis=0) / counts
        x = np.where(both, scores - centre, 0.0)
        slope = float((x * np.where(both, quality - level, 0.0)).sum() / max((x**2).sum(), 1e-12))
        return cls(min(max(slope, 0.0), _STEEPEST), centre, means)

    def predict(self, scores: FloatArray) -> FloatArray:
        """(..., M) in [0, 1]."""
        away = np.where(np.isnan(scores), 0.0, scores - self.scores)
        return np.asarray(np.clip(self.quality + self.slope * away, _EDGE, 1 - _EDGE))


class Estimates:
    """Fitted by `fit`, kept as JSON values."""

    prior: Line
    evidence: list[Combined | None]
    beliefs: Beliefs
    asked: tuple[Calibrator, ...] = ()
    """Of the arms that have answered, by how many have: one, two, more."""
    unasked: tuple[Calibrator, ...] = ()

    @classmethod
    def fit(
        cls,
        scores: FloatArray,
        quality: FloatArray,
        readings: Mapping[str, FloatArray],
        keys: Sequence[Sequence[str]] | None,
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
        found.prior = Line.fit(scores, quality)
        prior = found.priors(scores)
        found.evidence = _evidence(prior, readings, quality, seed)
        found.beliefs = Beliefs.fit(prior, quality, keys)
        return found

    def priors(self, scores: FloatArray) -> FloatArray:
        """Calibrated scores, of the same shape (..., M); an unknown one is the arm's mean."""
        return self.prior.predict(scores)

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
        asked, place = list(arms), min(len(arms), _COUNTS) - 1
        found = self.unasked[place].predict(np.clip(raw, 0, 1))
        found[asked] = self.asked[place].predict(np.clip(raw[asked], 0, 1))
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "prior": {
                "slope": self.prior.slope,
                "scores": self.prior.scores.tolist(),
                "quality": self.prior.quality.tolist(),
            },
            "evidence": [None if one is None else one.to_json() for one in self.evidence],
            "beliefs": self.beliefs.facts(),
            "asked": [one.to_json() for one in self.asked],
            "unasked": [one.to_json() for one in self.unasked],
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """The reverse; raises what a damaged value breaks."""
        found = cls()
        line = facts["prior"]
        means = (np.array(line[name], np.float64) for name in ("scores", "quality"))
        found.prior = Line(float(line["slope"]), *means)
        found.asked, found.unasked = (
            tuple(from_json(one) for one in facts[name]) for name in ("asked", "unasked")
        )
        if not len(found.asked) == len(found.unasked) == _COUNTS:
            raise ValueError(f"{len(found.asked)} calibrators, expected {_COUNTS}")
        found.evidence = [None if one is None else Combined.from_json(one) for one in facts["evidence"]]
        found.beliefs = Beliefs(**facts["beliefs"])
        return found

    def calibrate(
        self,
        prior: FloatArray,
        evidence: FloatArray,
        quality: FloatArray,
        keys: Sequence[Sequence[str]],
        trials: Sequence[Trial],
        *,
        seed: int = 0,
    ) -> None:
        """What comes out of `after`, from trials on the rows it was fitted to."""
        asked: list[list[tuple[float, float]]] = [[] for _ in range(_COUNTS)]
        unasked: list[list[tuple[float, float]]] = [[] for _ in range(_COUNTS)]
        for row, before, added in trials:
            for arms in (before, (*before, *added)):
                if not arms:
                    continue
                raw = self.start(prior[row]).after(
                    arms, evidence[row, list(arms)].tolist(), [keys[row][arm] for arm in arms]
                )
                place = min(len(arms), _COUNTS) - 1
                for arm, pair in enumerate(zip(raw.tolist(), quality[row].tolist(), strict=True)):
                    (asked if arm in arms else unasked)[place].append(pair)
        self.asked, self.unasked = (
            tuple(_of_pairs(pairs, seed) for pairs in by_count) for by_count in (asked, unasked)
        )


def drawn(n: int, shortlist: Sequence[int], n_trials: int, seed: int) -> list[Trial]:
    """Trials at random from these arms: none to two asked before, one to three more."""
    rng = np.random.default_rng(seed)
    found = []
    for row in rng.integers(n, size=n_trials).tolist():
        n_before = min(int(rng.choice(3, p=(0.45, 0.35, 0.2))), len(shortlist) - 1)
        n_added = min(int(rng.integers(1, 4)), len(shortlist) - n_before)
        arms: IntArray = rng.permutation(np.array(shortlist))[: n_before + n_added]
        names = tuple(arms.tolist())
        found.append(Trial(row, names[:n_before], names[n_before:]))
    return found


def _calibrator(estimates: FloatArray, quality: FloatArray, seed: int) -> Calibrator:
    if not len(estimates):
        raise DataError("no graded answer to learn from")
    if len(estimates) > _MAX_CALIBRATED:
        kept = np.random.default_rng(seed).choice(len(estimates), _MAX_CALIBRATED, replace=False)
        estimates, quality = estimates[kept], quality[kept]
    correct = (quality >= 0.5).astype(np.float64)
    return choose_calibrator(np.clip(estimates, 0, 1), correct, candidates=_CANDIDATES, seed=seed)


def _of_pairs(pairs: Sequence[tuple[float, float]], seed: int) -> Calibrator:
    table = np.array([pair for pair in pairs if not np.isnan(pair[1])]).reshape(-1, 2)
    if not len(table):  # never that many arms, or none left over: it will not be used
        return Identity().fit([0.0, 1.0], [False, True])
    return _calibrator(table[:, 0], table[:, 1], seed)


def _evidence(
    prior: FloatArray, readings: Mapping[str, FloatArray], quality: FloatArray, seed: int
) -> list[Combined | None]:
    """By arm: what readings and score say together. One model for all, or one each, by queries left out.

    One for all is learnt from more; one each knows whose self-verification means something.
    """
    n_arms = quality.shape[1]
    if not readings:
        return [None] * n_arms
    half = np.random.default_rng(seed).permutation(len(quality)) % 2 == 0
    fits = (_together, _each)
    losses = []
    for fit in fits:
        models = fit(prior[half], {name: one[half] for name, one in readings.items()}, quality[half], seed)
        rest = {name: one[~half] for name, one in readings.items()}
        losses.append(_loss(models, prior[~half], rest, quality[~half]))
    return fits[int(np.argmin(losses))](prior, readings, quality, seed)


def _together(
    prior: FloatArray, readings: Mapping[str, FloatArray], quality: FloatArray, seed: int
) -> list[Combined | None]:
    places = np.arange(quality.size)
    if len(places) > _MAX_COMBINED:
        places = np.random.default_rng(seed).choice(len(places), _MAX_COMBINED, replace=False)
    columns = {name: one.ravel()[places] for name, one in {"score": prior, **readings}.items()}
    return [_combined(columns, quality.ravel()[places], seed)] * quality.shape[1]


def _each(
    prior: FloatArray, readings: Mapping[str, FloatArray], quality: FloatArray, seed: int
) -> list[Combined | None]:
    tables = {"score": prior, **readings}
    return [
        _combined({name: one[:, arm] for name, one in tables.items()}, quality[:, arm], seed)
        for arm in range(quality.shape[1])
    ]


def _combined(columns: Mapping[str, FloatArray], quality: FloatArray, seed: int) -> Combined | None:
    rows = ~np.isnan(quality)
    correct = quality[rows] >= 0.5
    if min(correct.sum(), (~correct).sum()) < _LEAST // 4 or len(correct) < _LEAST:
        return None
    return Combined(seed=seed).fit({name: one[rows] for name, one in columns.items()}, correct)


def _loss(
    models: Sequence[Combined | None],
    prior: FloatArray,
    readings: Mapping[str, FloatArray],
    quality: FloatArray,
) -> float:
    """Mean log loss of all arms' answers."""
    found = prior.copy()
    for arm, model in enumerate(models):
        if model is not None:
            columns = {name: one[:, arm] for name, one in readings.items()}
            found[:, arm] = model.predict({"score": prior[:, arm], **columns})
    found = np.clip(found, 1e-6, 1 - 1e-6)
    return -float(np.nanmean(quality * np.log(found) + (1 - quality) * np.log1p(-found)))
