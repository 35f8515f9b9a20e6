"""What is the same for all routers of one comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from suffice import routers as registry
from suffice.errors import DataError
from suffice.evaluation.fitting import costs_of
from suffice.evaluation.selection import has_costs, is_complete, select_models, select_pair, truth_of
from suffice.evaluation.truth import Truth
from suffice.outcomes import Outcomes
from suffice.protocols import CostModel
from suffice.types import FloatArray, IntArray, Price


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """Both tables, cut to what is compared, and what is known of them."""

    train: Outcomes
    """The compared models, every training query."""
    test: Outcomes
    """The compared models, complete test queries."""
    truth: Truth
    prices: Mapping[str, Price] | None
    cost_model: CostModel | None
    costs: FloatArray | None
    """(n_test, K): predicted."""
    pair: tuple[str, str] | None
    models_left_out: dict[str, str]
    n_test_left_out: int

    def truth_of_rows(self, rows: IntArray) -> Truth:
        """Of some test queries."""
        return truth_of(self.test.select(rows=rows), costs=self.costs is not None)

    def costs_learnt_from(self, train: Outcomes, rows: IntArray | None = None) -> FloatArray | None:
        """(n, K) costs of test queries, predicted from other training data; None without costs."""
        if self.costs is None:
            return None
        model = registry.fit_cost_model(train, self.prices)
        return costs_of(model, self.test.select(rows=rows).queries, self.train.arms)


def prepare(
    train: Outcomes,
    test: Outcomes,
    models: Sequence[str] | None,
    prices: Mapping[str, Price] | None,
    pair: tuple[str, str] | None,
) -> Ground:
    """The common ground of two tables.

    Raises
    ------
    DataError
        If no model or no complete test query is left.
    ConfigError
        If models or pair do not fit the data.
    """
    if prices:
        train, test = train.with_prices(prices), test.with_prices(prices)
    names, left_out = select_models(train, models)
    missing = [name for name in names if name not in test.arms]
    if missing:
        raise DataError(f"the test data have no {', '.join(missing)}: name the common ones with --models")
    train, test = train.select(arms=names), test.select(arms=names)
    costs = has_costs(train)
    complete = is_complete(test, costs=costs)
    if not complete.any():
        what = "a score and a cost" if costs else "a score"
        raise DataError(
            f"none of {test.n_queries} test queries has {what} of all {len(names)} models: name fewer "
            "with --models" + (", or give prices with --prices" if costs else "")
        )
    test = test.select(rows=complete)
    cost_model = registry.fit_cost_model(train, prices) if costs else None
    return Ground(
        train=train,
        test=test,
        truth=truth_of(test, costs=costs),
        prices=prices,
        cost_model=cost_model,
        costs=None if cost_model is None else costs_of(cost_model, test.queries, names),
        pair=select_pair(train, pair),
        models_left_out=left_out,
        n_test_left_out=int((~complete).sum()),
    )
