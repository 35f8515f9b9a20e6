"""Plans that are chosen like models: each is an arm with a quality and a cost, and a router picks per query.

References
----------
Ding et al. (2025), BEST-Route, arXiv 2506.22716: (model, n) pairs as candidates. Departure: of n answers the
commonest is given, which needs no reward model. Wang et al. (2024), Mixture-of-Agents, and the vote of
Wang et al. (2023), Self-Consistency, over several models' answers: what recorded answers tell of mixtures.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from suffice import routers
from suffice.cascades import Recorded
from suffice.cascades.answers import answer_key
from suffice.evaluation.cascading import Curve, scored
from suffice.evaluation.fitting import fitted
from suffice.evaluation.planned.chains import Halves
from suffice.evaluation.planned.data import PlanData, Sample
from suffice.evaluation.planned.ways import CannotRun, Spent, Way
from suffice.evaluation.sweep import VALUES_USD, choices
from suffice.outcomes import Outcomes
from suffice.types import FloatArray, IntArray

N_SAMPLES: Final = (3, 5, 10, 20)
SIZES: Final = (3, 5)
"""Of mixtures."""
N_MEMBERS: Final = 6
"""Models that mixtures are made of."""


class Arms(NamedTuple):
    """Plans on n queries; (n, A) each."""

    names: tuple[str, ...]
    quality: FloatArray
    cost_usd: FloatArray
    n_answers: FloatArray
    n_tokens: FloatArray
    latency_s: FloatArray

    def beside(self, other: Arms) -> Arms:
        """Both, these first."""
        both = (np.hstack(pair) for pair in zip(self[1:], other[1:], strict=True))
        return Arms(self.names + other.names, *both)


def singles(data: PlanData) -> Arms:
    """Every model asked once."""
    table = data.recorded
    ones = np.ones(table.quality.shape)
    return Arms(table.arms, table.quality, table.cost_usd, ones, data.n_tokens, table.latency_s)


def best_of(name: str, halves: Halves) -> Way:
    """Every model once, or the commonest of n samples of it: a router picks model and n.

    All n are asked at once and paid.
    """
    models = [
        model
        for model in halves.train.recorded.arms
        if all(len(_drawn(data, model)[0]) for data in (halves.train, halves.test))
    ]
    if not models:
        raise CannotRun(
            "it votes on samples: every query of a model needs at least 3 rows whose strategy is `sample`, "
            "with response, score and cost"
        )
    tables = []
    for data in (halves.train, halves.test):
        found = singles(data)
        for model in models:
            found = found.beside(sampled(model, _drawn(data, model)))
        tables.append(found)
    common = [one for one in tables[0].names if one in tables[1].names]
    return routed(halves, *(_only(table, common) for table in tables))


def sampled(model: str, drawn: Sequence[Sequence[Sample]]) -> Arms:
    """The commonest of the first n samples, for every n that all queries have."""
    most = min(map(len, drawn))
    sizes = [n for n in N_SAMPLES if n <= most]
    cells = np.array([[voted_sample(rows[:n]) for n in sizes] for rows in drawn])  # (n_queries, n_sizes, 4)
    names = tuple(f"{model} x {n}" for n in sizes)
    counts = np.tile(np.array(sizes, np.float64), (len(drawn), 1))
    quality, cost, tokens, latency = (cells[:, :, k] for k in range(4))
    return Arms(names, quality, cost, counts, tokens, latency)


def voted_sample(rows: Sequence[Sample]) -> tuple[float, float, float, float]:
    """Quality of the commonest (of equals the first), cost and tokens of all, time of the slowest."""
    votes = Counter(row.key for row in rows if row.key)
    said = votes.most_common(1)[0][0] if votes else rows[0].key
    chosen = next(row for row in rows if row.key == said)
    cost, tokens = sum(row.cost_usd for row in rows), sum(row.n_tokens for row in rows)
    return chosen.quality, cost, tokens, max(row.latency_s for row in rows)


def _drawn(data: PlanData, model: str) -> list[Sequence[Sample]]:
    """By query; one empty list where some query has too few, or one whose score or cost is not known."""
    found = [data.samples.get((query.id or "", model), ()) for query in data.recorded.queries]
    is_whole = all(len(rows) >= N_SAMPLES[0] for rows in found) and not any(
        np.isnan(row.quality + row.cost_usd) for rows in found for row in rows
    )
    return list(found) if is_whole else [()]


def mixture(name: str, halves: Halves) -> Way:
    """Every model alone, or a vote of 3 or 5 of the strongest and most frugal ones: a router picks."""
    if not halves.has_texts:
        raise CannotRun("it votes on answers: the file needs a column `response`")
    members = shortlist(halves)
    sets = [chosen for size in SIZES for chosen in itertools.combinations(members, size)]
    if not sets:
        raise CannotRun(f"a vote needs at least {SIZES[0]} models")
    tables = [singles(data).beside(votes(data, sets)) for data in (halves.train, halves.test)]
    return routed(halves, *tables)


def shortlist(halves: Halves) -> tuple[str, ...]:
    """Models of the hull on the training queries, then the best of the others; the best first."""
    table = halves.train.recorded
    by_quality = [table.arms[arm] for arm in np.argsort(-table.quality.mean(axis=0), kind="stable")]
    on_hull = halves.chain
    rest = [arm for arm in by_quality if arm not in on_hull]
    kept = {*on_hull, *rest[: max(0, N_MEMBERS - len(on_hull))]}
    return tuple(arm for arm in by_quality if arm in kept)


def votes(data: PlanData, sets: Sequence[Sequence[str]]) -> Arms:
    """The answer that most of a set give; of equals that of its first, who aggregates. All are paid."""
    table = data.recorded
    assert table.responses is not None
    places = [[table.arms.index(name) for name in chosen] for chosen in sets]
    keys = [[answer_key(text or "") for text in row] for row in table.responses]
    chosen = np.array([[elected(row, members) for members in places] for row in keys])  # (n, A)
    each = np.arange(table.n_queries)[:, None]

    def summed(values: FloatArray) -> FloatArray:
        return np.stack([values[:, members].sum(axis=1) for members in places], axis=1)

    return Arms(
        tuple(" + ".join(chosen) for chosen in sets),
        table.quality[each, chosen],
        summed(table.cost_usd),
        summed(np.ones(table.quality.shape)),
        summed(data.n_tokens),
        np.stack([table.latency_s[:, members].max(axis=1) for members in places], axis=1),
    )


def elected(keys: Sequence[str], members: Sequence[int]) -> int:
    """The first member that says what most say; an answer without a key has no vote."""
    counts = Counter(keys[member] for member in members if keys[member])
    if not counts:
        return members[0]
    most = max(counts.values())
    return next(member for member in members if counts[keys[member]] == most)


def routed(halves: Halves, train: Arms, test: Arms) -> Way:
    """A router and a cost model over the arms, learnt from training queries, at every value."""
    before, after = _outcomes(train, halves.train.recorded), _outcomes(test, halves.test.recorded)
    router, _ = fitted(halves.router, before, embedder=halves.embedder, seed=halves.seed)
    found = scored(router, routers.fit_cost_model(before), after)
    values = np.array([*VALUES_USD, halves.value_usd])
    chosen = choices(found.scores, found.costs_usd, values, test.names)
    quality, cost = (_picked(values, chosen) for values in (test.quality, test.cost_usd))
    last = chosen[-1]
    spent = Spent(
        np.zeros(len(last)),
        _picked(test.n_answers, last),
        np.zeros(len(last)),
        _picked(test.n_tokens, last),
        _picked(test.latency_s, last),
    )
    return Way(Curve(quality, cost), quality[-1], cost[-1], spent, halves.test.recorded.arms)


def _picked(values: FloatArray, chosen: IntArray) -> FloatArray:
    return np.asarray(values[np.arange(len(values)), chosen])


def _outcomes(arms: Arms, recorded: Recorded) -> Outcomes:
    return Outcomes.from_arrays(recorded.queries, arms.names, arms.quality, cost_usd=arms.cost_usd)


def _only(arms: Arms, names: Sequence[str]) -> Arms:
    places = [arms.names.index(name) for name in names]
    return Arms(tuple(names), *(table[:, places] for table in arms[1:]))
