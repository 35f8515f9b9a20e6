"""Metrics of confidence against other tools, hand-computed cases and slow loops, for any order of rows."""

from __future__ import annotations

import doctest
import importlib
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suffice import metrics
from suffice.errors import DataError
from suffice.metrics import (
    accuracy_at_coverage,
    auarc,
    auprc,
    aurc,
    auroc,
    average_calibration_error,
    bootstrap_ci,
    brier_decomposition,
    brier_score,
    classwise_calibration_error,
    coverage_at_accuracy,
    debiased_calibration_error,
    excess_aurc,
    expected_calibration_error,
    maximum_calibration_error,
    negative_log_likelihood,
    prediction_rejection_ratio,
    reliability_curve,
    risk_coverage_curve,
    rms_calibration_error,
    spiegelhalter_test,
    top_label,
)

HERE = Path(__file__).parent
PAGE = (HERE.parent / "docs" / "confidence.md").read_text()
REFERENCE = json.loads((HERE / "confidence_reference.json").read_text())
CASES = {name: tuple(map(np.array, pair)) for name, pair in REFERENCE["cases"].items()}
MODULES = ("brier", "calibration_error", "checks", "intervals", "likelihood", "ranking", "reliability")
GRADED: dict[Callable[..., Any], dict[str, float]] = {
    expected_calibration_error: {},
    average_calibration_error: {},
    maximum_calibration_error: {},
    rms_calibration_error: {},
    debiased_calibration_error: {},
    brier_score: {},
    brier_decomposition: {},
    negative_log_likelihood: {},
    aurc: {},
    auarc: {},
    excess_aurc: {},
    prediction_rejection_ratio: {},
    accuracy_at_coverage: {"coverage": 0.7},
    coverage_at_accuracy: {"accuracy": 0.6},
}
BINARY: dict[Callable[..., Any], dict[str, float]] = {auroc: {}, auprc: {}, spiegelhalter_test: {}}
NUMBERS = {**GRADED, **BINARY}
BINNED = [metric for metric in GRADED if "calibration_error" in metric.__name__]
CURVES = (reliability_curve, risk_coverage_curve)
ALL = [*NUMBERS.items(), *((curve, {}) for curve in CURVES)]


def named(value: Any) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize("said", REFERENCE["said"], ids=lambda s: f"{s['metric']}-{s['case']}-{s['tool']}")
def test_other_tools_say_the_same(said: dict[str, Any]) -> None:
    value = getattr(metrics, said["metric"])(*CASES[said["case"]], **said["arguments"])
    if said["metric"] == "reliability_curve":
        value = value[:2]
    np.testing.assert_allclose(value, said["value"], atol=1e-8, rtol=0)


def test_every_metric_has_an_outside_value() -> None:
    missing = {metric.__name__ for metric in NUMBERS} - {said["metric"] for said in REFERENCE["said"]}
    assert not missing


@pytest.mark.parametrize("name", [*MODULES, "risk_coverage"])
def test_examples(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"suffice.metrics.{name}"))
    assert found.attempted
    assert not found.failed


class TestBins:
    @pytest.mark.parametrize("n_bins", [1, 3, 7, 10, 15, 20, 49, 100])
    def test_edges_are_exact(self, n_bins: int) -> None:
        """Every edge k / B, however it was computed, closes its bin; the next number opens another."""
        for k in range(n_bins + 1):
            for edge in {k / n_bins, k * (1 / n_bins), 1 - (n_bins - k) / n_bins, float(Fraction(k, n_bins))}:
                curve = reliability_curve([min(max(edge, 0.0), 1.0)], [1], n_bins)
                assert curve.upper[0] == max(k, 1) / n_bins
                curve = reliability_curve([min(max(edge, 0.0), 1.0)], [1], n_bins, closed="left")
                assert curve.lower[0] == min(k, n_bins - 1) / n_bins

    def test_by_hand(self) -> None:
        confidence = [0.0, 0.1, 0.2, 0.2, 0.6, 1.0]
        correct = [0, 0, 1, 0, 1, 1]
        # five bins: (0, .1, .2, .2), none, (.6), none, (1.0)
        curve = reliability_curve(confidence, correct, 5)
        assert curve.counts.tolist() == [4, 1, 1]
        assert curve.accuracy.tolist() == [0.25, 1.0, 1.0]
        np.testing.assert_allclose(curve.confidence, [0.125, 0.6, 1.0])
        assert expected_calibration_error(confidence, correct, 5) == pytest.approx((4 * 0.125 + 0.4) / 6)
        assert average_calibration_error(confidence, correct, 5) == pytest.approx((0.125 + 0.4) / 3)
        assert maximum_calibration_error(confidence, correct, 5) == pytest.approx(0.4)
        assert rms_calibration_error(confidence, correct, 5) == pytest.approx(
            math.sqrt((4 * 0.125**2 + 0.16) / 6)
        )
        # less 0.25 * 0.75 / 3 in the first bin, the others hold one answer
        expected = math.sqrt(max(0.0, 4 * (0.125**2 - 0.0625) / 6))
        assert debiased_calibration_error(confidence, correct, 5) == pytest.approx(expected)

    @given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(1, 9), st.booleans())
    @settings(max_examples=200, deadline=None)
    def test_equal_mass_is_between_exact_quantiles(self, values: list[int], n_bins: int, left: bool) -> None:
        ordered = sorted(Fraction(v, 16) for v in values)
        edges = []
        for k in range(1, n_bins):
            whole, part = divmod(Fraction(k * (len(values) - 1), n_bins), 1)
            after = ordered[min(whole + 1, len(values) - 1)]
            edges.append(ordered[whole] + part * (after - ordered[whole]))
        numbers = [
            sum(edge <= v if left else edge < v for edge in edges) for v in (Fraction(v, 16) for v in values)
        ]
        counts = [numbers.count(number) for number in sorted(set(numbers))]
        given = np.array(values) / 16
        curve = reliability_curve(given, given > 0.5, n_bins, "mass", "left" if left else "right")
        assert curve.counts.tolist() == counts

    def test_equal_mass_without_ties(self) -> None:
        curve = reliability_curve(np.arange(100) / 99, np.ones(100), 10, "mass")
        assert curve.counts.tolist() == [10] * 10
        assert curve.lower[0] == 0
        assert curve.upper[-1] == 1
        assert (curve.lower <= curve.confidence).all()
        assert (curve.confidence <= curve.upper).all()

    def test_debiasing_takes_away_what_chance_adds(self) -> None:
        """Calibrated confidences, 300 answers, many times: plain ECE is far from 0, debiased near it."""
        rng = np.random.default_rng(0)
        plain, squared = [], []
        for _ in range(200):
            confidence = rng.random(300)
            correct = rng.random(300) < confidence
            plain.append(rms_calibration_error(confidence, correct) ** 2)
            curve = reliability_curve(confidence, correct)
            noise = curve.accuracy * (1 - curve.accuracy) / (curve.counts - 1)
            squared.append(((curve.confidence - curve.accuracy) ** 2 - noise) @ curve.counts / 300)
            assert debiased_calibration_error(confidence, correct) == pytest.approx(
                math.sqrt(max(0.0, squared[-1]))
            )
            assert debiased_calibration_error(confidence, correct, norm="l1") <= expected_calibration_error(
                confidence, correct
            )
        assert np.mean(plain) > 0.005
        assert abs(np.mean(squared)) < 0.0005


class TestRiskCoverage:
    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=6))
    @settings(max_examples=60, deadline=None)
    def test_is_the_mean_over_orders_of_ties(self, rows: list[tuple[int, int]]) -> None:
        confidence = np.array([c for c, _ in rows]) / 2
        correct = np.array([y for _, y in rows]) / 4
        n = len(rows)
        orders = [
            list(order)
            for order in itertools.permutations(range(n))
            if all(confidence[a] >= confidence[b] for a, b in itertools.pairwise(order))
        ]
        kept = np.mean([np.cumsum(correct[order]) / np.arange(1, n + 1) for order in orders], axis=0)
        best = max(
            np.mean(np.cumsum(correct[list(order)]) / np.arange(1, n + 1))
            for order in itertools.permutations(range(n))
        )
        assert auarc(confidence, correct) == pytest.approx(kept.mean())
        assert aurc(confidence, correct) == pytest.approx(1 - kept.mean())
        assert excess_aurc(confidence, correct) == pytest.approx(best - kept.mean(), abs=1e-12)
        for k in range(1, n + 1):
            assert accuracy_at_coverage(confidence, correct, k / n) == pytest.approx(kept[k - 1])
        if correct.min() < correct.max():
            ratio = (kept.mean() - correct.mean()) / (best - correct.mean())
            assert prediction_rejection_ratio(confidence, correct) == pytest.approx(ratio, abs=1e-12)

    @given(st.integers(0, 10_000))
    @settings(max_examples=60, deadline=None)
    def test_coverage_at_accuracy_is_a_threshold(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        confidence, correct = rng.integers(0, 6, 20) / 5, rng.random(20) < 0.6
        target = rng.integers(1, 11) / 10
        slow = max(
            ((confidence >= t).mean() for t in confidence if correct[confidence >= t].mean() >= target),
            default=0.0,
        )
        assert coverage_at_accuracy(confidence, correct, target) == slow

    def test_a_perfect_and_a_worst_order(self) -> None:
        correct = np.arange(10) >= 4
        rising = np.arange(10) / 10
        assert prediction_rejection_ratio(rising, correct) == pytest.approx(1)
        assert excess_aurc(rising, correct) == pytest.approx(0)
        assert prediction_rejection_ratio(1 - rising, correct) < 0
        assert coverage_at_accuracy(rising, correct, 1.0) == 0.6
        assert accuracy_at_coverage(rising, correct, 0.6) == 1
        assert accuracy_at_coverage(rising, correct, 0.61) == pytest.approx(6 / 7)


class TestAnyAnswers:
    @pytest.mark.parametrize(("metric", "kwargs"), ALL, ids=named)
    def test_order_of_rows_does_not_matter(
        self, metric: Callable[..., Any], kwargs: dict[str, float]
    ) -> None:
        rng = np.random.default_rng(7)
        for _ in range(20):
            n = int(rng.integers(2, 60))
            confidence = rng.integers(0, 8, n) / 7
            correct = rng.random(n) < 0.5
            if metric not in BINARY and rng.random() < 0.5:
                correct = rng.random(n)
            mixed = rng.permutation(n)
            once = metric(confidence, correct, **kwargs)
            again = metric(confidence[mixed], correct[mixed], **kwargs)
            np.testing.assert_allclose(np.array(once, float), np.array(again, float), atol=1e-12, rtol=1e-9)

    @pytest.mark.parametrize("metric", BINNED)
    @pytest.mark.parametrize("binning", ["uniform", "mass"])
    def test_bounds_of_calibration_errors(self, metric: Callable[..., float], binning: str) -> None:
        rng = np.random.default_rng(3)
        for n in (1, 2, 5, 50, 500):
            confidence, correct = rng.random(n), rng.random(n) < 0.5
            assert 0 <= metric(confidence, correct, binning=binning) <= 1
            assert metric(confidence, correct, binning=binning) <= maximum_calibration_error(
                confidence, correct, binning=binning
            )

    @pytest.mark.parametrize("metric", [auroc, auprc, aurc, auarc, excess_aurc])
    def test_bounds_of_rankings(self, metric: Callable[..., float]) -> None:
        rng = np.random.default_rng(3)
        for n in (2, 5, 50, 500):
            assert 0 <= metric(rng.integers(0, 5, n) / 4, np.arange(n) % 2) <= 1

    def test_only_order_matters_to_rankings(self) -> None:
        rng = np.random.default_rng(3)
        confidence, correct = rng.integers(0, 9, 80) / 8, rng.random(80) < 0.6
        for metric in (auroc, auprc, aurc, prediction_rejection_ratio):
            assert metric(confidence**3, correct) == pytest.approx(metric(confidence, correct))
        assert auroc(1 - confidence, correct) == pytest.approx(1 - auroc(confidence, correct))

    def test_brier_score_is_the_sum_of_its_parts(self) -> None:
        rng = np.random.default_rng(3)
        confidence = rng.integers(0, 11, 200) / 10
        for correct in (rng.random(200) < confidence, rng.random(200)):
            parts = brier_decomposition(confidence, correct, n_bins=10)
            binned = confidence.copy()
            binned[confidence <= 0.1] = confidence[confidence <= 0.1].mean()
            assert parts.brier_score == pytest.approx(brier_score(binned, correct))

    def test_chance_and_certainty(self) -> None:
        assert auroc([0.5] * 4, [1, 0, 1, 0]) == 0.5
        assert auprc([0.5] * 4, [1, 0, 0, 0]) == 0.25
        assert aurc([0.5] * 4, [1, 0, 0, 0]) == 0.75
        assert negative_log_likelihood([1.0, 0.0], [1, 0]) == pytest.approx(0, abs=1e-15)
        assert negative_log_likelihood([1.0], [0]) == pytest.approx(-math.log(np.finfo(float).eps))
        assert negative_log_likelihood([1.0, 0.0], [0, 0], eps=0) == math.inf
        assert negative_log_likelihood([1.0, 0.0], [1, 0], eps=0) == 0
        assert negative_log_likelihood([0.25], [0.25]) == pytest.approx(
            -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
        )

    def test_spiegelhalter_finds_overconfidence(self) -> None:
        rng = np.random.default_rng(5)
        chance = 0.5 + rng.random(2000) / 2
        correct = rng.random(2000) < chance
        assert spiegelhalter_test(chance, correct).p > 0.05
        z, p = spiegelhalter_test(np.minimum(1.0, chance + 0.05), correct)
        assert z > 2
        assert p < 0.01


class TestUndefined:
    def test_all_right_or_all_wrong(self) -> None:
        confidence = [0.2, 0.5, 0.9]
        for correct in ([1, 1, 1], [0, 0, 0]):
            assert math.isnan(auroc(confidence, correct))
            assert math.isnan(prediction_rejection_ratio(confidence, correct))
            assert excess_aurc(confidence, correct) == 0
            assert aurc(confidence, correct) == 1 - correct[0]
        assert auprc(confidence, [1, 1, 1]) == 1
        assert math.isnan(auprc(confidence, [0, 0, 0]))
        assert coverage_at_accuracy(confidence, [0, 0, 0], 0.5) == 0
        assert coverage_at_accuracy(confidence, [1, 1, 1], 0.5) == 1

    def test_one_answer(self) -> None:
        for metric in BINNED:
            expected = 0.0 if metric is debiased_calibration_error else 0.25
            assert metric([0.75], [True]) == expected
            assert metric([0.75], [True], binning="mass") == expected
        assert debiased_calibration_error([0.75], [True], norm="l1") == 0.25
        assert brier_score([0.75], [1]) == 0.0625
        assert aurc([0.75], [0]) == 1
        assert accuracy_at_coverage([0.75], [1], 0.5) == 1
        assert math.isnan(accuracy_at_coverage([0.75], [1], 0))
        assert math.isnan(auroc([0.75], [1]))
        assert math.isnan(prediction_rejection_ratio([0.75], [1]))

    def test_nothing_to_test(self) -> None:
        assert math.isnan(spiegelhalter_test([0.5, 1.0], [0, 1]).z)
        assert math.isnan(spiegelhalter_test([0.5, 1.0], [0, 1]).p)
        assert spiegelhalter_test([0.5, 1.0], [0, 0]) == (math.inf, 0.0)


class TestClasses:
    probs = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4], [0.5, 0.25, 0.25]])
    labels = np.array([0, 2, 2, 1])

    @pytest.mark.parametrize(
        ("metric", "kwargs"),
        [pair for pair in ALL if pair[0] not in (brier_score, negative_log_likelihood)],
        ids=named,
    )
    def test_the_top_label_is_taken(self, metric: Callable[..., Any], kwargs: dict[str, float]) -> None:
        confidence, correct = top_label(self.probs, self.labels)
        assert confidence.tolist() == [0.7, 0.6, 0.4, 0.5]
        assert correct.tolist() == [1, 0, 1, 0]
        np.testing.assert_array_equal(
            np.array(metric(self.probs, self.labels, **kwargs), float),
            np.array(metric(confidence, correct, **kwargs), float),
        )

    def test_all_classes_count(self) -> None:
        hot = np.eye(3)[self.labels]
        assert brier_score(self.probs, self.labels) == pytest.approx(((self.probs - hot) ** 2).sum() / 4)
        assert negative_log_likelihood(self.probs, self.labels) == pytest.approx(
            -np.log([0.7, 0.3, 0.4, 0.25]).mean()
        )
        by_class = [expected_calibration_error(self.probs[:, k], hot[:, k]) for k in range(3)]
        assert classwise_calibration_error(self.probs, self.labels) == pytest.approx(np.mean(by_class))

    def test_two_classes_are_the_binary_case(self) -> None:
        rng = np.random.default_rng(2)
        c, y = rng.random(50), rng.integers(0, 2, 50)
        both = np.stack([1 - c, c], axis=1)
        assert negative_log_likelihood(both, y) == pytest.approx(negative_log_likelihood(c, y))
        assert brier_score(both, y) == pytest.approx(2 * brier_score(c, y))

    @pytest.mark.parametrize(
        ("probs", "labels", "says"),
        [
            ([[0.5, 0.6]], [0], "sum to 1.1 in row 0"),
            ([[0.5, 0.5]], [2], "label is 2 in row 0"),
            ([[0.5, 0.5]], [-1], "label is -1 in row 0"),
            ([[0.5, 0.5]], [0, 1], "shape"),
            ([[1.0]], [0], "K from 2"),
            ([[np.nan, 0.5]], [0], "probs is nan in row 0"),
        ],
    )
    def test_refuses(self, probs: Any, labels: Any, says: str) -> None:
        for metric in (expected_calibration_error, brier_score, negative_log_likelihood, auroc):
            with pytest.raises(DataError, match=says):
                metric(probs, labels)


class TestRefusals:
    @pytest.mark.parametrize(("metric", "kwargs"), ALL, ids=named)
    @pytest.mark.parametrize(
        ("confidence", "correct", "says"),
        [
            ([0.5, 0.5], [1], "shape"),
            ([[0.5]], [1], "K from 2"),
            (0.5, 1, "a number per answer"),
            ([], [], "empty: at least one answer"),
            ([0.5, np.nan], [1, 0], "confidence is nan in row 1 .*drop rows"),
            ([0.5, None], [1, 0], "confidence is nan in row 1"),
            ([0.5, 0.5], [1, np.nan], "correct is nan in row 1"),
            ([0.5, 1.5], [1, 0], r"confidence is 1.5 in row 1 .*expected \[0, 1\]"),
            ([-0.1, 0.5], [1, 0], "confidence is -0.1 in row 0"),
            ([0.5, np.inf], [1, 0], "confidence is inf"),
            ([0.5, 0.5], [1, 2], "correct is 2 in row 1"),
            (["a", "b"], [1, 0], "cannot be read as numbers"),
        ],
    )
    def test_bad_answers(
        self, metric: Callable[..., Any], kwargs: dict[str, float], confidence: Any, correct: Any, says: str
    ) -> None:
        with pytest.raises(DataError, match=says) as caught:
            metric(confidence, correct, **kwargs)
        assert isinstance(caught.value, ValueError)

    @pytest.mark.parametrize("metric", BINARY)
    def test_graded_where_it_must_be_binary(self, metric: Callable[..., Any]) -> None:
        with pytest.raises(DataError, match=r"correct is 0\.5 in row 1: this metric needs right or wrong"):
            metric([0.5, 0.7], [1, 0.5])

    @pytest.mark.parametrize(
        ("call", "says"),
        [
            (lambda c, y: expected_calibration_error(c, y, 0), "n_bins is 0"),
            (lambda c, y: expected_calibration_error(c, y, 2.5), "n_bins is 2.5"),  # type: ignore[arg-type]
            (lambda c, y: expected_calibration_error(c, y, binning="equal"), "'equal'"),  # type: ignore[arg-type]
            (lambda c, y: expected_calibration_error(c, y, closed="both"), "'both'"),  # type: ignore[arg-type]
            (lambda c, y: debiased_calibration_error(c, y, norm="max"), "norm is 'max'"),  # type: ignore[arg-type]
            (lambda c, y: prediction_rejection_ratio(c, y, 0), r"\(0, 1\]"),
            (lambda c, y: accuracy_at_coverage(c, y, 90), "coverage is 90.*0.9 is 90 %"),
            (lambda c, y: coverage_at_accuracy(c, y, math.nan), "accuracy is nan"),
            (lambda c, y: negative_log_likelihood(c, y, eps=0.5), "eps is 0.5"),
            (lambda c, y: bootstrap_ci(auroc, c, y, n=0), "n is 0"),
            (lambda c, y: bootstrap_ci(auroc, c, y, level=95), "level 95"),
            (lambda c, y: bootstrap_ci(risk_coverage_curve, c, y), "risk_coverage_curve gives no fixed"),
        ],
    )
    def test_bad_arguments(self, call: Callable[..., Any], says: str) -> None:
        with pytest.raises(DataError, match=says):
            call([0.2, 0.7, 0.9], [0, 1, 1])


class TestBootstrap:
    @pytest.mark.parametrize(("metric", "kwargs"), NUMBERS.items(), ids=named)
    def test_works_for_each(self, metric: Callable[..., Any], kwargs: dict[str, float]) -> None:
        rng = np.random.default_rng(1)
        confidence = rng.random(150)
        correct = rng.random(150) < confidence
        low, high = bootstrap_ci(metric, confidence, correct, n=100, **kwargs)
        assert np.all(np.asarray(low) <= np.asarray(high))
        assert np.shape(low) == np.shape(metric(confidence, correct, **kwargs))
        again = bootstrap_ci(metric, confidence, correct, n=100, **kwargs)
        np.testing.assert_array_equal(again.low, low)

    def test_covers(self) -> None:
        """Brier score of 100 answers: about 95 of 100 intervals hold the true mean."""
        rng = np.random.default_rng(1)
        held = 0
        for _ in range(100):
            confidence = rng.random(100)
            low, high = bootstrap_ci(brier_score, confidence, rng.random(100) < confidence, n=200)
            held += low <= 1 / 6 <= high
        assert held >= 88

    def test_equals_a_loop(self) -> None:
        confidence, correct = CASES["edges"]
        rng = np.random.default_rng(3)
        slow = [auroc(confidence[rows], correct[rows]) for rows in rng.integers(240, size=(50, 240))]
        interval = bootstrap_ci(auroc, confidence, correct, n=50, level=0.8, seed=3)
        np.testing.assert_allclose(interval, np.quantile(slow, [0.1, 0.9]))

    def test_undefined_resamples_are_left_out(self) -> None:
        assert bootstrap_ci(auroc, [0.2, 0.9], [0, 1]) == (1.0, 1.0)
        assert np.isnan(bootstrap_ci(auroc, [0.2, 0.9], [1, 1])).all()

    def test_classes(self) -> None:
        probs, labels = CASES["classes"]
        low, high = bootstrap_ci(brier_score, probs, labels, n=100)
        assert low < brier_score(probs, labels) < high
        low, high = bootstrap_ci(classwise_calibration_error, probs, labels, n=20)
        assert 0 < low < high


def test_every_name_is_on_the_page() -> None:
    names = {metric.__name__ for metric in (*NUMBERS, *CURVES)} | {
        "bootstrap_ci",
        "top_label",
        "classwise_calibration_error",
    }
    assert names <= set(metrics.__all__)
    assert not [name for name in names if f"`{name}" not in PAGE]


def test_importing_metrics_pulls_in_numpy_only() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import suffice.metrics; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names) - {'suffice', 'numpy'}))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
