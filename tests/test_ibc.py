"""Incremental benefit per cost: hand-computed, and its interval against a slow loop."""

import math

import numpy as np
import pytest

from suffice.metrics import BadScores, delta_ibc, delta_ibc_interval, ibc

SMALL, LARGE = (0.5, 1.0), (0.9, 51.0)


def test_by_hand() -> None:
    assert ibc(0.7, 11.0, small=SMALL) == pytest.approx(0.02)
    assert delta_ibc(0.7, 11.0, small=SMALL, large=LARGE) == pytest.approx(0.02 / 0.008 - 1)
    assert delta_ibc(*LARGE, small=SMALL, large=LARGE) == pytest.approx(0.0)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_random_share_of_the_large_model_has_zero(share: float) -> None:
    quality = (1 - share) * SMALL[0] + share * LARGE[0]
    cost = (1 - share) * SMALL[1] + share * LARGE[1]
    assert delta_ibc(quality, cost, small=SMALL, large=LARGE) == pytest.approx(0.0)


def test_undefined_where_nothing_is_spent_or_gained() -> None:
    assert math.isnan(ibc(0.6, 1.0, small=SMALL))
    assert math.isnan(delta_ibc(0.6, 2.0, small=SMALL, large=(0.5, 51.0)))
    assert math.isnan(delta_ibc(0.6, 2.0, small=SMALL, large=(0.9, 0.5)))


def test_interval_is_that_of_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    small = (rng.random(40), rng.random(40))
    large = (small[0] + 0.3, small[1] + 5.0 + rng.random(40))
    method = (small[0] + 0.2, small[1] + 2.0 + rng.random(40))
    found = delta_ibc_interval(method, small, large, n=200, seed=3)
    draws = []
    rng = np.random.default_rng(3)
    for row in rng.integers(40, size=(200, 40)):
        means = [(float(q[row].mean()), float(c[row].mean())) for q, c in (method, small, large)]
        draws.append(delta_ibc(*means[0], small=means[1], large=means[2]))
    assert found == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))


def test_bad_columns() -> None:
    one = ([1.0], [1.0])
    with pytest.raises(BadScores, match="six columns"):
        delta_ibc_interval(one, one, ([1.0, 1.0], [2.0, 2.0]))
    with pytest.raises(BadScores, match="six columns"):
        delta_ibc_interval(([], []), ([], []), ([], []))
    assert all(math.isnan(end) for end in delta_ibc_interval(one, one, one))
