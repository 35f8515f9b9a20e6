"""Promises: each formula against a slow way, and that they are kept as often as they say."""

from __future__ import annotations

import importlib
import json
import math
import time
from typing import Any

import numpy as np
import pytest

from suffice.calibration import guarantee
from suffice.calibration.guarantee import (
    GRID,
    Certificate,
    Monitor,
    betting_p_values,
    binomial_cdf,
    certify,
    certify_chains,
    chosen_models,
    clopper_pearson,
    conformal_risk_control,
    hoeffding_bentkus_p,
    learned_path,
    rows_without_loss,
)
from suffice.errors import ArtefactError, ConfigError, DataError, UnknownName


def traffic(n: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """A calibrated score, a cheap model right as often as it says, a strong one right on 92 %."""
    rng = np.random.default_rng(seed)
    score = rng.beta(2, 1.5, n)
    weak = (rng.random(n) < score).astype(float)
    return score, weak, (rng.random(n) < 0.92).astype(float)


class TestPValues:
    def test_betting_by_a_slow_loop(self) -> None:
        score, weak, strong = traffic(80)
        drop = (score >= 0.5) * (strong - weak)
        epsilon, delta, n = 0.02, 0.1, len(drop)
        wealth, richest, mean_sum, spread = 1.0, 1.0, 0.0, 0.0
        variance = 0.25
        for t, d in enumerate(drop, 1):
            x = d - epsilon
            bet = min(0.75 / (1 - epsilon), math.sqrt(2 * math.log(1 / delta) / (n * variance)))
            wealth *= 1 - bet * x
            richest = max(richest, wealth)
            mean_sum += x
            spread += (x - mean_sum / (t + 1)) ** 2
            variance = (0.25 + spread) / (t + 1)
        found = betting_p_values((drop - epsilon)[:, None], 1 - epsilon, delta)
        assert found == pytest.approx([1 / richest], rel=1e-12)

    def test_bets_see_only_earlier_rows(self) -> None:
        # a last row that can only lose leaves the riches before it, and so the p-value, as they were
        drops = np.full((50, 1), -0.02)
        one, two = drops.copy(), drops.copy()
        one[-1], two[-1] = 0.5, 0.9
        assert betting_p_values(one, 0.98, 0.1) == betting_p_values(two, 0.98, 0.1)

    @pytest.mark.parametrize("limit", [0.02, 0.2])
    def test_right_as_often_as_they_say(self, limit: float) -> None:
        """At the edge of the promise each test may pass in at most a tenth of draws."""
        rng = np.random.default_rng(1)
        n_draws, n = 1500, 200
        lost = (rng.random((n, n_draws)) < limit).astype(float)
        share = (betting_p_values(lost - limit, 1 - limit, 0.1) <= 0.1).mean()
        assert share <= 0.1 + 0.02
        k = lost.sum(axis=0)
        exact = np.mean([binomial_cdf(int(one), n, limit) <= 0.1 for one in k])
        bound = np.mean([hoeffding_bentkus_p(one / n, n, limit) <= 0.1 for one in k])
        assert bound <= exact <= 0.1 + 0.02

    def test_binomial_as_scipy(self) -> None:
        stats = pytest.importorskip("scipy.stats")
        for n, p in ((1, 0.3), (20, 0.02), (200, 0.5), (5000, 0.02), (5000, 0.97)):
            for k in {-1, 0, 1, n // 50, n // 2, n - 1, n}:
                assert binomial_cdf(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), abs=1e-11)
                if 0 <= k < n:
                    theirs = stats.beta.ppf(0.9, k + 1, n - k)
                    assert clopper_pearson(k, n, 0.1) == pytest.approx(theirs, abs=1e-9)
        assert clopper_pearson(3, 3, 0.1) == 1

    def test_hoeffding_bentkus_by_hand(self) -> None:
        # 100 * 0.07 is a little over 7 in floating point and must not count as 8
        assert 100 * 0.07 > 7
        divergence = 0.07 * math.log(0.7) + 0.93 * math.log(0.93 / 0.9)
        by_hand = min(math.exp(-100 * divergence), math.e * binomial_cdf(7, 100, 0.1))
        assert hoeffding_bentkus_p(0.07, 100, 0.1) == pytest.approx(by_hand, rel=1e-12)
        assert hoeffding_bentkus_p(0.5, 100, 0.1) == 1

    def test_rows_without_loss(self) -> None:
        rates = (0.10, 0.05, 0.02, 0.01)
        assert [rows_without_loss(rate, 0.05) for rate in rates] == [29, 59, 149, 299]
        assert [rows_without_loss(rate, 0.10) for rate in rates] == [22, 45, 114, 230]


class TestCertify:
    def test_the_last_threshold_before_the_first_failure(self) -> None:
        found = certify(*traffic(3000), epsilon=0.02, delta=0.1)
        values, grid = np.array(found.p_values), np.array(found.grid)
        last = int(np.argmax(values > 0.1)) - 1
        assert found.certified and found.threshold == grid[last] and found.method == "betting"
        assert 0 < found.bound <= 0.02 + 1e-4  # type: ignore[operator]
        assert found.weak_share == (traffic(3000)[0] >= found.threshold).mean()
        assert found.grid == GRID and GRID[0] == 0.98 and len(GRID) == 49

    def test_order_of_the_grid_is_ours(self) -> None:
        rows = traffic(2000)
        grids = (GRID, GRID[::-1], np.random.default_rng(0).permutation(GRID))
        assert len({certify(*rows, epsilon=0.02, delta=0.1, grid=grid) for grid in grids}) == 1

    @pytest.mark.parametrize("promise", ["mean-drop", "regressions", "selective", "ratio"])
    @pytest.mark.parametrize("method", [None, "betting", "hoeffding-bentkus"])
    def test_every_promise_is_kept(self, promise: str, method: str | None) -> None:
        if promise == "mean-drop" and method == "hoeffding-bentkus":
            pytest.skip("not offered")
        epsilon = {"selective": 0.15, "ratio": 0.05}.get(promise, 0.05)
        score, weak, strong = traffic(200_000, seed=99)
        n_broken = n_certified = 0
        n_draws = 8 if method == "hoeffding-bentkus" else 25
        for seed in range(n_draws):
            rows = traffic(1500, seed)
            found = certify(*rows, promise=promise, epsilon=epsilon, delta=0.1, method=method)
            if not found.certified:
                continue
            n_certified += 1
            kept = score >= found.threshold
            drop = kept * (strong - weak)
            risk = {
                "mean-drop": drop.mean(),
                "regressions": np.maximum(0, drop).mean(),
                "selective": 1 - weak[kept].mean(),
                "ratio": 1 - np.where(kept, weak, strong).mean() / strong.mean(),
            }[promise]
            n_broken += risk > epsilon
            assert found.bound is not None and found.bound <= epsilon + 1e-4
        assert n_broken <= n_draws / 5
        assert n_certified >= 0.8 * n_draws or method == "hoeffding-bentkus"

    def test_bounds(self) -> None:
        score, weak, strong = traffic(1000)
        found = certify(score, weak, strong, promise="regressions", epsilon=0.05, delta=0.1)
        lost = ((score >= found.threshold) & (strong > weak)).sum()
        assert found.method == "binomial" and found.bound == clopper_pearson(int(lost), 1000, 0.1)
        found = certify(score, weak, strong, promise="selective", epsilon=0.2, delta=0.1)
        kept = score >= found.threshold
        assert found.bound == clopper_pearson(int((1 - weak[kept]).sum()), int(kept.sum()), 0.1)

    def test_graded_quality_is_bet_on(self) -> None:
        score, weak, strong = traffic(1500)
        found = certify(score, 0.9 * weak, 0.9 * strong, promise="regressions", epsilon=0.05, delta=0.1)
        assert found.method == "betting" and found.certified
        with pytest.raises(ConfigError, match="graded"):
            certify(
                score, 0.9 * weak, strong, promise="regressions", epsilon=0.05, delta=0.1, method="binomial"
            )

    def test_too_few_rows_say_how_many(self) -> None:
        found = certify([0.9] * 50, [1.0] * 50, [1.0] * 50, epsilon=0.02, delta=0.1, grid=[0.5])
        assert not found.certified and found.threshold is None and found.bound is None
        assert found.weak_share == 0 and found.rows_needed is not None
        assert "all to the strong" in found.advice and f"{found.rows_needed:,} rows" in found.advice
        for n, is_enough in ((found.rows_needed, True), (found.rows_needed - 1, False)):
            again = certify([0.9] * n, [1.0] * n, [1.0] * n, epsilon=0.02, delta=0.1, grid=[0.5])
            assert again.certified is is_enough

    @pytest.mark.parametrize("promise", ["regressions", "selective"])
    def test_rows_needed_for_counts(self, promise: str) -> None:
        rows = [0.9] * 50, [1.0] * 50, [1.0] * 50
        found = certify(*rows, promise=promise, epsilon=0.02, delta=0.1, grid=[0.5])
        assert found.rows_needed == 114

    def test_a_bad_cheap_model_is_beyond_help(self) -> None:
        n = 500
        found = certify([0.9] * n, [0.0] * n, [1.0] * n, epsilon=0.02, delta=0.1, grid=[0.5])
        assert not found.certified and found.rows_needed is None and "not help" in found.advice

    def test_one_row_and_unreached_thresholds(self) -> None:
        assert not certify([0.5], [1.0], [1.0], epsilon=0.02, delta=0.1).certified
        low = certify([0.1] * 500, [1.0] * 500, [1.0] * 500, epsilon=0.02, delta=0.1, grid=[0.9])
        assert low.certified and low.weak_share == 0  # all to the strong model loses nothing
        none = certify(
            [0.1] * 500, [1.0] * 500, [1.0] * 500, promise="selective", epsilon=0.1, delta=0.1, grid=[0.9]
        )
        assert not none.certified

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"score": [0.5, np.nan]}, "score[1] is nan"),
            ({"score": [0.5, 1.5]}, "1.5"),
            ({"score": [0.5]}, "differ in length"),
            ({"quality_weak": [0.5, -1]}, "quality_weak[1]"),
            ({"quality_strong": [np.nan, 1]}, "quality_strong[0]"),
            ({"score": [], "quality_weak": [], "quality_strong": []}, "0 rows"),
            ({"grid": []}, "empty"),
            ({"grid": [0.5, 0.7, 0.5]}, "0.5 stands twice"),
            ({"grid": [0.5, np.nan]}, "grid[1] is nan"),
            ({"row_ids": ["a", "b"], "training_ids": ["b", "c"]}, "1 of 2 calibration rows"),
            ({"row_ids": ["a"]}, "1 row ids for 2"),
        ],
    )
    def test_refuses_rows(self, change: dict[str, Any], said: str) -> None:
        given: dict[str, Any] = {"score": [0.5, 0.6], "quality_weak": [1, 0], "quality_strong": [1, 1]}
        with pytest.raises(DataError) as caught:
            certify(**{"epsilon": 0.02, "delta": 0.1, **given, **change})
        assert said in str(caught.value)

    @pytest.mark.parametrize(
        "change",
        [
            {"epsilon": 0},
            {"epsilon": math.nan},
            {"delta": 1},
            {"method": "magic"},
            {"method": "binomial"},
            {"method": "hoeffding-bentkus"},
        ],
    )
    def test_refuses_settings(self, change: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            certify([0.5], [1], [1], **{"epsilon": 0.02, "delta": 0.1, **change})
        with pytest.raises(UnknownName):
            certify([0.5], [1], [1], promise="magic", epsilon=0.02, delta=0.1)

    def test_quick(self) -> None:
        rows = traffic(5000)
        spent = []
        for _ in range(3):
            start = time.process_time()
            certify(*rows, epsilon=0.02, delta=0.1)
            spent.append(time.process_time() - start)
        assert min(spent) < 0.1

    def test_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = certify(*traffic(500), epsilon=0.02, delta=0.1)
        module = importlib.import_module("suffice.calibration.guarantee.certify")  # the function hides it
        monkeypatch.setattr(module, "_CELLS", 1200)
        assert certify(*traffic(500), epsilon=0.02, delta=0.1) == whole

    def test_too_few_kept_say_how_many(self) -> None:
        rows = [0.9] * 10 + [0.1] * 90, [1.0] * 100, [1.0] * 100
        found = certify(*rows, promise="selective", epsilon=0.02, delta=0.1, grid=[0.95, 0.5])
        assert not found.certified and found.rows_needed == 1140  # 114 kept ones are a tenth

    def test_certificates_are_kept(self) -> None:
        for n in (20, 2000):
            found = certify(*traffic(n), epsilon=0.02, delta=0.1, date="2026-01-01")
            assert Certificate.from_json(found.to_json()) == found
        other = traffic(2000, seed=5)
        assert certify(*other, epsilon=0.02, delta=0.1).data_sha256 != found.data_sha256
        good = json.loads(found.to_json())
        changes: tuple[dict[str, Any], ...] = (
            {"format": 9},
            {"epsilon": -1},
            {"epsilon": "x"},
            {"threshold": None},
            {"threshold": 0.123},
            {"p_values": [0.5]},
            {"grid": None},
        )
        for broken in ("", "[]", *(json.dumps(good | change) for change in changes)):
            with pytest.raises(ArtefactError):
                Certificate.from_json(broken)
        del good["n"]
        with pytest.raises(ArtefactError, match="n is missing"):
            Certificate.from_json(json.dumps(good))


class TestConformal:
    def test_by_hand(self) -> None:
        score, weak, strong = traffic(400)
        found = conformal_risk_control(score, weak, strong, epsilon=0.05)
        held = [
            t for t in GRID if (400 * np.mean((score >= t) * np.maximum(0, strong - weak)) + 1) / 401 <= 0.05
        ]
        assert found.threshold == min(held) and found.holds == "in expectation only"
        assert conformal_risk_control([0.9], [1.0], [1.0], epsilon=0.05).threshold is None


def three(n: int, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    scores = rng.beta(3, 1, (n, 2))
    quality = np.column_stack([rng.random((n, 2)) < scores, rng.random(n) < 0.92]).astype(float)
    return scores, quality, np.tile([0.1, 0.4, 1.0], (n, 1))


class TestChains:
    paths = tuple(np.array([[t + gap, t] for t in np.arange(0.98, 0.3, -0.02)]) for gap in (0.0, 0.02))

    def test_first_that_reaches_its_threshold(self) -> None:
        scores = np.array([[0.9, 0.1], [0.1, 0.9], [0.1, 0.1], [0.9, 0.9]])
        assert chosen_models(scores, np.array([0.5, 0.5])).tolist() == [0, 1, 2, 0]

    def test_keeps_the_promise(self) -> None:
        scores, quality, _ = three(100_000, seed=77)
        n_broken, costs = 0, []
        for seed in range(20):
            found = certify_chains(*three(1500, seed), self.paths, epsilon=0.03, delta=0.1)
            assert found.certified and found.thresholds is not None and found.n_paths == 2
            assert sum(found.shares) == pytest.approx(1)
            models = chosen_models(scores, np.array(found.thresholds))
            drop = quality[:, 2] - quality[np.arange(len(models)), models]
            n_broken += drop.mean() > 0.03
            costs.append(found.cost_usd)
        assert n_broken <= 4 and np.mean(costs) < 0.8

    def test_more_paths_cost_level(self) -> None:
        rows = three(800)
        one = certify_chains(*rows, self.paths[:1], epsilon=0.03, delta=0.1)
        many = certify_chains(*rows, [self.paths[0]] * 10, epsilon=0.03, delta=0.1)
        assert many.n_passed / 10 < one.n_passed

    def test_learned_path_spends_it_all_on_the_front(self) -> None:
        grid = np.array([[a, b] for a in np.arange(0.5, 1, 0.05) for b in np.arange(0.5, 1, 0.05)])
        path = learned_path(*three(800, seed=1), grid, epsilon=0.03, delta=0.1)
        assert 0 < len(path) < len(grid)
        found = certify_chains(*three(1500, seed=2), [path], epsilon=0.03, delta=0.1)
        assert found.certified and found.cost_usd < 0.9

    def test_nothing_passes(self) -> None:
        found = certify_chains(*three(20), self.paths, epsilon=0.03, delta=0.1)
        assert not found.certified and found.thresholds is None
        assert found.shares == (0.0, 0.0, 1.0) and found.cost_usd == 1

    @pytest.mark.parametrize(
        ("paths", "said"),
        [([], "no path"), ([[[0.5, 0.5], [0.5, 0.5]]], "twice"), ([[[0.5]]], "thresholds"), ([[]], "path")],
    )
    def test_refuses_paths(self, paths: Any, said: str) -> None:
        with pytest.raises(DataError, match=said):
            certify_chains(*three(20), paths, epsilon=0.03, delta=0.1)

    def test_refuses_rows(self) -> None:
        scores, quality, cost = three(20)
        for bad in (
            (scores[:, :1], quality, cost),
            (scores, quality * np.nan, cost),
            (scores[0], quality, cost),
        ):
            with pytest.raises(DataError):
                certify_chains(*bad, self.paths, epsilon=0.03, delta=0.1)
        with pytest.raises(ConfigError):
            certify_chains(scores, quality, cost, self.paths, promise="selective", epsilon=0.03, delta=0.1)


class TestMonitor:
    def run(self, drops: Any) -> Monitor:
        monitor = Monitor(epsilon=0.05, delta=0.1)
        for drop in drops:
            monitor.update(float(drop))
        return monitor

    def test_seldom_cries_wolf_however_long_it_looks(self) -> None:
        rng = np.random.default_rng(0)
        n_false = 0
        for _ in range(60):
            drops = rng.choice([1.0, -1.0, 0.0], p=[0.15, 0.10, 0.75], size=600)  # 0.05 in the mean
            n_false += self.run(drops).is_withdrawn
        assert n_false <= 10

    def test_hears_the_wolf_and_stays_awake(self) -> None:
        rng = np.random.default_rng(0)
        drops = rng.choice([1.0, 0.0], p=[0.15, 0.85], size=500)
        monitor = self.run(drops)
        assert monitor.is_withdrawn and 0.05 <= monitor.lower_bound < 0.15
        assert monitor.mean_drop == pytest.approx(drops.mean())
        for _ in range(500):
            monitor.update(-1.0)
        assert monitor.is_withdrawn

    def test_goes_on_after_a_restart(self) -> None:
        rng = np.random.default_rng(0)
        drops = rng.choice([1.0, 0.0], p=[0.1, 0.9], size=60)
        monitor = self.run(drops[:30])
        again = Monitor.from_json(monitor.to_json())
        for drop in drops[30:]:
            assert again.update(float(drop)) == monitor.update(float(drop))
        assert again.to_json() == monitor.to_json()
        for broken in ("", "{}", "[]", json.dumps(json.loads(again.to_json()) | {"most": [1]})):
            with pytest.raises(ArtefactError):
                Monitor.from_json(broken)

    def test_knows_nothing_at_first(self) -> None:
        monitor = Monitor(epsilon=0.05, delta=0.1)
        assert (monitor.mean_drop, monitor.lower_bound, monitor.is_withdrawn) == (None, -1.0, False)
        for bad in (math.nan, 1.5):
            with pytest.raises(DataError):
                monitor.update(bad)


def test_promises_are_named() -> None:
    assert tuple(guarantee.PROMISES) == ("mean-drop", "regressions", "selective", "ratio")
