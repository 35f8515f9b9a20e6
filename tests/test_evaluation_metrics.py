"""Gains, the arena score and paired resampling against hand-computed cases and slow loops."""

from __future__ import annotations

import numpy as np
import pytest

from suffice.evaluation.significance import Resampled, judged
from suffice.evaluation.sweep import sweep
from suffice.evaluation.truth import Truth
from suffice.metrics import (
    aiq,
    apgr,
    arena_score,
    cost_save,
    oracle_gap,
    pareto_distance,
    perf_gain,
    resample_counts,
    resampled_apgr,
    two_sided_p,
    upper_hull,
)


class TestGains:
    def test_perf_gain(self) -> None:
        assert perf_gain(0.6, best_single=0.8) == pytest.approx(-0.25)
        assert perf_gain(0.6, best_single=0.0) is None

    def test_cost_save(self) -> None:
        hull = upper_hull([1.0, 3.0], [0.2, 0.8])
        assert cost_save(hull, best_quality=0.8, best_cost=4.0) == pytest.approx(0.25)
        assert cost_save(hull, best_quality=0.9, best_cost=4.0) is None

    def test_oracle_gap(self) -> None:
        assert oracle_gap(0.6, oracle=0.8) == pytest.approx(0.25)
        assert oracle_gap(0.0, oracle=0.0) is None

    def test_pareto_distance_by_hand(self) -> None:
        frontier = [[0.0, 0.0], [4.0, 0.5]]  # extents 4 and 0.5: the diagonal of the unit square
        assert pareto_distance([[4.0, 0.0]], frontier) == pytest.approx(np.sqrt(0.5))
        assert pareto_distance([[0.0, 0.0], [2.0, 0.25]], frontier) == pytest.approx(0.0)
        assert pareto_distance([[3.0, 4.0]], [[0.0, 0.0]]) == pytest.approx(5.0)  # no extent: one unit
        with pytest.raises(ValueError, match="expected"):
            pareto_distance([], frontier)


class TestArenaScore:
    def test_by_hand(self) -> None:
        middle = np.sqrt(200 * 0.0044)  # on the log scale: C is one half
        assert arena_score(0.7, middle) == pytest.approx(1.1 * 0.7 * 0.5 / (0.1 * 0.7 + 0.5))
        assert arena_score(1.0, 0.0) == pytest.approx(1.0)  # clipped at the cheapest
        assert arena_score(1.0, 1e6) == 0.0
        assert arena_score(0.0, 200.0) == 0.0

    def test_refuses(self) -> None:
        with pytest.raises(ValueError, match="expected"):
            arena_score(1.2, 1.0)
        with pytest.raises(ValueError, match="expected"):
            arena_score(0.5, -1.0)


class TestResampling:
    def test_counts_sum_to_the_rows(self) -> None:
        counts = np.concatenate(list(resample_counts(7, 50, seed=3)))
        assert counts.shape == (50, 7)
        assert (counts.sum(axis=1) == 7).all()

    def test_apgr_equals_a_loop(self) -> None:
        rng = np.random.default_rng(2)
        difference = rng.integers(0, 4, 30).astype(float)
        strong, weak = rng.random(30) + 0.3, rng.random(30)
        rows = np.random.default_rng(5).integers(30, size=(40, 30))
        slow = [apgr(difference[row], strong[row], weak[row]) for row in rows]
        np.testing.assert_allclose(resampled_apgr(difference, strong, weak, 40, seed=5), slow)

    def test_p_value(self) -> None:
        assert two_sided_p(np.linspace(-1, 1, 101)) == 1.0
        assert two_sided_p(np.ones(999)) == pytest.approx(0.002)
        with pytest.raises(ValueError, match="at least one"):
            two_sided_p([])


def truth(n: int, seed: int = 0) -> Truth:
    rng = np.random.default_rng(seed)
    quality = (rng.random((n, 3)) < np.array([0.3, 0.5, 0.7])).astype(float)
    cost = np.array([0.001, 0.004, 0.02]) * rng.uniform(0.8, 1.2, (n, 3))
    return Truth(models=("a", "b", "c"), quality=quality, cost_usd=cost)


class TestSignificance:
    def test_gain_over_zero_by_a_loop(self) -> None:
        ground = truth(40)
        curve = sweep(ground, np.random.default_rng(1).random((40, 3)), ground.cost_usd)
        resampled = Resampled(ground, n_resamples=30, seed=9)
        drawn = resampled.draw(curve)
        assert drawn is not None
        found = resampled.over_zero_router(curve, drawn)
        rows = np.random.default_rng(9).integers(40, size=(30, 40))
        assert ground.cost_usd is not None
        ends = [ground.cheapest, ground.best_single]
        gains = []
        for row in rows:
            part = Truth(models=ground.models, quality=ground.quality[row], cost_usd=ground.cost_usd[row])
            low, high = sorted(part.mean_cost[ends].tolist())
            points = [(part.cost_of(c[row]).mean(), part.quality_of(c[row]).mean()) for c in curve.chosen]
            own = aiq([p[0] for p in points], [p[1] for p in points], low, high)
            gains.append(own - aiq(part.mean_cost, part.mean_quality, low, high))
        assert found.ci == pytest.approx(tuple(np.quantile(gains, [0.025, 0.975])))
        assert found.lower_95 == pytest.approx(np.quantile(gains, 0.05))

    def test_a_constant_router_is_the_zero_router_in_every_draw(self) -> None:
        cost = np.tile([1e-3, 4e-3, 2e-2], (60, 1))
        flat = Truth(models=("a", "b", "c"), quality=truth(60).quality, cost_usd=cost)
        curve = sweep(flat, np.tile(flat.mean_quality, (60, 1)), flat.cost_usd)
        resampled = Resampled(flat, n_resamples=100, seed=0)
        found = resampled.primary(curve, resampled.draw(curve))
        assert found.gain == pytest.approx(0.0)
        assert found.ci == pytest.approx((0.0, 0.0), abs=0.02)
        assert found.verdict == "within chance"

    def test_knowing_the_truth_is_better_and_its_opposite_worse(self) -> None:
        ground = truth(200)
        for scores, verdict in ((ground.quality, "better"), (1 - ground.quality, "worse")):
            curve = sweep(ground, scores, ground.cost_usd)
            resampled = Resampled(ground, n_resamples=200, seed=0)
            found = resampled.primary(curve, resampled.draw(curve))
            assert (found.measure, found.against, found.verdict) == ("aiq", "zero router", verdict)

    def test_without_costs_against_the_best_single(self) -> None:
        bare = Truth(models=("a", "b", "c"), quality=truth(200).quality, cost_usd=None)
        curve = sweep(bare, bare.quality, None)
        found = Resampled(bare, n_resamples=200, seed=0).primary(curve, None)
        assert (found.measure, found.against, found.verdict) == ("quality", "c", "better")
        assert found.gain == pytest.approx(bare.quality.max(axis=1).mean() - bare.quality[:, 2].mean())
        assert found.ci[0] < found.lower_95 < found.gain

    def test_at_the_cost_of_a_model(self) -> None:
        ground = truth(200)
        resampled = Resampled(ground, n_resamples=100, seed=0)
        curve = sweep(ground, ground.quality, ground.cost_usd)
        drawn = resampled.draw(curve)
        assert drawn is not None
        assert resampled.at_cost_of("c", curve, drawn).verdict == "better"
        alone = sweep(ground, np.tile([0.0, 0.0, 1.0], (200, 1)), None)
        only = resampled.draw(alone)
        assert only is not None
        assert resampled.at_cost_of("c", alone, only).gain == pytest.approx(0.0)

    def test_chance_of_a_pair(self) -> None:
        ground = truth(400)
        resampled = Resampled(ground, n_resamples=200, seed=0)
        constant = resampled.over_chance(np.zeros((400, 3)), ("c", "a"))
        knowing = resampled.over_chance(ground.quality, ("c", "a"))
        assert constant is not None
        assert knowing is not None
        assert (constant.gain, constant.verdict) == (0.0, "within chance")
        assert knowing.verdict == "better"
        assert resampled.over_chance(ground.quality, ("a", "c")) is None

    @pytest.mark.parametrize(
        ("drawn", "verdict"), [([1, 2], "better"), ([-1, -2], "worse"), ([-1, 1], "within chance")]
    )
    def test_verdicts(self, drawn: list[float], verdict: str) -> None:
        assert judged("aiq", "x", 0.0, np.array(drawn)).verdict == verdict
