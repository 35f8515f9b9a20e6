"""Calibrators against slow or independent ways to the same numbers, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from suffice import calibration
from suffice.calibration import Beta, Grouped, Histogram, Isotonic, Platt, Temperature, VennAbers
from suffice.errors import ArtefactError, ConfigError, DataError, NotFitted, UnknownName

NAMES = calibration.available()


def rows(n: int = 300, seed: int = 0, decimals: int | None = None) -> tuple[Any, Any]:
    """Overconfident rows: the truth is sigmoid(0.5 logit(c) - 0.3)."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(3, 1.5, n)
    if decimals is not None:
        confidence = confidence.round(decimals)
    held = np.clip(confidence, 1e-3, 1 - 1e-3)
    correct = rng.random(n) < 1 / (1 + np.exp(0.3 - 0.5 * np.log(held / (1 - held))))
    return confidence, correct


def loss(probability: Any, correct: Any) -> float:
    return float(-np.mean(np.where(correct, np.log(probability), np.log(1 - probability))))


@pytest.mark.parametrize("name", NAMES)
class TestEvery:
    def test_predicts_probabilities_that_json_keeps(self, name: str) -> None:
        fitted = calibration.create(name).fit(*rows())
        grid = np.linspace(0, 1, 101)
        found = fitted.predict(grid)
        assert found.shape == grid.shape and (found >= 0).all() and (found <= 1).all()
        again = calibration.from_json(fitted.to_json())
        assert np.array_equal(again.predict(grid), found)
        assert type(fitted).from_json(fitted.to_json()).to_json() == fitted.to_json()

    def test_order_of_rows_and_earlier_fits_do_not_matter(self, name: str) -> None:
        confidence, correct = rows()
        one = calibration.create(name).fit(confidence, correct)
        other = calibration.create(name).fit(*rows(seed=5)).fit(confidence[::-1], correct[::-1])
        assert other.predict(confidence) == pytest.approx(one.predict(confidence), abs=1e-9)

    @pytest.mark.parametrize(
        ("confidence", "correct"),
        [
            ([0.7], [True]),
            ([0.7], [False]),
            ([0.0, 1.0], [True, False]),
            ([0.5, 0.5], [True, False]),
            ([0.9, 0.8, 0.7], [True] * 3),
            ([0.9, 0.8, 0.7], [False] * 3),
            ([0.2, 0.4, 0.6, 0.8], [False, False, True, True]),
            ([0.2, 0.4, 0.6, 0.8], [True, True, False, False]),
            ([0.2, 0.5, 0.5, 0.8], [False, False, True, True]),
            ([0.3, 0.3, 0.6, 0.6], [False, True, True, True]),
            ([0.5, 0.5 + 1e-16, 0.5 + 2e-16], [False, True, False]),
        ],
    )
    def test_degenerate_rows_give_numbers(
        self, name: str, confidence: list[float], correct: list[bool]
    ) -> None:
        found = calibration.create(name).fit(confidence, correct).predict([0.0, 0.25, 0.5, 0.75, 1.0])
        assert np.isfinite(found).all()

    @pytest.mark.parametrize(
        ("confidence", "correct", "said"),
        [
            ([0.5, 0.6], [True], "confidence 2, correct 1"),
            ([0.5, np.nan], [True, False], "confidence[1] is nan"),
            ([0.5, 1.2], [True, False], "confidence[1] is 1.2"),
            ([-0.1], [True], "[0, 1]"),
            ([0.5], [0.5], "correct[0] is 0.5"),
            ([0.5], [np.nan], "correct[0] is nan"),
            ([], [], "0 rows"),
            (0.5, [True], "shape ()"),
            (["high"], [True], "no number"),
        ],
    )
    def test_refuses(self, name: str, confidence: Any, correct: Any, said: str) -> None:
        with pytest.raises(DataError) as caught:
            calibration.create(name).fit(confidence, correct)
        assert said in str(caught.value)

    def test_refuses_before_fit_and_bad_predictions(self, name: str) -> None:
        with pytest.raises(NotFitted):
            calibration.create(name).predict([0.5])
        with pytest.raises(NotFitted):
            calibration.create(name).to_json()
        with pytest.raises(DataError, match="nan"):
            calibration.create(name).fit(*rows()).predict([np.nan])

    def test_foreign_and_damaged_json(self, name: str) -> None:
        kind = type(calibration.create(name))
        good = json.loads(kind().fit(*rows()).to_json())
        other = "platt" if name != "platt" else "beta"
        for broken in (
            "",
            "[1]",
            "{",
            json.dumps(good | {"format": 2}),
            json.dumps(good | {"calibrator": other}),
            json.dumps(good | {"params": {"unknown": 1}}),
            json.dumps({"format": 1}),
        ):
            with pytest.raises(ArtefactError):
                kind.from_json(broken)
        if good["state"]:
            with pytest.raises(ArtefactError, match="do not fit"):
                kind.from_json(json.dumps(good | {"state": {}}))
            key = next(iter(good["state"]))
            for value in ("text", None, [2.0, -1.0], [[0.5]], True):
                with pytest.raises(ArtefactError):
                    kind.from_json(json.dumps(good | {"state": good["state"] | {key: value}}))


class TestParametric:
    def test_temperature_is_where_the_slope_is_nothing(self) -> None:
        confidence, correct = rows()
        z = np.log(confidence / (1 - confidence))
        fitted = Temperature().fit(confidence, correct)
        slope = np.mean((1 / (1 + np.exp(-z / fitted.temperature_)) - correct) * z)
        assert abs(slope) < 1e-12
        optimize = pytest.importorskip("scipy.optimize")
        best = optimize.minimize_scalar(
            lambda t: loss(1 / (1 + np.exp(-z / t)), correct), bounds=(0.1, 50), options={"xatol": 1e-10}
        )
        assert fitted.temperature_ == pytest.approx(best.x, abs=1e-5)

    def test_temperature_of_classes(self) -> None:
        rng = np.random.default_rng(1)
        logits = rng.normal(0, 3, (400, 5))
        weights = np.exp(logits / 2.5)
        labels = (weights.cumsum(1) / weights.sum(1, keepdims=True) < rng.random((400, 1))).sum(1)
        fitted = Temperature().fit(logits, labels)
        assert fitted.temperature_ == pytest.approx(2.5, abs=0.4)

        def slope(t: float) -> Any:
            p = np.exp(logits / t)
            p /= p.sum(1, keepdims=True)
            return np.mean((p * logits).sum(1) - logits[np.arange(400), labels])

        assert abs(slope(fitted.temperature_)) < 1e-10
        probabilities = fitted.predict(logits)
        assert probabilities.sum(1) == pytest.approx(np.ones(400))
        assert np.array_equal(probabilities.argmax(1), logits.argmax(1))
        again = Temperature.from_json(fitted.to_json())
        assert np.array_equal(again.predict(logits), probabilities)

    def test_two_classes_agree_with_the_logit(self) -> None:
        confidence, correct = rows()
        both = np.log(np.column_stack([1 - confidence, confidence]))
        one, two = Temperature().fit(confidence, correct), Temperature().fit(both, correct.astype(int))
        assert two.temperature_ == pytest.approx(one.temperature_, rel=1e-9)
        assert two.predict(both)[:, 1] == pytest.approx(one.predict(confidence), abs=1e-9)

    def test_temperature_stays_in_bounds(self) -> None:
        assert Temperature().fit([0.2, 0.8], [False, True]).temperature_ == 0.01
        assert Temperature().fit([0.2, 0.8], [True, False]).temperature_ == 100
        assert Temperature().fit([0.5, 0.5], [True, False]).temperature_ == 1

    @pytest.mark.parametrize(
        ("logs", "labels"),
        [
            ([[0.0, np.nan]], [0]),
            ([[-np.inf, -np.inf]], [0]),
            ([[0.0]], [0]),
            ([[0.0, 1.0]], [2]),
            ([[0.0, 1.0]], [0.0]),
            ([[0.0, 1.0]], [0, 1]),
        ],
    )
    def test_temperature_refuses_classes(self, logs: Any, labels: Any) -> None:
        with pytest.raises(DataError):
            Temperature().fit(logs, labels)

    def test_certain_classes(self) -> None:
        fitted = Temperature().fit([[0.0, -np.inf], [0.0, -np.inf], [0.0, -1.0]], [0, 1, 0])
        assert np.isfinite(fitted.predict([[0.0, -np.inf]])).all()

    @pytest.mark.parametrize("smoothed", [False, True])
    def test_platt_is_where_the_gradient_is_nothing(self, smoothed: bool) -> None:
        confidence, correct = rows()
        z = np.log(confidence / (1 - confidence))
        fitted = Platt(smoothed=smoothed).fit(confidence, correct)
        n_right, n_wrong = correct.sum(), (~correct).sum()
        high, low = ((n_right + 1) / (n_right + 2), 1 / (n_wrong + 2)) if smoothed else (1.0, 0.0)
        error = fitted.predict(confidence) - np.where(correct, high, low)
        assert abs(error.mean()) < 1e-10 and abs((error * z).mean()) < 1e-10

    def test_platt_where_no_optimum_exists(self) -> None:
        separable = Platt().fit([0.2, 0.4, 0.6, 0.8], [False, False, True, True])
        smoothed = Platt(smoothed=True).fit([0.2, 0.4, 0.6, 0.8], [False, False, True, True])
        assert (separable.a_, separable.b_) == (smoothed.a_, smoothed.b_) and separable.a_ > 0
        assert Platt().fit([0.9, 0.8], [True, True]).predict([0.1, 0.9]) == pytest.approx([0.75, 0.75])
        level = Platt().fit([0.9] * 4, [True, False, False, False])
        assert level.predict([0.9]) == pytest.approx([0.25]) and level.a_ == 1

    @pytest.mark.parametrize("seed", range(4))
    def test_beta_is_the_bounded_optimum(self, seed: int) -> None:
        optimize = pytest.importorskip("scipy.optimize")
        confidence, correct = rows(150, seed)
        if seed == 3:
            correct = ~correct  # anti-calibrated: both weights end at 0
        fitted = Beta().fit(confidence, correct)

        def of(w: Any) -> float:
            z = w[0] * np.log(confidence) - w[1] * np.log(1 - confidence) + w[2]
            return float(np.mean(np.logaddexp(0, z) - correct * z))

        bounds = [(0, None), (0, None), (None, None)]
        best = optimize.minimize(of, [1.0, 1.0, 0.0], bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-10})
        mine = of([fitted.a_, fitted.b_, fitted.m_])
        assert fitted.a_ >= 0 and fitted.b_ >= 0
        assert mine <= best.fun + 1e-12 and mine == pytest.approx(best.fun, abs=1e-8)
        error = fitted.predict(confidence) - correct
        for weight, feature in ((fitted.a_, np.log(confidence)), (fitted.b_, -np.log(1 - confidence))):
            gradient = (error * feature).mean()
            assert abs(gradient) < 1e-8 if weight > 0 else gradient > -1e-8


class TestShapes:
    @pytest.mark.parametrize("decimals", [None, 2, 1])
    def test_isotonic_by_the_min_max_formula(self, decimals: int | None) -> None:
        confidence, correct = rows(60, decimals=decimals)
        at = np.unique(confidence)
        right = np.array([correct[confidence == c].sum() for c in at])
        n = np.array([(confidence == c).sum() for c in at])
        slow = [
            max(
                min(right[i : j + 1].sum() / n[i : j + 1].sum() for j in range(k, len(at)))
                for i in range(k + 1)
            )
            for k in range(len(at))
        ]
        assert Isotonic().fit(confidence, correct).predict(at) == pytest.approx(slow, abs=1e-12)

    @pytest.mark.parametrize("decimals", [None, 2])
    def test_isotonic_as_scikit_learn(self, decimals: int | None) -> None:
        peer = pytest.importorskip("sklearn.isotonic").IsotonicRegression(out_of_bounds="clip")
        confidence, correct = rows(500, decimals=decimals)
        grid = np.linspace(0, 1, 501)
        theirs = peer.fit(confidence, correct.astype(float)).predict(grid)
        assert Isotonic().fit(confidence, correct).predict(grid) == pytest.approx(theirs, abs=1e-12)

    def test_histogram_by_hand(self) -> None:
        fitted = Histogram(n_bins=10).fit([0.0, 0.1, 0.2, 0.3, 0.30001, 1.0], [1, 0, 1, 1, 0, 1])
        # 0.1, 0.2 and 0.3 close their bins; 0 joins the first
        assert fitted.predict([0.05, 0.15, 0.25, 0.35, 0.95]).tolist() == [0.5, 1.0, 1.0, 0.0, 1.0]
        assert fitted.predict([0.55, 0.8]).tolist() == [0.55, 0.8]  # empty bins
        with pytest.raises(ConfigError):
            Histogram(n_bins=0)

    @pytest.mark.parametrize("decimals", [None, 1])
    def test_venn_abers_refits_for_every_point(self, decimals: int | None) -> None:
        confidence, correct = rows(50, decimals=decimals)
        fitted = VennAbers().fit(confidence, correct)
        asked = np.concatenate([np.linspace(0, 1, 41), confidence])
        low, high = fitted.interval(asked)
        for c, p0, p1 in zip(asked, low, high, strict=True):
            for label, p in ((0, p0), (1, p1)):
                one = Isotonic().fit([*confidence, c], [*correct, label])
                assert p == pytest.approx(one.predict([c])[0], abs=1e-12)
        assert (low < high).all()
        assert fitted.predict(asked) == pytest.approx(high / (1 - low + high))

    def test_many_rows_are_quick(self) -> None:
        confidence, correct = rows(50_000)
        Isotonic().fit(confidence, correct)
        fitted = VennAbers().fit(confidence[:5000], correct[:5000])
        assert np.isfinite(fitted.predict(confidence)).all()


class TestChoose:
    def test_never_in_sample(self) -> None:
        rng = np.random.default_rng(2)
        confidence = rng.random(300)
        correct = rng.random(300) < confidence  # calibrated: in-sample a shape would win
        losses = calibration.cross_validated_losses(confidence, correct, least_rows=0)
        assert set(losses) == set(NAMES)
        assert losses["isotonic"] > losses["identity"]
        in_sample = Isotonic().fit(confidence, correct).predict(confidence)
        assert losses["isotonic"] > loss(np.clip(in_sample, 1e-9, 1 - 1e-9), correct)

    def test_repairs_overconfidence(self) -> None:
        found = calibration.choose_calibrator(*rows(2000))
        confidence, correct = rows(5000, seed=9)
        assert found.name != "identity"
        assert loss(found.predict(confidence), correct) < loss(confidence, correct) - 0.01

    def test_few_rows_rule_out_shapes(self) -> None:
        assert set(calibration.cross_validated_losses(*rows(200))) == {
            "identity",
            "temperature",
            "platt",
            "beta",
        }
        assert calibration.choose_calibrator([0.7], [True]).name == "identity"
        with pytest.raises(ConfigError, match="least_rows"):
            calibration.choose_calibrator(*rows(50), candidates=["isotonic"])
        with pytest.raises(UnknownName):
            calibration.choose_calibrator(*rows(50), candidates=["magic"])
        with pytest.raises(ConfigError):
            calibration.choose_calibrator(*rows(50), n_folds=1)

    def test_seed_decides(self) -> None:
        one, two = (calibration.cross_validated_losses(*rows(), seed=seed) for seed in (0, 0))
        assert one == two != calibration.cross_validated_losses(*rows(), seed=1)


class TestGrouped:
    def test_groups_lean_on_the_common_one(self) -> None:
        confidence, correct = rows(400)
        groups = ["maths"] * 200 + ["law"] * 190 + ["rare"] * 10
        correct[:200] = correct[:200] & (np.arange(200) % 3 > 0)
        fitted = Grouped("platt").fit(confidence, correct, groups)
        common = Platt().fit(confidence, correct).predict([0.8])
        own = Platt().fit(confidence[:200], correct[:200]).predict([0.8])
        found = fitted.predict([0.8, 0.8, 0.8], ["maths", "rare", "unseen"])
        assert found[0] == pytest.approx(0.8 * own[0] + 0.2 * common[0])
        assert found[1] == found[2] == common[0]
        again = Grouped.from_json(fitted.to_json())
        assert np.array_equal(again.predict(confidence, groups), fitted.predict(confidence, groups))

    def test_refuses(self) -> None:
        confidence, correct = rows(20)
        with pytest.raises(DataError, match="groups"):
            Grouped().fit(confidence, correct, ["a"])
        with pytest.raises(UnknownName):
            Grouped("magic")
        with pytest.raises(ConfigError):
            Grouped(least_rows=0)
        with pytest.raises(NotFitted):
            Grouped().predict([0.5], ["a"])
        with pytest.raises(ArtefactError):
            Grouped.from_json(Platt().fit(confidence, correct).to_json())
        with pytest.raises(ArtefactError):
            Grouped.from_json('{"format": 1, "calibrator": "grouped", "params": {}, "state": {}}')
