"""Logistic regression, support vectors, networks, trees, Hybrid LLM and CARROT, by hand and by oracle."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import routers
from suffice.embedders import HashedNgrams
from suffice.errors import ArtefactError, ConfigError, UnknownModel
from suffice.outcomes import Outcomes
from suffice.routers import network
from suffice.routers.artefact import Arrays
from suffice.routers.costs import fit_cost_model
from suffice.routers.crossfit import Belief, CrossFit, Parts, folds
from suffice.routers.gbm import GBM
from suffice.routers.gradients import conjugate_gradients
from suffice.routers.hybrid import best_shift
from suffice.routers.irls import LinearKernel, logistic_path, sigmoid
from suffice.routers.sparse import SparseMatrix
from suffice.routers.textstats import NAMES, text_statistics
from suffice.routers.trees import Trees
from suffice.types import FloatArray, Price, PriceTier, SparseFeatures

EMBEDDER = HashedNgrams()
NEW = ("logistic", "svm", "mlp", "gbm", "hybrid", "carrot")
SUBJECTS = {
    "maths": ["integral", "derivative", "equation", "polynomial", "matrix", "theorem", "proof", "converges"],
    "code": ["python", "function", "loop", "compile", "recursion", "array", "pointer", "exception"],
    "verse": ["poem", "rhyme", "sonnet", "metaphor", "stanza", "lyric", "ballad", "verse"],
}
STRENGTHS = {"maths": (0.9, 0.3, 0.6), "code": (0.2, 0.8, 0.6), "verse": (0.5, 0.5, 0.6)}
TOKENS = {"maths": 400.0, "code": 200.0, "verse": 50.0}
ARMS = ("abacus", "coder", "allround")


def table(n: int = 400, seed: int = 0, *, known: float = 1.0) -> tuple[Outcomes, list[str]]:
    """Queries on three subjects; each arm is good at one; answers are longest on maths."""
    rng = np.random.default_rng(seed)
    subjects = rng.choice(list(SUBJECTS), n).tolist()
    texts = [" ".join(rng.choice(SUBJECTS[subject], 5)) + f" {i}" for i, subject in enumerate(subjects)]
    quality = (rng.random((n, 3)) < [STRENGTHS[subject] for subject in subjects]).astype(np.float64)
    quality[rng.random((n, 3)) > known] = np.nan
    tokens = np.array([TOKENS[subject] for subject in subjects])[:, None] * rng.uniform(0.8, 1.2, (n, 3))
    outcomes = Outcomes.from_arrays(
        texts,
        ARMS,
        quality,
        prompt_tokens=np.full((n, 3), 20.0),
        completion_tokens=tokens,
        cost_usd=tokens * 1e-6,
    )
    return outcomes, subjects


TRAIN, _ = table()
TEST, TEST_SUBJECTS = table(200, seed=9)


def fit(name: str, outcomes: Outcomes = TRAIN, **params: Any) -> Any:
    return routers.create(name, EMBEDDER, **params).fit(outcomes)


def sparse(n: int, width: int, seed: int = 0) -> tuple[SparseMatrix, FloatArray]:
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((n, width)) < 0.3, rng.standard_normal((n, width)), 0).astype(np.float32)
    rows, columns = dense.nonzero()
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=n)))).astype(np.int64)
    features = SparseFeatures(
        indptr=indptr, indices=columns.astype(np.int32), values=dense[rows, columns], n_columns=width
    )
    return SparseMatrix(features), dense.astype(np.float64)


# What is planted is found, and noise is not believed.


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("known", [1.0, 0.7])
def test_subjects_are_told_apart(name: str, known: float) -> None:
    train, _ = table(500, known=known)
    scores = fit(name, train).scores(TEST.queries)
    for subject, expected in (("maths", 0), ("code", 1)):
        rows = np.array(TEST_SUBJECTS) == subject
        least = 0.75 if name == "gbm" else 0.9  # trees need more queries than this to see it as clearly
        assert (scores[rows].argmax(axis=1) == expected).mean() > least
        np.testing.assert_allclose(scores[rows].mean(axis=0), STRENGTHS[subject], atol=0.2)


@pytest.mark.parametrize("name", NEW)
def test_noise_is_not_believed(name: str) -> None:
    noise = np.random.default_rng(1).random((400, 3)).round()
    scores = fit(name, Outcomes.from_arrays(TRAIN.texts, ARMS, noise)).scores(TEST.queries)
    assert np.abs(scores - noise.mean(axis=0)).mean() < 0.06


@pytest.mark.parametrize("name", NEW)
def test_constant_quality_is_kept_and_an_unknown_arm_stays_unknown(name: str) -> None:
    quality = np.full((400, 3), 0.3)
    quality[:, 1] = np.nan
    scores = fit(name, Outcomes.from_arrays(TRAIN.texts, ARMS, quality)).scores(TEST.queries)
    np.testing.assert_allclose(scores[:, [0, 2]], 0.3, atol=1e-6)
    assert np.isnan(scores[:, 1]).all()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("logistic", {"penalties": ()}),
        ("logistic", {"penalties": (0.0,)}),
        ("logistic", {"n_folds": 1}),
        ("logistic", {"features": "pixels"}),
        ("svm", {"loss": "hinge"}),
        ("svm", {"penalties": (-1.0,)}),
        ("svm", {"max_rows": 0}),
        ("svm", {"gamma": 0.0}),
        ("svm", {"projection": "pca"}),
        ("mlp", {"hidden": (8,)}),
        ("mlp", {"lr": 0.0}),
        ("mlp", {"patience": 0}),
        ("gbm", {"n_trees": 0}),
        ("gbm", {"n_leaves": 1}),
        ("hybrid", {"form": "magic"}),
        ("hybrid", {"strongest": "nobody"}),
        ("carrot", {"estimator": "forest"}),
    ],
)
def test_parameters_that_cannot_be(name: str, params: dict[str, Any]) -> None:
    with pytest.raises((ConfigError, UnknownModel)):
        fit(name, **params)


# Held-out predictions and what is believed of them.


def test_parts_put_together_are_the_departures() -> None:
    for quality in (TRAIN.quality[:50], TRAIN.quality[:50, :2], TRAIN.quality[:50, :1]):
        parts = Parts(quality)
        np.testing.assert_allclose(
            parts.departures(parts.targets), quality - quality.mean(axis=0), atol=1e-12
        )
    assert len(Parts(TRAIN.quality[:, :2]).targets) == 2
    assert len(Parts(TRAIN.quality[:, :1]).targets) == 1


def test_a_perfect_prediction_is_followed_and_its_double_halved() -> None:
    truth = TRAIN.quality - TRAIN.quality.mean(axis=0)
    rows = np.arange(len(truth))
    for factor in (1.0, 2.0):
        crossfit = CrossFit(TRAIN.quality)
        crossfit.add(0, rows, factor * truth)
        belief = crossfit.belief()
        np.testing.assert_allclose(belief.slopes, 1 / factor, rtol=1e-6)
        np.testing.assert_allclose(belief.scores(factor * truth, factor * truth), TRAIN.quality, atol=1e-9)


def test_the_short_way_to_scores_is_the_long_way() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 5, 3))
    short = Belief(np.array([0.2, 0.5, 0.7]), (0, 1), (0.7, 0.3), 0.3 * np.eye(3)).scores(first, second)
    own = second - second.mean(axis=1, keepdims=True)
    expected = np.array([0.2, 0.5, 0.7]) + 0.7 * first.mean(axis=1, keepdims=True) + 0.3 * own
    np.testing.assert_allclose(short, expected)
    gap = np.insert(first, 1, 99.0, axis=1), np.insert(second, 1, np.nan, axis=1)
    long = Belief(np.array([0.2, np.nan, 0.5, 0.7]), (0, 1), (0.7, 0.3), 0.3 * np.eye(4)).scores(*gap)
    np.testing.assert_allclose(np.delete(long, 1, axis=1), expected)
    assert np.isnan(long[:, 1]).all()


def test_equal_texts_are_never_on_both_sides() -> None:
    texts = [f"text {i % 20}" for i in range(100)]
    for inside, held in folds(texts, 3, 0):
        assert not {texts[i] for i in inside} & {texts[i] for i in held}
        assert len(inside) + len(held) == 100
    assert not list(folds(["same"] * 5, 3, 0))


# Solvers against plain ones.


def test_conjugate_gradients_solve() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((12, 12))
    matrix, right = root @ root.T + np.eye(12), rng.standard_normal((3, 12))
    right[1] = 0
    solved = conjugate_gradients(lambda rows: rows @ matrix, right, tolerance=1e-10)
    np.testing.assert_allclose(solved, np.linalg.solve(matrix, right.T).T, atol=1e-7)
    again = conjugate_gradients(lambda rows: rows @ matrix, right, solved, tolerance=1e-8, max_iterations=1)
    np.testing.assert_allclose(again, solved, atol=1e-7)


@pytest.mark.parametrize("has_gram", [True, False])
def test_logistic_regression_is_at_its_optimum(has_gram: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suffice.routers.irls._TOLERANCE", 1e-5)
    monkeypatch.setattr("suffice.routers.irls._CG_TOLERANCE", 1e-4)
    if not has_gram:
        monkeypatch.setattr("suffice.routers.irls._MAX_GRAM", 0)
    matrix, x = sparse(60, 25)
    rng = np.random.default_rng(3)
    targets = rng.random((2, 60)).astype(np.float32)
    mask = (rng.random((2, 60)) < 0.8).astype(np.float32)
    offsets = np.array([0.5, -1.0], np.float32)
    for penalty, weights in zip(
        (4.0, 0.5),
        logistic_path(LinearKernel(matrix), targets * mask, mask, offsets, (4.0, 0.5)),
        strict=True,
    ):
        full = np.hstack((x, np.ones((60, 1))))
        chances = sigmoid((weights @ full.T + offsets[:, None]).astype(np.float32))
        gradient = (mask * (chances - targets)) @ full + penalty * weights
        np.testing.assert_allclose(gradient, 0, atol=5e-3)


def test_logistic_agrees_with_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suffice.routers.irls._TOLERANCE", 1e-5)
    monkeypatch.setattr("suffice.routers.irls._CG_TOLERANCE", 1e-4)
    linear = pytest.importorskip("sklearn.linear_model")
    matrix, x = sparse(80, 20, seed=4)
    y = (np.random.default_rng(5).random(80) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(np.float32)
    full = np.hstack((x, np.ones((80, 1))))
    theirs = linear.LogisticRegression(C=1.0, fit_intercept=False, tol=1e-8).fit(full, y).coef_[0]
    kernel, mask = LinearKernel(matrix), np.ones((1, 80), np.float32)
    (ours,) = logistic_path(kernel, y[None], mask, np.zeros(1, np.float32), (1.0,))
    np.testing.assert_allclose(ours[0], theirs, atol=5e-3)


# Support vectors.


def test_svm_solves_its_system() -> None:
    router = fit("svm", penalties=(3.0,), gamma=0.8)
    x = router.vectors_(TRAIN.texts)
    kernel = np.exp(-0.8 * ((x[:, None].astype(np.float64) - x[None]) ** 2).sum(axis=2))
    residual = TRAIN.quality - TRAIN.quality.mean(axis=0)
    fitted = kernel @ np.linalg.solve(kernel + 3 * np.eye(len(x)), residual)
    expected = router.belief_.scores(fitted, fitted)
    np.testing.assert_allclose(router.scores_of_vectors(x), expected, atol=2e-3)


def test_svm_with_the_epsilon_loss_is_scikit_learns() -> None:
    svm = pytest.importorskip("sklearn.svm")
    router = fit("svm", TRAIN.select(arms=["coder"]), loss="epsilon", penalties=(1.0,), gamma=1.0)
    quality = TRAIN.quality[:, 1]
    x = router.vectors_(TRAIN.texts)
    theirs = svm.SVR(C=1.0, gamma=1.0, epsilon=0.1, tol=1e-4).fit(x, quality - quality.mean())
    asked = router.vectors_(TEST.texts)
    predicted = theirs.predict(asked)[:, None]
    expected = router.belief_.scores(predicted, predicted)
    np.testing.assert_allclose(router.scores_of_vectors(asked), expected, atol=5e-3)
    assert len(router.support_) <= len(theirs.support_) + 5


def test_svm_learns_from_a_sample_that_goes_by_the_texts() -> None:
    router = fit("svm", max_rows=100)
    assert len(router.support_) == 100
    turned = fit("svm", TRAIN.select(np.arange(TRAIN.n_queries)[::-1]), max_rows=100)
    np.testing.assert_allclose(turned.scores(TEST.queries), router.scores(TEST.queries), atol=1e-3)


# Networks.


def test_gradients_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    weights = {
        name: rng.standard_normal(a.shape) * 0.5 for name, a in network.initial(4, (6, 5), 3, 0).items()
    }
    x, y, mask = rng.standard_normal((7, 4)), rng.random((7, 3)), (rng.random((7, 3)) < 0.7).astype(float)
    offsets = rng.standard_normal(3)
    for name, gradient in network.gradients(weights, x, y, mask, offsets).items():
        array = weights[name]
        for place in np.ndindex(array.shape):
            kept, sides = array[place], []
            for step in (1e-6, -1e-6):
                array[place] = kept + step
                sides.append(network.loss(network.logits(weights, x) + offsets, y, mask))
            array[place] = kept
            assert gradient[place] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-6)


def test_training_keeps_the_best_epoch() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 4)), rng.integers(0, 2, (60, 2)).astype(float)
    inside, held = (x[:40], y[:40], np.ones((40, 2))), (x[40:], y[40:], np.ones((20, 2)))
    options: dict[str, Any] = {"lr": 0.05, "penalty": 0.0, "batch": 8, "patience": 4, "seed": 0}
    start = network.initial(4, (16, 8), 2, 0)
    before = network.loss(network.logits(start, held[0]), held[1], held[2])
    best = network.train(start, inside, held, np.zeros(2), max_epochs=30, **options)
    assert network.loss(network.logits(best, held[0]), held[1], held[2]) <= before


def test_mlp_is_the_mean_of_its_networks() -> None:
    router = fit("mlp", hidden=(12, 6), max_epochs=15)
    x = router.vectors_(TEST.texts)
    chances = []
    for number in range(3):
        weights = {name: array[number].astype(np.float64) for name, array in router.arrays_.items()}
        z = network.logits(weights, x.astype(np.float64)) + router.offsets_
        chances.append(1 / (1 + np.exp(-z)) - 1 / (1 + np.exp(-router.offsets_.astype(np.float64))))
    departures = np.mean(chances, axis=0)
    expected = router.belief_.scores(departures, departures)
    np.testing.assert_allclose(router.scores_of_vectors(x), expected, atol=1e-5)


# Boosted trees.


def test_trees_are_lightgbms() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 6))
    targets = np.vstack((np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2], x[:, 3]))
    params = {"verbose": -1, "num_threads": 1, "num_leaves": 11, "deterministic": True}
    models = [lightgbm.train(params, lightgbm.Dataset(x, target), 25) for target in targets]
    trees = Trees.of_models([(n, model.dump_model(), 20) for n, model in enumerate(models)])
    asked = np.vstack((rng.standard_normal((300, 6)) * 2, x[:50]))
    expected = np.column_stack([model.predict(asked, num_iteration=20) for model in models])
    np.testing.assert_allclose(trees.predict(asked, 2), expected, atol=1e-9)
    np.testing.assert_array_equal(trees.predict(asked[:1], 2), trees.predict(asked, 2)[:1])
    kept = Trees.restore(Arrays(trees.arrays), 6, 2)
    np.testing.assert_array_equal(kept.predict(asked, 2), trees.predict(asked, 2))


def test_gbm_is_its_boosters() -> None:
    pytest.importorskip("lightgbm")
    router = fit("gbm", n_trees=12)
    x = np.hstack((router.vectors_(TEST.texts).astype(np.float64), text_statistics(TEST.texts)))
    expected = router.belief_.scores(*2 * (_departures(router, x),))
    np.testing.assert_allclose(router.scores_of_features(x), expected, atol=1e-6)


def _departures(router: GBM, x: FloatArray) -> FloatArray:
    """By one tree and one row after another."""
    arrays = router.trees_.arrays
    sums = np.zeros((len(x), 4))
    for root, target in zip(arrays["root"], arrays["target"], strict=True):
        for row, features in enumerate(x):
            node = root
            while arrays["left"][node] != node:
                goes_left = features[arrays["feature"][node]] <= arrays["threshold"][node]
                node = arrays["left" if goes_left else "right"][node]
            sums[row, target] += arrays["value"][node]
    return sums[:, :1] + sums[:, 1:]


@pytest.mark.parametrize(("name", "value"), [("left", 99), ("feature", 7), ("target", -1)])
def test_trees_that_point_outside_are_refused(name: str, value: int) -> None:
    arrays = {
        "feature": np.zeros(3, np.int32),
        "threshold": np.zeros(3),
        "left": np.array([1, 1, 2], np.int32),
        "right": np.array([2, 1, 2], np.int32),
        "value": np.array([0.0, -1.0, 1.0]),
        "root": np.zeros(1, np.int32),
        "target": np.zeros(1, np.int32),
    }
    assert Trees.restore(Arrays(arrays), 2, 1).predict(np.array([[-1.0, 0], [1, 0]]), 1).tolist() == [
        [-1],
        [1],
    ]
    arrays[name] = arrays[name].copy()
    arrays[name][0] = value
    with pytest.raises(ArtefactError, match="outside"):
        Trees.restore(Arrays(arrays), 2, 1)


def test_trees_that_go_in_circles_are_refused() -> None:
    nodes = np.array([1, 0], np.int32)
    arrays = {"feature": nodes * 0, "threshold": np.zeros(2), "left": nodes, "right": nodes}
    arrays |= {"value": np.zeros(2), "root": np.zeros(1, np.int32), "target": np.zeros(1, np.int32)}
    with pytest.raises(ArtefactError, match="cycle"):
        Trees(arrays)


def test_text_statistics_by_hand() -> None:
    text = "What is 12 + 3?\ndef F"
    found = dict(zip(NAMES, text_statistics([text])[0].tolist(), strict=True))
    n = len(text)
    assert found["log_characters"] == pytest.approx(np.log1p(n))
    assert found["log_words"] == pytest.approx(np.log1p(7))
    assert found["log_lines"] == pytest.approx(np.log1p(1))
    assert found["digits"] == pytest.approx(3 / n)
    assert found["capitals"] == pytest.approx(2 / n)
    assert found["signs_?"] == pytest.approx(1 / n)
    assert found["signs_=+*/^<>"] == pytest.approx(1 / n)
    assert found["def"] == 1
    assert found["prove"] == 0
    assert text_statistics([]).shape == (0, len(NAMES))
    assert np.isfinite(text_statistics(["", "x" * 10**6, "你好", "\ud800"])).all()


# Hybrid LLM.


def test_the_shift_makes_labels_differ_most() -> None:
    gaps = np.array([-0.9, -0.5, -0.4, -0.3, 0.0, 0.1])
    shares = {t: (gaps >= -t).mean() for t in (0.0, 0.3, 0.4, 0.5, 0.9)}
    assert best_shift(gaps) == max(shares, key=lambda t: 2 * shares[t] * (1 - shares[t])) == 0.3
    assert best_shift(np.array([0.0, 0.0, -1.0])) == 0.0  # 2/3 are no worse; with t = 1 all would be
    assert best_shift(np.array([])) == 0.0


def test_hybrid_holds_every_arm_against_the_strongest() -> None:
    router = fit("hybrid", form="deterministic", strongest="allround")
    quality = TRAIN.quality
    labels = (quality[:, 0] >= quality[:, 2]).astype(float)
    gap = quality[:, 0] - quality[:, 2]
    assert router.base_[0] == pytest.approx(labels.mean())
    assert router.rises_[0] == pytest.approx(gap[labels == 1].mean() - gap[labels == 0].mean())
    scores = router.scores(TEST.queries)
    np.testing.assert_allclose(scores[:, 2], quality[:, 2].mean())
    chances = router.chances_.scores(TEST.queries)[:, 0]
    moved = scores[:, 0] - quality[:, 0].mean()
    np.testing.assert_allclose(moved, (chances - labels.mean()) * router.rises_[0], atol=1e-9)


def test_forms_of_hybrid() -> None:
    right_or_wrong = [
        fit("hybrid", form=form).scores(TEST.queries) for form in ("deterministic", "probabilistic")
    ]
    np.testing.assert_allclose(*right_or_wrong, atol=1e-9)  # one answer of either: no chance but 0 or 1
    soft = Outcomes.from_arrays(TRAIN.texts, ARMS, 0.25 + TRAIN.quality / 2)
    labels = fit("hybrid", soft, form="probabilistic", strongest="allround").base_
    q = soft.quality
    assert labels[0] == pytest.approx((1 - q[:, 2] * (1 - q[:, 0])).mean())
    rare = np.where(np.random.default_rng(0).random((400, 1)) < 0.9, [[0.6, 1.0]], [[0.9, 0.8]])
    router = fit("hybrid", Outcomes.from_arrays(TRAIN.texts, ARMS[:2], rare), form="transformed")
    assert router.shifts_[0] == 0.0  # all or a tenth: a tenth tells more
    assert fit("hybrid", TRAIN.select(arms=["coder"])).scores(TEST.queries).std() == pytest.approx(0)


# CARROT.

PRICES = {
    "abacus": Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(4)),
    "coder": Price(input_usd_per_mtok=Decimal(2), output_usd_per_mtok=Decimal(8)),
}


@pytest.mark.parametrize("estimator", ["knn", "linear"])
def test_carrot_learns_what_answers_cost(estimator: str, tmp_path: Path) -> None:
    router = fit("carrot", estimator=estimator)
    model = router.cost_model(PRICES)
    assert model.arms == ARMS
    costs = model.costs(TEST.queries)
    by_length = fit_cost_model(TRAIN, PRICES).costs(TEST.queries)
    for subject, tokens in TOKENS.items():
        rows = np.array(TEST_SUBJECTS) == subject
        expected = [20e-6 + 4e-6 * tokens, 40e-6 + 8e-6 * tokens, 1e-6 * tokens]
        np.testing.assert_allclose(costs[rows].mean(axis=0), expected, rtol=0.25)
        gap = np.abs(costs[rows].mean(axis=0) - expected)
        assert (gap < np.abs(by_length[rows].mean(axis=0) - expected) + 2e-5).all()
    doubled = Price(input_usd_per_mtok=Decimal(2), output_usd_per_mtok=Decimal(8))
    dearer = router.cost_model({"abacus": doubled}).costs(TEST.queries)
    np.testing.assert_allclose(dearer[:, 0], 2 * costs[:, 0])  # no training again
    router.save(tmp_path)
    loaded: Any = routers.load(tmp_path, EMBEDDER)
    np.testing.assert_array_equal(loaded.cost_model(PRICES).costs(TEST.queries), costs)
    assert model.costs([]).shape == (0, 3)


def test_carrots_costs_where_little_is_known() -> None:
    tiered = Price(
        input_usd_per_mtok=Decimal(1),
        output_usd_per_mtok=Decimal(4),
        tiers=(
            PriceTier(min_prompt_tokens=1, input_usd_per_mtok=Decimal(3), output_usd_per_mtok=Decimal(9)),
        ),
    )
    router = fit("carrot")
    prices = {"abacus": tiered, "coder": Price(usd_per_cpu_hour=Decimal(1))}
    fallback = fit_cost_model(TRAIN, prices).costs(TEST.queries)
    np.testing.assert_allclose(router.cost_model(prices).costs(TEST.queries)[:, :2], fallback[:, :2])
    free = Outcomes.from_arrays(TRAIN.texts, ARMS, TRAIN.quality)
    assert np.isnan(fit("carrot", free).cost_model(PRICES).costs(TEST.queries)).all()


def test_carrot_scores_as_its_estimator() -> None:
    for estimator, other in (("knn", "knn"), ("linear", "ridge")):
        scores = fit("carrot", estimator=estimator).scores(TEST.queries)
        np.testing.assert_array_equal(scores, fit(other).scores(TEST.queries))


def test_its_costs_and_the_papers_rule_choose_as_the_utility_policy() -> None:
    router = fit("carrot")
    p, c = router.scores(TEST.queries), router.cost_model(PRICES).costs(TEST.queries)
    for mu in (0.5, 0.99, 0.9999):
        rule, value = (1 - mu) * p - mu * c, (1 - mu) / mu
        np.testing.assert_array_equal(rule.argmax(axis=1), (value * p - c).argmax(axis=1))


def test_serving_needs_no_training_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("gbm", "svm")
    for name in names:
        fit(name).save(tmp_path / name)
    for library in ("lightgbm", "sklearn", "sklearn.svm"):
        monkeypatch.setitem(__import__("sys").modules, library, None)
    for name in names:
        assert routers.load(tmp_path / name, EMBEDDER).scores(TEST.queries).shape == (200, 3)
    with pytest.raises(Exception, match=r"suffice\[train\]"):
        fit("gbm")
    with pytest.raises(Exception, match=r"suffice\[train\]"):
        fit("svm", loss="epsilon")
