"""Ask, look at what was said, and look things up as long as that is expected to pay.

Any strategy may come first, and the simpler ones after each other: memory, one look-up, several. After
every answer the gate predicts what each further strategy would gain over stopping, from a router's scores,
from how the answers look (refusals, length) and from how far they agree, and goes on with the best while it
gains more than it costs. In the end the answer most likely to be right is given, whichever that is.

References
----------
The question of Jeong et al. (2024), Adaptive-RAG, and of Moskvoretskii et al. (2025), AdaRAGUE, solved as
optimal stopping by least squares: Longstaff and Schwartz (2001), Valuing American options by simulation,
section 1: backward from the last strategy, with values as they came out and decisions by regression.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from suffice.cascades import Move, Seen, accept, ask
from suffice.errors import ConfigError, DataError
from suffice.gating.base import BaseGate, Pay, Walked
from suffice.gating.looks import N_LOOKS, N_PAIRS, looks, pair, stacked, words
from suffice.gating.ridges import Linear, Ridges
from suffice.gating.table import Strategies
from suffice.types import FloatArray, Query

State = tuple[int, ...]
"""The strategies whose answers are there, in order."""
_FAR: Final = 4.0
"""Log odds of scores are kept within."""


class _Views(NamedTuple):
    """What a state is judged by."""

    quality: Linear
    """Of every strategy's answer (S)."""
    gain: Linear | None
    """Of each later strategy over stopping; None where there is none."""


class Learner:
    """Features and factorised regressions of one table, for any number of prices."""

    def __init__(
        self, table: Strategies, scores: FloatArray, *, penalty: float, n_folds: int, seed: int
    ) -> None:
        odds = _log_odds(scores)
        self.center, self.scale = odds.mean(axis=0), np.maximum(odds.std(axis=0), 1e-9)
        self.table = table
        folds = np.random.default_rng(seed).permutation(table.n_queries) % min(n_folds, table.n_queries)
        self.features = features_of(table, (odds - self.center) / self.scale)
        self.ridges = {state: Ridges(rows, folds, penalty) for state, rows in self.features.items()}
        each, self.given = np.arange(table.n_queries), {}
        self.quality = {state: ridges.solve(table.quality) for state, ridges in self.ridges.items()}
        for state, ridges in self.ridges.items():
            if state:
                best = ridges.out_of_fold(table.quality)[:, state].argmax(axis=1)
                self.given[state] = table.quality[each, np.array(state)[best]]

    def views(self, pay: Pay) -> dict[State, _Views]:
        """Backward from all answers to none."""
        cost, each = pay.of(self.table), np.arange(self.table.n_queries)
        values: dict[State, FloatArray] = {}
        found: dict[State, _Views] = {}
        for state in sorted(self.ridges, key=len, reverse=True):
            later = _later(state, len(self.table.arms))
            stop = self.given.get(state, np.zeros(len(each)))
            if not later:
                values[state], found[state] = stop, _Views(self.quality[state], None)
                continue
            going = np.column_stack([values[(*state, arm)] - cost[:, arm] for arm in later])
            gains = going - stop[:, None]
            expected = self.ridges[state].out_of_fold(gains)
            if state:
                going, expected = np.column_stack([stop, going]), np.column_stack([0 * stop, expected])
            values[state] = going[each, expected.argmax(axis=1)]
            found[state] = _Views(self.quality[state], self.ridges[state].solve(gains))
        return found


class Stepwise(BaseGate):
    """The value of going on by regression, strategy after strategy."""

    name = "stepwise"
    looks_at_answers = True
    gives_after = None

    def __init__(self, *, penalty: float = 100.0, n_folds: int = 5, seed: int = 0) -> None:
        """
        Parameters
        ----------
        penalty : of the regressions, on standardised features
        n_folds : decisions in the fit are made by regressions that did not see the query

        Raises
        ------
        ConfigError
            If one of them is out of range.
        """
        if penalty <= 0 or n_folds < 2:
            raise ConfigError(
                f"stepwise with penalty {penalty}, n_folds {n_folds}; above 0 and at least 2 are needed"
            )
        self.penalty, self.n_folds, self.seed = penalty, n_folds, seed

    def learner(self, table: Strategies, scores: FloatArray) -> Learner:
        """For fits at many prices; raises DataError where answers were not kept or there are too few."""
        if table.responses is None:
            raise DataError("stepwise looks at the answers, and the data have none: give `response`")
        if table.n_queries < 2 * self.n_folds:
            raise DataError(f"{table.n_queries} queries; stepwise needs at least {2 * self.n_folds}")
        return Learner(table, scores, penalty=self.penalty, n_folds=self.n_folds, seed=self.seed)

    def _fit(self, table: Strategies, scores: FloatArray, pay: Pay) -> None:
        self.use(self.learner(table, scores), pay)

    def use(self, learner: Learner, pay: Pay) -> Self:
        """Fit at this price what was learnt before."""
        table = learner.table
        self.arms, self.pay_ = table.arms, pay
        self.calls_ = np.stack([table.retrieval_calls.mean(axis=0), table.lm_calls.mean(axis=0)])
        self.center_, self.scale_ = learner.center, learner.scale
        self.views_ = learner.views(pay)
        return self

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        """On with the strategy that gains most, or the likeliest answer."""
        state = tuple(one.arm for one in seen)
        if state not in self.views_:
            return accept(len(seen) - 1, "nothing is known after these answers")
        said = {one.arm: words(one.text) for one in seen}
        row = _row(self._standard(np.asarray(scores, np.float64)[None]), state, [said], [words(query.text)])
        arm, gain = self._step(state, row)
        if int(arm[0]) < 0:
            place = int(self._likeliest(state, row)[0])
            return accept(place, f"no further strategy pays; {self.arms[state[place]]} is likeliest right")
        return ask(int(arm[0]), f"{self.arms[int(arm[0])]} gains {float(gain[0]):+.3f}, calls counted")

    def walk(self, table: Strategies, scores: FloatArray) -> Walked:
        """All queries at once, the same as through `next`."""
        if table.responses is None:
            raise DataError("stepwise looks at the answers, and the data have none: give `response`")
        features = features_of(table, self._standard(self._given(table, scores)))
        ran = np.zeros(table.quality.shape, bool)
        arm = np.zeros(table.n_queries, np.intp)
        here: dict[State, NDArray[np.intp]] = {(): np.arange(table.n_queries)}
        for state in sorted(self.views_, key=len):
            rows = here.get(state, np.zeros(0, np.intp))
            if not len(rows):
                continue
            chosen, _ = self._step(state, features[state][rows])
            done = rows[chosen < 0]
            if len(done):
                arm[done] = np.array(state)[self._likeliest(state, features[state][done])]
            for going in sorted(set(chosen[chosen >= 0].tolist())):
                there = rows[chosen == going]
                ran[there, going] = True
                here[(*state, going)] = there
        return Walked.of(table, arm, ran)

    def needs_retrieval(self, table: Strategies, scores: FloatArray) -> FloatArray:
        """By the closed-book answer: how unlikely it is to be right."""
        features = features_of(table, self._standard(self._given(table, scores)), only=(0,))
        return 1.0 - self.views_[(0,)].quality(features[(0,)])[:, 0]

    def _standard(self, scores: FloatArray) -> FloatArray:
        return np.asarray((_log_odds(scores) - self.center_) / self.scale_)

    def _step(self, state: State, rows: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
        """(n,) the next strategy, or -1 to stop, and what it gains."""
        view = self.views_[state]
        if view.gain is None:
            return np.full(len(rows), -1), np.zeros(len(rows))
        gains = view.gain(rows)
        best, each = gains.argmax(axis=1), np.arange(len(rows))
        arms = np.array(_later(state, len(self.arms)))[best]
        return np.where((gains[each, best] > 0) | (not state), arms, -1), gains[each, best]

    def _likeliest(self, state: State, rows: FloatArray) -> NDArray[np.intp]:
        """(n,) position in the state."""
        return np.asarray(self.views_[state].quality(rows)[:, state].argmax(axis=1))

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        arrays: dict[str, NDArray[Any]] = {"center": self.center_, "scale": self.scale_}
        for state, view in self.views_.items():
            for what, linear in zip(_Views._fields, view, strict=True):
                if linear is not None:
                    arrays |= {f"{_key(state)}.{what}.{part}": one for part, one in linear._asdict().items()}
        params = {"penalty": self.penalty, "n_folds": self.n_folds, "seed": self.seed}
        return {"params": params}, arrays

    def _restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        n_arms = len(self.arms)
        self.center_, self.scale_ = arrays["center"], arrays["scale"]
        self.views_ = {}
        for state in _states(n_arms):
            views: list[Any] = []
            for what in _Views._fields:
                if what == "gain" and not _later(state, n_arms):
                    views.append(None)
                    continue
                found = Linear(*(arrays[f"{_key(state)}.{what}.{part}"] for part in Linear._fields))
                _check(
                    found, _width(state, n_arms), n_arms if what == "quality" else len(_later(state, n_arms))
                )
                views.append(found)
            self.views_[state] = _Views(*views)


def features_of(table: Strategies, odds: FloatArray, only: State | None = None) -> dict[State, FloatArray]:
    """(n, d) of every state, or of one, from standardised log odds of scores (n, S)."""
    asked = [words(text) for text in table.texts]
    said = [
        {arm: words(table.answer(row, arm)) for arm in range(len(table.arms))}
        for row in range(table.n_queries)
    ]
    wanted = _states(len(table.arms)) if only is None else [only]
    return {state: _row(odds, state, said, asked) for state in wanted}


def _row(
    odds: FloatArray,
    state: State,
    said: Sequence[Mapping[int, Sequence[str]]],
    asked: Sequence[Sequence[str]],
) -> FloatArray:
    """Scores and their products, looks and agreement, and the products of both."""
    n_arms = odds.shape[1]
    upper = np.triu_indices(n_arms)
    own = [
        [
            *itertools.chain.from_iterable(looks(one[arm], question) for arm in state),
            *itertools.chain.from_iterable(pair(one[a], one[b]) for a, b in itertools.combinations(state, 2)),
        ]
        for one, question in zip(said, asked, strict=True)
    ]
    seen = stacked(own, _n_seen(state))
    crossed = (seen[:, :, None] * odds[:, None, :]).reshape(len(odds), -1)
    return np.hstack([odds, odds[:, upper[0]] * odds[:, upper[1]], seen, crossed])


def _n_seen(state: State) -> int:
    return N_LOOKS * len(state) + N_PAIRS * (len(state) * (len(state) - 1) // 2)


def _width(state: State, n_arms: int) -> int:
    return n_arms + n_arms * (n_arms + 1) // 2 + _n_seen(state) * (1 + n_arms)


def _states(n_arms: int) -> list[State]:
    return [state for size in range(n_arms + 1) for state in itertools.combinations(range(n_arms), size)]


def _later(state: State, n_arms: int) -> range:
    """Only strategies that look up more come after."""
    return range(state[-1] + 1 if state else 0, n_arms)


def _log_odds(scores: FloatArray) -> FloatArray:
    """Unknown is even odds."""
    chance = np.clip(np.nan_to_num(scores, nan=0.5), 1e-6, 1 - 1e-6)
    return np.clip(np.log(chance / (1 - chance)), -_FAR, _FAR)


def _key(state: State) -> str:
    return "".join(map(str, state)) or "start"


def _check(found: Linear, width: int, n_targets: int) -> None:
    if found.weights.shape != (width, n_targets) or found.center.shape != (width,):
        raise ConfigError(f"weights {found.weights.shape} where ({width}, {n_targets}) belong")
