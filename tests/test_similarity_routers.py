"""k-means, similarity-weighted ranking and Elo against plain loops and planted structure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import routers
from suffice.embedders import HashedNgrams
from suffice.errors import ArtefactError, ConfigError, DataError, UnknownModel
from suffice.outcomes import Outcomes, Preferences
from suffice.routers.added import learn_arm, luck
from suffice.routers.battles import Battles
from suffice.routers.bradley_terry import bradley_terry, win_table
from suffice.routers.clustering import cluster_sums, kmeans, soft_weights
from suffice.routers.draws import text_draws
from suffice.routers.preferring import expected_win_rates
from suffice.routers.tiers import tiers_of
from suffice.routers.wins import WinCounts
from suffice.types import Query

EMBEDDER = HashedNgrams()
WORDS = {
    "maths": ["integral", "derivative", "equation", "polynomial", "matrix", "theorem", "proof", "converges"],
    "code": ["python", "function", "loop", "compile", "recursion", "array", "pointer", "exception"],
}
ARMS = ("abacus", "coder", "allround", "weak")
STRENGTHS = {"maths": (0.9, 0.3, 0.6, 0.2), "code": (0.2, 0.9, 0.6, 0.1)}
PAIRWISE = ("sw_ranking", "elo", "mf")
LEARNT = ("kmeans", *PAIRWISE, "embedllm", "irt")


def table(n: int, seed: int = 0) -> tuple[Outcomes, list[str]]:
    rng = np.random.default_rng(seed)
    subjects = rng.choice(list(WORDS), n).tolist()
    texts = [" ".join(rng.choice(WORDS[one], 5)) + f" {i}" for i, one in enumerate(subjects)]
    quality = (rng.random((n, 4)) < [STRENGTHS[one] for one in subjects]).astype(float)
    return Outcomes.from_arrays(texts, ARMS, quality), subjects


TRAIN, _ = table(500)
TEST, SUBJECTS = table(150, seed=1)


def preferences(outcomes: Outcomes, seed: int = 2) -> Preferences:
    """One battle a query, of two arms drawn by lot."""
    rng = np.random.default_rng(seed)
    pairs = [rng.choice(4, 2, replace=False) for _ in outcomes.texts]
    prefs = [(1 + q[b] - q[a]) / 2 for q, (a, b) in zip(outcomes.quality, pairs, strict=True)]
    first, second = ([ARMS[pair[side]] for pair in pairs] for side in (0, 1))
    return Preferences.from_columns(outcomes.ids, outcomes.texts, first, second, prefs)


def share_right(scores: Any, arms: Sequence[str]) -> float:
    best = [arms[arm] for arm in scores.argmax(axis=1)]
    wanted = {"maths": "abacus", "code": "coder"}
    return float(np.mean([arm == wanted[one] for arm, one in zip(best, SUBJECTS, strict=True)]))


@pytest.mark.parametrize("name", LEARNT)
def test_subjects_are_told_apart(name: str) -> None:
    router = routers.create(name, EMBEDDER).fit(TRAIN)
    scores = router.scores(TEST.queries)
    assert share_right(scores, router.arms) > 0.9
    expected = np.array([STRENGTHS[one] for one in SUBJECTS])
    gaps = scores - expected
    assert np.abs(gaps - gaps.mean(axis=1, keepdims=True)).mean() < 0.1


@pytest.mark.parametrize("name", LEARNT)
def test_noise_is_not_believed(name: str) -> None:
    noise = np.random.default_rng(1).random((500, 4)).round()
    scores = (
        routers.create(name, EMBEDDER)
        .fit(Outcomes.from_arrays(TRAIN.texts, ARMS, noise))
        .scores(TEST.queries)
    )
    assert np.abs(scores - noise.mean(axis=0)).mean() < 0.06


@pytest.mark.parametrize("name", PAIRWISE)
def test_preferences_are_learnt_natively(name: str, tmp_path: Path) -> None:
    router = routers.create(name, EMBEDDER).fit_preferences(preferences(table(1500, seed=5)[0]))
    assert router.arms == tuple(sorted(ARMS))
    scores = router.scores(TEST.queries)
    assert share_right(scores, router.arms) > 0.8
    np.testing.assert_allclose(scores.mean(axis=1), 0.5, atol=1e-6)  # win rates
    router.save(tmp_path)
    np.testing.assert_array_equal(routers.load(tmp_path, EMBEDDER).scores(TEST.queries), scores)


@pytest.mark.parametrize("name", PAIRWISE)
def test_only_ties(name: str) -> None:
    ties = Preferences.from_columns(["1", "2"], ["a b", "c d"], ["x", "x"], ["y", "z"], [0.5, 0.5])
    scores = routers.create(name, EMBEDDER).fit_preferences(ties).scores([Query(text="a b")])
    np.testing.assert_allclose(scores, 0.5, atol=0.15)


@pytest.mark.parametrize("name", PAIRWISE)
def test_no_battles(name: str) -> None:
    with pytest.raises(DataError):
        routers.create(name, EMBEDDER).fit_preferences(
            Preferences.from_columns(["1"], ["a"], ["x"], ["x"], [1.0])
        )


def test_kmeans_finds_groups_and_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((5, 6), np.float32) * 4
    vectors = truth[np.arange(200) % 5] + 0.05 * rng.standard_normal((200, 6), np.float32)
    draws = text_draws([str(i) for i in range(200)], 0)
    centres = kmeans(vectors, draws, 5)
    assert np.abs(centres[:, None] - truth).sum(axis=2).min(axis=0).max() < 0.2
    turned = kmeans(vectors[::-1].copy(), draws[::-1].copy(), 5)
    np.testing.assert_allclose(turned, centres, atol=1e-5)
    assert len(kmeans(np.ones((9, 3), np.float32), draws[:9], 4)) == 1


def test_cluster_sums_and_soft_weights() -> None:
    sums, counts = cluster_sums(np.array([[1.0], [2.0], [4.0]]), np.array([2, 0, 2]), 4)
    assert sums[:, 0].tolist() == [2, 0, 5, 0]
    assert counts.tolist() == [1, 0, 2, 0]
    centres = np.array([[0.0], [1.0], [3.0]], np.float32)
    weights = soft_weights(np.array([[0.0]], np.float32), centres, nearest=2, beta=2.0)
    np.testing.assert_allclose(weights, [[1 / (1 + np.exp(-2)), np.exp(-2) / (1 + np.exp(-2)), 0]], atol=1e-7)


def test_kmeans_scores_by_hand() -> None:
    router = routers.create("kmeans", EMBEDDER, k=8, nearest=1, pull=2.0).fit(TRAIN)
    vectors = router.vectors_(TRAIN.texts)
    labels = ((vectors[:, None] - router.centres_) ** 2).sum(axis=2).argmin(axis=1)
    query = router.vectors_([TEST.texts[0]])[0]
    rows = labels == ((router.centres_ - query) ** 2).sum(axis=1).argmin()
    means = TRAIN.quality.mean(axis=0)
    residual = (TRAIN.quality[rows] - means).sum(axis=0) / (rows.sum() + 2)
    np.testing.assert_allclose(
        router.table_[labels[rows][0]] - router.shared_[labels[rows][0]],
        router.own_slope_ * (residual - residual.mean()),
        atol=1e-9,
    )


def test_battles_of_quality_are_all_pairs() -> None:
    quality = np.array([[1.0, 0.0, np.nan], [0.5, 0.5, 1.0]])
    battles = Battles.of_quality(["p", "q"], ["z", "a", "m"], quality, max_battles=100)
    assert battles.models == ("a", "m", "z")
    seen = {
        (battles.texts[q], battles.models[a], battles.models[b], float(pref))
        for q, a, b, pref in zip(battles.query, battles.first, battles.second, battles.pref_b, strict=True)
    }
    assert seen == {("p", "a", "z", 1.0), ("q", "a", "z", 0.5), ("q", "m", "z", 0.25), ("q", "a", "m", 0.75)}
    kept = [Battles.of_quality(TRAIN.texts, ARMS, TRAIN.quality, max_battles=n) for n in (1000, 10**6)]
    assert len(kept[1]) == 500 * 6
    assert abs(len(kept[0]) - 1000) < 150


@pytest.mark.parametrize("n_models", [3, 12])
def test_weighted_wins_are_those_of_a_loop(n_models: int) -> None:
    rng = np.random.default_rng(n_models)
    n = 300
    models = [f"m{k:02d}" for k in range(n_models)]
    pairs = [rng.choice(n_models, 2, replace=False) for _ in range(n)]
    texts = [f"text {i // 2}" for i in range(n)]
    prefs = rng.choice([0, 0.5, 1.0], n)
    given = Preferences.from_columns(
        texts, texts, [models[a] for a, _ in pairs], [models[b] for _, b in pairs], prefs
    )
    battles = Battles.of_preferences(given)
    wins = WinCounts.of_battles(battles, tiers_of(np.zeros(n_models), None))
    weights = rng.random(len(battles.texts)).astype(np.float32)
    by_text = dict(zip(battles.texts, weights.tolist(), strict=True))
    expected = np.zeros((n_models, n_models))
    for (a, b), text, pref in zip(pairs, texts, prefs, strict=True):
        expected[b, a] += by_text[text] * pref
        expected[a, b] += by_text[text] * (1 - pref)
    np.testing.assert_allclose(wins.table(weights), expected, atol=1e-4)


def test_sw_ranking_is_bradley_terry_with_routellms_weights() -> None:
    given = preferences(TRAIN)
    router = routers.create("sw_ranking", EMBEDDER, gamma=10.0, pull=1e-6).fit_preferences(given)
    cosines = router.vectors_(given.query) @ router.vectors_([TEST.texts[0]])[0]
    weights = 10 ** (1 + cosines.astype(float) / cosines.max())
    won = np.zeros((4, 4))
    names = router.arms
    for a, b, pref, weight in zip(given.model_a, given.model_b, given.pref_b, weights, strict=True):
        won[names.index(b), names.index(a)] += weight * pref
        won[names.index(a), names.index(b)] += weight * (1 - pref)
    expected = expected_win_rates(bradley_terry(won, penalty=1e-6))
    np.testing.assert_allclose(router.scores(TEST.queries[:1])[0], expected, atol=1e-4)


def test_very_many_wide_vectors_are_reduced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wide = routers.create("sw_ranking", EMBEDDER, gamma=10.0).fit(TRAIN).scores(TEST.queries)
    monkeypatch.setattr("suffice.routers.sw_ranking._MAX_ENTRIES", 500 * 40)
    router = routers.create("sw_ranking", EMBEDDER, gamma=10.0).fit(TRAIN)
    assert router.texts_vectors_.shape == (500, 40)
    np.testing.assert_allclose(router.scores(TEST.queries), wide, atol=0.15)
    router.save(tmp_path)
    loaded = routers.load(tmp_path, EMBEDDER).scores(TEST.queries)
    np.testing.assert_array_equal(loaded, router.scores(TEST.queries))


def test_tiers_are_the_best_of_all_cuts() -> None:
    ratings = np.random.default_rng(4).standard_normal(9)
    found = tiers_of(ratings, 4)

    def spread(tiers: Any) -> float:
        return sum(float(((ratings[tiers == t] - ratings[tiers == t].mean()) ** 2).sum()) for t in set(tiers))

    order = np.argsort(np.argsort(ratings))
    cuts = [np.searchsorted(cut, order, side="right") for cut in combinations(range(1, 9), 3)]
    assert np.isclose(spread(found), min(spread(cut) for cut in cuts))
    assert tiers_of(ratings, 20).tolist() == order.tolist()
    assert set(tiers_of(ratings, 1)) == {0}


def test_models_of_a_tier_share_their_score() -> None:
    router = routers.create("sw_ranking", EMBEDDER, tiers=2).fit_preferences(preferences(TRAIN))
    scores = router.scores(TEST.queries[:5])
    assert len(np.unique(scores[0].round(9))) == 2


def test_elo_without_clusters_is_the_same_for_every_query_and_orders_arms_by_quality() -> None:
    router = routers.create("elo", EMBEDDER, clusters=0).fit(TRAIN)
    scores = router.scores(TEST.queries)
    np.testing.assert_allclose(scores, np.tile(TRAIN.quality.mean(axis=0), (150, 1)), atol=5e-3)


def test_elo_counts_whom_an_arm_met() -> None:
    quality = TRAIN.quality.copy()
    hard = np.arange(500) % 2 == 0
    quality[hard] *= 0.3
    quality[~hard, 2] = np.nan  # allround is known on hard queries only
    scores = (
        routers.create("elo", EMBEDDER, clusters=0)
        .fit(Outcomes.from_arrays(TRAIN.texts, ARMS, quality))
        .scores(TEST.queries[:1])[0]
    )
    assert np.nanmean(quality[:, 2]) < 0.6 * np.nanmean(quality[:, 0])
    assert scores[2] > 0.8 * scores[0]


def test_a_prior_is_what_ratings_are_pulled_to() -> None:
    won = win_table(np.array([0, 1]), np.array([1, 2]), np.array([1.0, 1.0]), 3)
    prior = np.array([0.5, 0.0, -0.5])
    np.testing.assert_allclose(bradley_terry(won, penalty=1e6, prior=prior), prior, atol=1e-4)
    np.testing.assert_allclose(bradley_terry(won * 0, penalty=1.0, prior=prior), prior)


NEW = Outcomes.from_arrays(
    TEST.texts, ("abacus", "new"), np.column_stack((TEST.quality[:, 0], TEST.quality[:, 0]))
)
"""`new` is as good as abacus, on other queries than those trained on."""


@pytest.mark.parametrize("name", routers.available())
def test_a_model_is_added_saved_and_forgotten(name: str, tmp_path: Path) -> None:
    if routers.get(name).extra == "torch" or routers.get(name).not_in_all:
        pytest.skip("trained elsewhere")
    router = routers.create(name, EMBEDDER).fit(TRAIN)
    before = router.scores(TEST.queries)
    assert router.add_model("new", NEW.select(np.arange(60))) is router
    assert router.arms == (*ARMS, "new")
    scores = router.scores(TEST.queries)
    assert scores.shape == (150, 5)
    np.testing.assert_array_equal(scores[:, :4], before)
    assert ((scores[:, 4] >= 0) & (scores[:, 4] <= 1)).all()
    assert router.scores([]).shape == (0, 5)
    explained = router.explain(TEST.queries[0])
    assert "new " in explained.summary
    if name != "builtin":  # where every arm is one of a few labels
        assert any("60 labelled queries" in line for line in explained.evidence)
    router.save(tmp_path)
    loaded = routers.load(tmp_path, EMBEDDER)
    np.testing.assert_array_equal(loaded.scores(TEST.queries), scores)
    assert loaded.arms == router.arms
    assert routers.read_manifest(tmp_path).arms == router.arms
    router.add_model("again", Outcomes.from_arrays(["integral"], ("again",), [[1.0]]))
    assert router.scores(TEST.queries).shape == (150, 6)
    assert router.fit(TRAIN).arms == ARMS
    np.testing.assert_array_equal(router.scores(TEST.queries), before)


@pytest.mark.parametrize("name", ["knn", "ridge", "kmeans", "irt", "mf", "embedllm"])
def test_a_new_model_is_routed_to_where_it_is_good(name: str) -> None:
    router = routers.create(name, EMBEDDER).fit(TRAIN).add_model("new", NEW.select(np.arange(100)))
    new = router.scores(TEST.queries)[:, 4]
    is_maths = np.array(SUBJECTS) == "maths"
    assert new[is_maths].mean() - new[~is_maths].mean() > 0.2
    assert abs(new.mean() - NEW.quality[:, 1].mean()) < 0.12


def test_a_model_cannot_be_added() -> None:
    router = routers.create("kmeans", EMBEDDER).fit(TRAIN)
    with pytest.raises(DataError, match="abacus"):
        router.add_model("abacus", NEW)
    with pytest.raises(UnknownModel, match="nobody"):
        router.add_model("nobody", NEW)
    with pytest.raises(DataError, match="no score"):
        router.add_model("void", Outcomes.from_arrays(["a"], ("void",), [[np.nan]]))
    with pytest.raises(DataError, match="new"):
        router.add_model("new", NEW).add_model("new", NEW)


def test_a_head_is_as_shrunk_as_labels_allow() -> None:
    rng = np.random.default_rng(0)
    trained = rng.random((400, 5))
    trained[:, 4] = np.nan
    twin = learn_arm("twin", trained, trained[:, 1])
    assert np.corrcoef(twin.scores(trained), trained[:, 1])[0, 1] > 0.95
    noise = learn_arm("noise", trained, rng.random(400).round())
    assert np.ptp(noise.scores(trained)) < 0.9
    assert abs(noise.scores(trained).mean() - 0.5) < 0.08
    alone = learn_arm("alone", trained[:1], np.array([0.25]))
    assert np.isclose(alone.scores(trained[:1])[0], 0.25)
    unknown = learn_arm("unknown", np.full((4, 2), np.nan), np.array([0.0, 1.0, 1.0, 1.0]))
    np.testing.assert_allclose(unknown.scores(np.full((2, 2), np.nan)), 0.75)


def test_labels_on_queries_that_were_harder_than_they_looked() -> None:
    rng = np.random.default_rng(0)
    ability = rng.random(100)
    known = (rng.random((100, 4)) < ability[:, None] - 0.1).astype(float)
    quality = (rng.random(100) < ability - 0.1).astype(float)
    trained = np.full((100, 4), ability.mean())
    shift = luck(trained, known, quality)
    assert 0 < shift <= ability.mean() - known.mean() + 1e-12
    assert luck(trained, np.full((100, 4), np.nan), quality) == 0
    known[:, 1:] = np.nan
    known[::2] = np.nan
    assert luck(trained, known, quality) > 0


def test_a_manifest_whose_added_arms_do_not_fit(tmp_path: Path) -> None:
    routers.create("ridge", EMBEDDER).fit(TRAIN).add_model("new", NEW).save(tmp_path)
    manifest = tmp_path / "router.json"
    manifest.write_text(manifest.read_text().replace('"abacus",', "", 1))
    with pytest.raises(ArtefactError):
        routers.load(tmp_path, EMBEDDER)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("kmeans", {"k": 0}),
        ("kmeans", {"nearest": 0}),
        ("kmeans", {"beta": -1.0}),
        ("kmeans", {"projection": "pca"}),
        ("sw_ranking", {"gamma": 0.5}),
        ("sw_ranking", {"pull": 0.0}),
        ("sw_ranking", {"tiers": 0}),
        ("elo", {"clusters": -1}),
        ("elo", {"pull": 0.0}),
    ],
)
def test_parameters_that_cannot_be(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        routers.create(name, EMBEDDER, **params).fit(TRAIN)
