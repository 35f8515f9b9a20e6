"""Cascade routing: which model to ask is decided before the first answer, and again after every one.

Plain routing (`max_asks=1`) and a plain cascade (`order=...`) are the same code with fewer sets to choose
from, so the three compare on equal terms.

References
----------
Dekoninck et al. (2025), A Unified Approach to Routing and Cascading for LLMs, arXiv 2410.10347, theorems
1 to 3 (optimal routing, cascading and cascade routing, a lot between two prices where a budget needs it).
Departures: estimates are re-made by Bayes' rule from readings and agreement (`beliefs`), errors are taken as
found (`supermodels`), and every set of up to `max_added` further arms is weighed rather than a greedy few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.cascades.answers import answer_key
from suffice.cascades.artefact import blamed, read_cascade, write_cascade
from suffice.cascades.base import Move, Seen, accept, ask, can_pay
from suffice.cascades.estimates import Estimates, drawn
from suffice.cascades.frugalgpt.scorer import AnswerScorer
from suffice.cascades.goal import Goal
from suffice.cascades.lookahead import Lookahead
from suffice.cascades.play import Played
from suffice.cascades.pricing import Prices, for_budget, lot_of
from suffice.cascades.recorded import Recorded
from suffice.cascades.sweeping import Rows, Sweep, learnt
from suffice.errors import ConfigError, DataError, NotFitted, UnknownName
from suffice.protocols import Embedder
from suffice.types import FloatArray, Query

_SCORER: Final = "scorer"


class CascadeRouting:
    """Asks on where the best set of further arms is worth its price; accepts the likeliest answer."""

    name: ClassVar[str] = "cascade_routing"
    arms: tuple[str, ...]
    signals: tuple[str, ...]

    def __init__(
        self,
        *,
        signals: Sequence[str] = (),
        order: Sequence[str] | None = None,
        max_asks: int = 4,
        max_added: int = 3,
        max_arms: int = 8,
        errors: Literal["empirical", "normal"] = "empirical",
        n_trials: int = 4000,
        seed: int = 0,
        embedder: Embedder | None = None,
    ) -> None:
        """
        Parameters
        ----------
        signals : confidence signals to read from every answer
        order : ask in this order only: a plain cascade
        max_asks : answers per query; 1 is plain routing
        max_added : size of the sets that are weighed
        max_arms : of which sets of several are made: those that plain routing asks most, over all prices
        errors : "empirical", or "normal" as published
        n_trials : draws of arms to ask, from which the errors are learnt
        embedder : for a scorer of answers, where texts were recorded; None does without
        """
        if min(max_asks, max_added, max_arms, n_trials) < 1:
            raise ConfigError(
                f"max_asks {max_asks}, max_added {max_added}, max_arms {max_arms}, "
                f"n_trials {n_trials}: at least 1"
            )
        if errors not in ("empirical", "normal"):
            raise ConfigError(f'errors is {errors!r}; "empirical" or "normal" is needed')
        self.signals = tuple(signals)
        self.order = None if order is None else tuple(order)
        self.max_asks, self.max_added, self.max_arms, self.errors = max_asks, max_added, max_arms, errors
        self.n_trials, self.embedder, self.seed = n_trials, embedder, seed
        self.arms = ()

    def fit(
        self,
        recorded: Recorded,
        scores: FloatArray | None = None,
        costs_usd: FloatArray | None = None,
        *,
        budget_usd: float | None = None,
        value_usd: float | None = None,
    ) -> Self:
        """Learn from recorded answers; queries without every arm's quality and cost are left out.

        Parameters
        ----------
        scores, costs_usd : shape (n, M)
            A router's scores and predicted costs, of queries that the router was not trained on. None: the
            arms' means.
        budget_usd : mean cost per query that is met on these rows
        value_usd : instead: what a fully right answer is worth

        Raises
        ------
        DataError
            If no query is left.
        UnknownName
            If a signal or an arm of `order` was not recorded.
        """
        goal = _given(budget_usd, value_usd)
        complete = ~np.isnan(recorded.quality + recorded.cost_usd).any(axis=1)
        table = recorded.select(complete)
        if not table.n_queries:
            raise DataError(f"no query has quality and cost of every arm ({', '.join(recorded.arms)})")
        scores, costs_usd = (None if one is None else one[complete] for one in (scores, costs_usd))
        readings = {name: table.signal(name) for name in self.signals}
        self.scorer_ = self._scorer(table)
        if self.scorer_ is not None:
            readings[_SCORER] = self.scorer_.held_out_
        reading_cost = sum(np.nanmean(table.reading_cost_usd[name], axis=0) for name in self.signals)
        self.reading_cost_ = np.broadcast_to(reading_cost, table.n_arms).astype(np.float64)
        self.mean_cost_ = table.cost_usd.mean(axis=0) + self.reading_cost_
        given = np.full(table.quality.shape, np.nan) if scores is None else scores
        keys = _keys(table)
        self.estimates_ = Estimates.fit(given, table.quality, readings, keys, seed=self.seed)
        self._fit_rows = rows = self._rows(table, given, costs_usd, readings, keys)
        shortlist = _shortlist(rows.prior, rows.costs, self.max_arms)
        trials = drawn(table.n_queries, shortlist, self.n_trials, self.seed)
        self.estimates_.calibrate(rows.prior, rows.evidence, rows.quality, rows.keys, trials, seed=self.seed)
        self.lookahead_ = learnt(
            self.estimates_,
            rows,
            trials,
            kind=self.errors,
            order=None if self.order is None else self._places(table),
            shortlist=shortlist,
            max_added=self.max_added,
            max_asks=self.max_asks,
        )
        self.arms = table.arms
        self._price(goal)
        return self

    def again(
        self,
        *,
        order: Sequence[str] | None = None,
        max_asks: int | None = None,
        budget_usd: float | None = None,
        value_usd: float | None = None,
    ) -> Self:
        """Another goal or other limits, with what was learnt from the same rows; not after `load`."""
        self._check_fitted()
        params = self._params() | {"order": order, "max_asks": max_asks or self.max_asks}
        other = type(self)(**params, embedder=self.embedder)
        for name in ("arms", "scorer_", "mean_cost_", "reading_cost_", "estimates_", "_fit_rows"):
            setattr(other, name, getattr(self, name))
        learnt_ = self.lookahead_
        places = None if order is None else [self.arms.index(name) for name in order]
        limits = {"max_added": other.max_added, "max_asks": other.max_asks}
        other.lookahead_ = Lookahead(
            learnt_.errors, learnt_.slopes, order=places, shortlist=learnt_.shortlist, **limits
        )
        other._price(_given(budget_usd, value_usd))
        return other

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        """See `Cascade.next`."""
        self._check_fitted()
        asked = [one.arm for one in seen]
        estimates = self._after(query, scores, seen)
        costs = np.where(np.isnan(costs_usd), self.mean_cost_, costs_usd + self.reading_cost_)
        price = self.prices_.of(lot_of(query, self.seed))
        best = max(range(len(seen)), key=lambda place: estimates[asked[place]], default=None)
        quality = None if best is None else float(estimates[asked[best]])
        usable = np.array([can_pay(query, costs, seen, arm) for arm in range(len(self.arms))])
        outlook = self.lookahead_.pruned(estimates, costs, asked, price, usable)
        arm = outlook.choice(price, quality)
        if arm is not None:
            return ask(arm, f"{self.arms[arm]} is worth its cost at {price:.4g} per USD")
        if best is None:  # something must be asked
            arm = int(costs.argmin()) if self.lookahead_.order is None else self.lookahead_.order[0]
            return ask(arm, f"{self.arms[arm]}, though it may cost more than is allowed")
        return accept(best, f"{self.arms[asked[best]]} is right with {quality:.3f}: no more is worth it")

    def sweep(
        self,
        recorded: Recorded,
        prices: Sequence[float],
        scores: FloatArray | None = None,
        costs_usd: FloatArray | None = None,
    ) -> list[Played]:
        """What `play` gives at each of these prices (1 / value_usd), at once; without queries' own limits."""
        self._check_fitted()
        table = recorded.select(arms=self.arms)
        given = np.full(table.quality.shape, np.nan) if scores is None else scores
        readings = {name: table.signal(name) for name in self.signals}
        if self.scorer_ is not None:
            texts = [query.text for query in table.queries]
            readings[_SCORER] = self.scorer_.scores(texts, _responses(table))
        rows = self._rows(table, given, costs_usd, readings, _keys(table))
        return Sweep(self.estimates_, self.lookahead_, rows).at(prices)

    def save(self, directory: Path) -> None:
        self._check_fitted()
        arrays: dict[str, NDArray[Any]] = {
            "mean_cost": self.mean_cost_,
            "reading_cost": self.reading_cost_,
        }
        facts: dict[str, Any] = {
            "params": self._params(),
            "arms": self.arms,
            "prices": msgspec.to_builtins(self.prices_),
            "estimates": self.estimates_.to_json(),
            "lookahead": self.lookahead_.facts(),
            "scorer": None,
        }
        if self.scorer_ is not None:
            own, facts["scorer"] = self.scorer_.state()
            arrays |= own
        write_cascade(directory, self.name, facts, arrays)

    @classmethod
    def load(cls, directory: Path, *, embedder: Embedder | None = None) -> Self:
        """As saved; with a scorer of answers it needs the embedder that it was fitted with.

        Raises
        ------
        ArtefactError
            If it is missing, damaged, of another version or needs another embedder.
        """
        facts, arrays = read_cascade(directory, cls.name)
        with blamed(directory, cls.name):
            found = cls(**facts["params"], embedder=embedder)
            found.arms = msgspec.convert(facts["arms"], tuple[str, ...])
            found.prices_ = msgspec.convert(facts["prices"], Prices)
            found.estimates_ = Estimates.from_json(facts["estimates"])
            found.lookahead_ = Lookahead.of_facts(facts["lookahead"])
            for name in ("mean_cost", "reading_cost"):
                array = np.asarray(arrays[name], np.float64)
                if array.shape != (len(found.arms),) or len(found.estimates_.evidence) != len(found.arms):
                    raise ValueError(f"{len(found.arms)} arms do not fit what was learnt")
                setattr(found, f"{name}_", array)
            found.scorer_ = None
            if facts["scorer"] is not None:
                found.scorer_ = AnswerScorer(embedder, seed=found.seed).restore(arrays, facts["scorer"])
        return found

    def _scorer(self, table: Recorded) -> AnswerScorer | None:
        if self.embedder is None or table.responses is None or self.max_asks == 1:
            return None
        texts = [query.text for query in table.queries]
        return AnswerScorer(self.embedder, seed=self.seed).fit(
            texts, table.arms, table.responses, table.quality
        )

    def _rows(
        self,
        table: Recorded,
        scores: FloatArray,
        costs_usd: FloatArray | None,
        readings: Mapping[str, FloatArray],
        keys: Sequence[Sequence[str]] | None,
    ) -> Rows:
        prior = self.estimates_.priors(scores)
        costs = np.full(prior.shape, np.nan) if costs_usd is None else costs_usd
        return Rows(
            prior=prior,
            evidence=self.estimates_.evidences(prior, readings),
            keys=keys or [[""] * table.n_arms] * table.n_queries,
            costs=np.where(np.isnan(costs), self.mean_cost_, costs + self.reading_cost_),
            quality=table.quality,
            paid=table.cost_usd + sum(table.reading_cost_usd[name] for name in self.signals),
            latency=table.latency_s + sum(table.reading_latency_s[name] for name in self.signals),
        )

    def _after(self, query: Query, scores: FloatArray, seen: Sequence[Seen]) -> FloatArray:
        """(M,) estimates."""
        prior = self.estimates_.priors(np.asarray(scores, np.float64))
        evidence = []
        for one in seen:
            given = {name: one.readings.get(name) for name in self.signals}
            if self.scorer_ is not None:
                given[_SCORER] = self.scorer_.score(query.text, one.arm, one.text)
            columns = {name: np.array([np.nan if value is None else value]) for name, value in given.items()}
            evidence += self.estimates_.evidence_of(one.arm, prior[[one.arm]], columns).tolist()
        keys = [answer_key(one.text) for one in seen]
        belief = self.estimates_.start(prior)
        return self.estimates_.after(belief, [one.arm for one in seen], evidence, keys)

    def _price(self, goal: Goal) -> None:
        if goal.budget_usd is not None:
            sweep = Sweep(self.estimates_, self.lookahead_, self._fit_rows)
            self.prices_ = for_budget(
                lambda prices: np.array([one.cost_usd.mean() for one in sweep.at(prices)]), goal.budget_usd
            )
        else:
            self.prices_ = Prices.single(1 / goal.value_usd if goal.value_usd else math.inf)

    def _places(self, table: Recorded) -> list[int]:
        assert self.order is not None
        for name in self.order:
            if name not in table.arms:
                raise UnknownName("arm", name, table.arms)
        return [table.arms.index(name) for name in self.order]

    def _params(self) -> dict[str, Any]:
        names = ("signals", "order", "max_asks", "max_added", "max_arms", "errors", "n_trials", "seed")
        return {name: getattr(self, name) for name in names}

    def _check_fitted(self) -> None:
        if not self.arms:
            raise NotFitted(f"the cascade {self.name!r}")


def _given(budget_usd: float | None, value_usd: float | None) -> Goal:
    goal = Goal(budget_usd, value_usd)
    if not goal.is_given:
        raise ConfigError("cascade_routing is fitted for a budget_usd or a value_usd: give one")
    return goal


def _shortlist(prior: FloatArray, costs: FloatArray, most: int) -> list[int]:
    """The arms that plain routing asks most, over all prices; the order of the arms breaks ties."""
    counts = np.zeros(prior.shape[1])
    for price in np.geomspace(1.0, 1e6, 48):
        counts += np.bincount((prior - price * costs).argmax(axis=1), minlength=len(counts))
    return sorted(np.argsort(-counts, kind="stable")[:most].tolist())


def _keys(table: Recorded) -> list[list[str]] | None:
    """What every answer says; None where nobody kept the texts."""
    if table.responses is None:
        return None
    return [[answer_key(text or "") for text in row] for row in table.responses]


def _responses(table: Recorded) -> NDArray[np.object_]:
    if table.responses is None:
        return np.full(table.quality.shape, None, dtype=object)
    return table.responses
