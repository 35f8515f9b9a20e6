"""Hulls, AIQ, APGR, CPT and the bootstrap against hand-computed cases and slow loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from suffice import metrics
from suffice.metrics import (
    Hull,
    aiq,
    apgr,
    cost_share,
    cpt,
    hull_at,
    percentile_interval,
    pgr,
    pgr_curve,
    resampled_means,
    upper_hull,
)

FloatArray = NDArray[np.float64]

unit = st.integers(0, 20).map(lambda i: i / 20)
clouds = st.lists(st.tuples(unit, unit), min_size=1, max_size=12)


def slow_hull_at(points: list[tuple[float, float]], cost: float) -> float:
    """The best that mixing any two points by lot gives for at most `cost`."""
    best = 0.0
    for (c1, q1), (c2, q2) in itertools.product(points, points):
        if c1 > cost:
            continue
        best = max(best, q1)
        if c2 > cost:  # the mix that costs exactly `cost`
            t = (cost - c1) / (c2 - c1)
            best = max(best, (1 - t) * q1 + t * q2)
    return best


def slow_curve(difference: FloatArray, strong: FloatArray, weak: FloatArray) -> list[float]:
    """PGR at k = 0..n strong calls, averaged over every order of tied queries."""
    n = len(difference)
    orders = [
        order
        for order in itertools.permutations(range(n))
        if all(difference[a] >= difference[b] for a, b in itertools.pairwise(order))
    ]
    curves = [
        [np.mean([strong[i] if i in order[:k] else weak[i] for i in range(n)]) for k in range(n + 1)]
        for order in orders
    ]
    return [pgr(float(q), float(strong.mean()), float(weak.mean())) for q in np.mean(curves, axis=0)]


def test_names_are_complete() -> None:
    assert sorted(metrics.__all__) == metrics.__all__
    assert all(hasattr(metrics, name) for name in metrics.__all__)


class TestHull:
    def test_by_hand(self) -> None:
        hull = upper_hull([3, 1, 2, 5, 4], [0.6, 0.2, 0.5, 0.55, 0.61])
        assert hull.costs.tolist() == [1, 2, 3, 4]
        assert hull.qualities.tolist() == [0.2, 0.5, 0.6, 0.61]

    def test_points_under_and_on_an_edge_are_no_corners(self) -> None:
        hull = upper_hull([0, 1, 2, 1], [0.0, 0.5, 1.0, 0.3])
        assert hull.costs.tolist() == [0, 2]

    def test_equal_costs_keep_the_best(self) -> None:
        hull = upper_hull([1, 1, 1], [0.3, 0.9, 0.4])
        assert (hull.costs.tolist(), hull.qualities.tolist()) == ([1], [0.9])

    def test_falling_points_are_dropped(self) -> None:
        hull = upper_hull([1, 2, 3], [0.9, 0.8, 0.7])
        assert hull.costs.tolist() == [1]
        assert hull_at(hull, 100.0) == 0.9

    def test_nothing_left_of_the_first_corner(self) -> None:
        assert hull_at(upper_hull([2.0], [0.4]), [1.999, 2.0]).tolist() == [0.0, 0.4]

    @pytest.mark.parametrize(
        ("costs", "qualities"), [([], []), ([1], [1, 2]), ([np.nan], [1]), ([1], [np.inf])]
    )
    def test_refuses(self, costs: list[float], qualities: list[float]) -> None:
        with pytest.raises(ValueError, match="must"):
            upper_hull(costs, qualities)

    @given(clouds, unit)
    def test_is_the_best_mix(self, points: list[tuple[float, float]], cost: float) -> None:
        hull = upper_hull(*zip(*points, strict=True))
        assert hull_at(hull, cost) == pytest.approx(slow_hull_at(points, cost), abs=1e-12)

    @given(clouds)
    def test_rises_ever_slower(self, points: list[tuple[float, float]]) -> None:
        hull = upper_hull(*zip(*points, strict=True))
        slopes = np.diff(hull.qualities) / np.diff(hull.costs)
        assert (slopes > 0).all()
        assert (np.diff(slopes) <= 1e-9 * slopes[:-1]).all()  # points on one line differ by rounding


class TestAiq:
    def test_by_hand(self) -> None:
        # 0 on [0, 1], 0.2 -> 0.8 on [1, 3], 0.8 on [3, 5]: (0 + 1.0 + 1.6) / 5
        assert aiq([1, 3], [0.2, 0.8], 0, 5) == pytest.approx(0.52)

    def test_one_point(self) -> None:
        assert aiq([2], [0.5], 1, 3) == pytest.approx(0.25)
        assert aiq([2], [0.5], 2, 3) == 0.5

    def test_curve_begins_right_of_the_range(self) -> None:
        assert aiq([9], [0.5], 1, 3) == 0.0

    def test_no_width(self) -> None:
        assert aiq([1, 3], [0.2, 0.8], 2, 2) == pytest.approx(0.5)
        assert aiq([3], [0.8], 2, 2) == 0.0

    def test_refuses_a_backward_range(self) -> None:
        with pytest.raises(ValueError, match="backwards"):
            aiq([1], [1], 2, 1)

    @given(clouds, unit, unit)
    @settings(max_examples=50, deadline=None)
    def test_equals_a_fine_sum(self, points: list[tuple[float, float]], a: float, b: float) -> None:
        low, high = min(a, b), max(a, b) + 0.05
        n = 2000
        middle = low + (np.arange(n) + 0.5) * (high - low) / n
        fine = np.mean([slow_hull_at(points, c) for c in middle[::40]])
        assert aiq(*zip(*points, strict=True), low, high) == pytest.approx(fine, abs=0.03)
        dense = hull_at(upper_hull(*zip(*points, strict=True)), middle).mean()
        assert aiq(*zip(*points, strict=True), low, high) == pytest.approx(dense, abs=1e-3)

    @given(clouds, unit, unit)
    def test_more_points_never_hurt(self, points: list[tuple[float, float]], c: float, q: float) -> None:
        more = [*points, (c, q)]
        assert aiq(*zip(*more, strict=True), 0.1, 0.9) >= aiq(*zip(*points, strict=True), 0.1, 0.9) - 1e-12


class TestCostShare:
    hull = Hull(np.array([1.0, 3.0]), np.array([0.2, 0.8]))

    def test_by_hand(self) -> None:
        assert cost_share(self.hull, 0.5, 1.0, 4.0) == pytest.approx(0.5)
        assert cost_share(self.hull, 1.0, 0.5, 4.0) == pytest.approx(0.5)

    def test_reached_by_the_first_point(self) -> None:
        assert cost_share(self.hull, 0.1, 1.0, 4.0) == 0.25

    def test_exactly_the_top(self) -> None:
        assert cost_share(self.hull, 0.8, 1.0, 3.0) == 1.0

    def test_never(self) -> None:
        assert cost_share(self.hull, 0.9, 1.0, 3.0) is None

    def test_free_best_model(self) -> None:
        assert cost_share(self.hull, 0.5, 1.0, 0.0) is None


class TestPairwise:
    def test_pgr(self) -> None:
        assert pgr(0.6, 0.8, 0.4) == pytest.approx(0.5)
        with pytest.raises(ValueError, match="swap"):
            pgr(0.5, 0.4, 0.4)

    def test_by_hand(self) -> None:
        # ranked gains 1, 0, 1 over a gap of 2: PGR 0, .5, .5, 1
        difference, strong, weak = [3.0, 2.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]
        assert pgr_curve(difference, strong, weak).pgr.tolist() == [0, 0.5, 0.5, 1]
        assert apgr(difference, strong, weak) == pytest.approx((0.25 + 0.5 + 0.75) / 3)
        assert cpt(difference, strong, weak, 0.5) == pytest.approx(1 / 3)
        assert cpt(difference, strong, weak, 0.8) == pytest.approx((2 + 0.6) / 3)

    def test_a_router_that_knows_nothing(self) -> None:
        rng = np.random.default_rng(0)
        strong, weak = (rng.random(50) < 0.8).astype(float), (rng.random(50) < 0.5).astype(float)
        flat = np.zeros(50)
        assert apgr(flat, strong, weak) == pytest.approx(0.5)
        assert cpt(flat, strong, weak, 0.8) == pytest.approx(0.8)

    def test_dips_and_overshoots(self) -> None:
        # gains -1, 1, 1: the first cut is below weak; reversed, the second cut is above strong
        assert pgr_curve([3, 2, 1], [0, 1, 1], [1, 0, 0]).pgr.tolist() == [0, -1, 0, 1]
        assert pgr_curve([1, 2, 3], [0, 1, 1], [1, 0, 0]).pgr.tolist() == [0, 1, 2, 1]
        assert cpt([1, 2, 3], [0, 1, 1], [1, 0, 0], 1.0) == pytest.approx(1 / 3)
        assert cpt([3, 2, 1], [0, 1, 1], [1, 0, 0], 0.0) == 0.0

    @given(st.data(), st.integers(2, 5))
    @settings(max_examples=40, deadline=None)
    def test_equals_the_mean_over_orders(self, data: st.DataObject, n: int) -> None:
        column = st.lists(st.integers(0, 2).map(float), min_size=n, max_size=n).map(np.array)
        difference, strong, weak = data.draw(column), data.draw(column), data.draw(column)
        strong = np.append(strong, 3.0)  # strong must win on average
        weak, difference = np.append(weak, -9.0), np.append(difference, data.draw(st.integers(0, 2)))
        curve = pgr_curve(difference, strong, weak)
        cuts = np.arange(n + 2) / (n + 1)
        slow = slow_curve(difference, strong, weak)
        np.testing.assert_allclose(np.interp(cuts, curve.share, curve.pgr), slow, atol=1e-12)
        area = sum((a + b) / 2 for a, b in itertools.pairwise(slow)) / (n + 1)
        assert apgr(difference, strong, weak) == pytest.approx(area)

    @given(st.integers(0, 10_000))
    @settings(max_examples=30, deadline=None)
    def test_order_of_rows_does_not_matter(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        difference = rng.integers(0, 4, 30).astype(float)
        strong, weak = rng.random(30) + 0.5, rng.random(30)
        mixed = rng.permutation(30)
        args, other = (difference, strong, weak), (difference[mixed], strong[mixed], weak[mixed])
        assert apgr(*args) == pytest.approx(apgr(*other))
        assert cpt(*args, 0.5) == pytest.approx(cpt(*other, 0.5))

    def test_refuses(self) -> None:
        with pytest.raises(ValueError, match="on average"):
            apgr([1, 2], [0, 0], [1, 1])
        with pytest.raises(ValueError, match="NaN"):
            apgr([1, np.nan], [1, 1], [0, 0])
        with pytest.raises(ValueError, match="equal and not empty"):
            apgr([1], [1, 1], [0, 0])
        with pytest.raises(ValueError, match="share in"):
            cpt([1], [1], [0], 1.5)


class TestBootstrap:
    def test_equals_a_loop(self) -> None:
        values = np.random.default_rng(1).random((7, 3))
        rows = np.random.default_rng(5).integers(7, size=(20, 7))
        slow = np.array([values[row].mean(axis=0) for row in rows])
        np.testing.assert_allclose(resampled_means(values, 20, seed=5), slow)

    def test_columns_are_paired(self) -> None:
        values = np.random.default_rng(1).random((40, 1))
        means = resampled_means(np.hstack([values, values + 1]), 50)
        np.testing.assert_allclose(means[:, 1] - means[:, 0], 1.0)

    def test_width_matches_theory(self) -> None:
        values = np.random.default_rng(2).normal(size=(400, 1))
        low, high = percentile_interval(resampled_means(values, 2000)[:, 0])
        assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)

    def test_refuses(self) -> None:
        with pytest.raises(ValueError, match="row"):
            resampled_means(np.empty((0, 2)), 5)
        with pytest.raises(ValueError, match="level"):
            percentile_interval([1.0], level=1.0)
