"""Out of distribution: every task (or source) left out of training in turn, and tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import DataError
from suffice.evaluation.details import LeaveOut, LeftOut
from suffice.evaluation.figures import Significance
from suffice.evaluation.ground import Ground
from suffice.evaluation.significance import Resampled
from suffice.evaluation.sweep import sweep
from suffice.evaluation.trials import Failed, Trial, Tried
from suffice.metrics import aiq, upper_hull
from suffice.outcomes import Outcomes
from suffice.outcomes.splitting import normalised
from suffice.types import FloatArray, IntArray

_MIN_TEST: Final = 20
"""Fewer test queries say nothing about a group."""
Key = tuple[str, str]
"""(group, router)"""


class Grouping:
    """Which queries belong to which group."""

    def __init__(self, by: str, ground: Ground, names: Mapping[str, str] | None = None) -> None:
        """
        Parameters
        ----------
        by : the column
        names : group by query id; None takes the queries' tasks

        Raises
        ------
        DataError
            If there are fewer than two groups to train and test on.
        """
        self.by = by
        self._train, self._test = (_groups(table, names) for table in (ground.train, ground.test))
        texts = [normalised(text) for text in ground.train.texts]
        self._train_texts = np.array(texts, dtype=object)
        self._test_texts = np.array([normalised(text) for text in ground.test.texts], dtype=object)
        sizes = {group: int((self._test == group).sum()) for group in sorted(set(self._test) - {""})}
        self.names = tuple(group for group, n in sizes.items() if n >= _MIN_TEST)
        self.too_small = {
            group: f"{n} test queries, {_MIN_TEST} are needed" for group, n in sizes.items() if n < _MIN_TEST
        }
        if not self.names or len(set(self._train) - {""}) < 2:
            raise DataError(
                f"nothing to leave out: {by} needs two groups or more in the training data, and one of "
                f"{_MIN_TEST} test queries"
            )

    def train_rows(self, group: str) -> IntArray:
        """Training queries of other groups, without those whose text stands in this one."""
        inside = set(self._test_texts[self._test == group])
        is_new = np.array([text not in inside for text in self._train_texts], dtype=bool)
        return np.flatnonzero((self._train != group) & is_new)

    def test_rows(self, group: str) -> IntArray:
        """Test queries of the group."""
        return np.flatnonzero(self._test == group)


def plan(grouping: Grouping, routers: Sequence[str], *, seed: int) -> dict[Key, Trial]:
    """One training per group and router."""
    return {
        (group, router): Trial(
            router=router,
            seed=seed,
            train_rows=grouping.train_rows(group),
            asked_rows=grouping.test_rows(group),
            step=f"without {group}",
        )
        for group in grouping.names
        for router in routers
    }


def result(
    ground: Ground,
    grouping: Grouping,
    found: Mapping[Key, Tried | Failed],
    *,
    n_resamples: int,
    seed: int,
) -> LeaveOut:
    """Every group's gains, and which routers are never significantly worse."""
    routers = tuple(dict.fromkeys(router for _, router in found))
    skipped = {router: one.message for (_, router), one in found.items() if isinstance(one, Failed)}
    groups = {
        group: _group(
            ground,
            grouping,
            group,
            {router: one for (g, router), one in found.items() if g == group and isinstance(one, Tried)},
            n_resamples=n_resamples,
            seed=seed,
        )
        for group in grouping.names
    }
    judged = [router for router in routers if router not in skipped]
    trained = [group.over_trained for group in groups.values() if group.over_trained]
    return LeaveOut(
        by=grouping.by,
        groups=groups,
        never_worse=_never_worse([group.results for group in groups.values()], judged),
        never_worse_than_trained=_never_worse(trained, judged) if trained else {},
        skipped=grouping.too_small | skipped,
    )


def _never_worse(groups: Sequence[Mapping[str, Significance]], routers: Sequence[str]) -> dict[str, bool]:
    return {router: all(group[router].verdict != "worse" for group in groups) for router in routers}


def _group(
    ground: Ground,
    grouping: Grouping,
    group: str,
    tried: Mapping[str, Tried],
    *,
    n_resamples: int,
    seed: int,
) -> LeftOut:
    train, rows = ground.train.select(rows=grouping.train_rows(group)), grouping.test_rows(group)
    truth = ground.truth_of_rows(rows)
    costs = ground.costs_learnt_from(train, rows)
    span = truth.cost_range()
    resampled = Resampled(truth, n_resamples=n_resamples, seed=seed)
    mixed = _trained_corners(train)

    def gain(one: Tried) -> tuple[Significance, Significance | None]:
        curve = sweep(truth, one.scores, costs)
        drawn = resampled.draw(curve)
        paired = trained = None
        if drawn is not None and mixed is not None:
            trained = resampled.over_mixture(curve, drawn, mixed, "trained zero router")
        if drawn is None and ground.pair is not None:
            paired = resampled.over_chance(one.scores, ground.pair)
        return paired or resampled.primary(curve, drawn), trained

    gains = {router: gain(one) for router, one in tried.items()}
    return LeftOut(
        n_train=train.n_queries,
        n_test=len(rows),
        zero_router_aiq=None if span is None else aiq(truth.mean_cost, truth.mean_quality, *span),
        results={router: found for router, (found, _) in gains.items()},
        over_trained={router: found for router, (_, found) in gains.items() if found is not None},
    )


def _trained_corners(train: Outcomes) -> IntArray | None:
    """The models at the corners of the hull of training means; None where costs are not known."""
    quality, cost = (_known_means(table) for table in (train.quality, train.cost_usd))
    if np.isnan(quality).any() or np.isnan(cost).any():
        return None
    hull = upper_hull(cost, quality)
    corners = set(zip(hull.costs.tolist(), hull.qualities.tolist(), strict=True))
    points = zip(cost.tolist(), quality.tolist(), strict=True)
    return np.array([k for k, point in enumerate(points) if point in corners], np.intp)


def _known_means(table: NDArray[Any]) -> FloatArray:
    """(K,): NaN where nothing is known."""
    is_known = ~np.isnan(table)
    sums = np.where(is_known, table, 0.0).sum(axis=0, dtype=np.float64)
    return np.where(is_known.any(axis=0), sums / np.maximum(is_known.sum(axis=0), 1), np.nan)


def _groups(table: Outcomes, names: Mapping[str, str] | None) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """(n,): every query's group, "" for none."""
    if names is None:
        found = [task or "" for task in table.tasks]
    else:
        found = [names.get(name, "") for name in table.ids]
    return np.array(found, dtype=object)
