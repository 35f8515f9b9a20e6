"""Queries unlike the training queries: how they are told, and that routers then keep to what is sure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from suffice import routers
from suffice.embedders import HashedNgrams
from suffice.outcomes import Outcomes, Preferences
from suffice.routers.artefact import read_artefact, write_artefact
from suffice.routers.base import BaseRouter
from suffice.routers.familiarity import Familiarity
from suffice.routers.tfidf import Vocabulary
from suffice.types import FloatArray, Query

EMBEDDER = HashedNgrams()
NAMES = (
    *("knn", "ridge", "blend", "ensemble", "logistic", "hybrid", "carrot"),
    *("kmeans", "svm", "mlp", "gbm", "graphrouter", "embedllm", "irt"),
    *("elo", "mf", "sw_ranking", "personalized", "gmtrouter"),
)
ARMS = ("sums", "poems", "weak")
SUMS = "add the numbers and say the total number of apples in all baskets after selling some more"
POEMS = "write a sad verse with rhyme about the sea and moon at night under old trees in winter rain"
FOREIGN = (
    "Torsionsfreie Garben über projektiven Varietäten besitzen Zerlegungen",
    "请把这句话翻译成法语并解释语法",
    "pursuant to clause seven, indemnification obligations survive termination hereof",
)


def texts(words: str, n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words.split(), 12)) for _ in range(n)]


def planted(n: int = 150) -> Outcomes:
    """On sums the first arm is right, on poems the second."""
    rng = np.random.default_rng(0)
    chances = np.vstack([np.tile([0.95, 0.2, 0.1], (n, 1)), np.tile([0.2, 0.9, 0.1], (n, 1))])
    quality = (rng.random(chances.shape) < chances).astype(float)
    return Outcomes.from_arrays([*texts(SUMS, n, 1), *texts(POEMS, n, 2)], ARMS, quality)


def scores(router: BaseRouter, *asked: str) -> FloatArray:
    return router.scores([Query(text=text) for text in asked])


@pytest.fixture(scope="module", params=NAMES)
def router(request: pytest.FixtureRequest) -> BaseRouter:
    if request.param == "gbm":
        pytest.importorskip("lightgbm")
    found: BaseRouter = routers.create(request.param, EMBEDDER).fit(planted())
    return found


class TestRouters:
    def test_they_stay_sharp_on_what_they_know(self, router: BaseRouter) -> None:
        for words, best, other in ((SUMS, 0, 1), (POEMS, 1, 0)):
            known = scores(router, *texts(words, 20, 3))
            gaps = known[:, best] - known[:, other]
            assert (gaps > 0.1).all()
            assert gaps.mean() > 0.4

    def test_of_another_world_they_say_the_means(self, router: BaseRouter) -> None:
        means = planted().quality.mean(axis=0)
        np.testing.assert_allclose(scores(router, *FOREIGN), np.tile(means, (3, 1)), atol=0.02)

    def test_one_by_one_as_all_together(self, router: BaseRouter) -> None:
        asked = [*FOREIGN, "", *texts(POEMS, 3, 5), "add the numbers pursuant to clause seven"]
        alone = np.vstack([scores(router, text) for text in asked])
        np.testing.assert_allclose(alone, scores(router, *asked), atol=1e-5)

    def test_a_few_known_words_draw_towards_the_means_without_a_jump(self, router: BaseRouter) -> None:
        mixed = [" ".join([*SUMS.split()[:10], *(f"zzyzx{i}" for i in range(n))]) for n in (0, 4, 8, 16, 32)]
        gaps = np.subtract(*scores(router, *mixed).T[:2])
        assert gaps[0] > 0.3
        assert gaps[-1] == pytest.approx(0, abs=0.1)
        assert (np.diff(gaps) <= 0.15).all()

    def test_explain_says_so(self, router: BaseRouter) -> None:
        told = "\n".join(router.explain(Query(text=FOREIGN[0])).evidence)
        assert "familiarity 0.00: unlike the training queries, so scores stay near the arms' means" in told
        assert "unlike" not in "\n".join(router.explain(Query(text=texts(SUMS, 1, 6)[0])).evidence)

    def test_it_is_kept(self, router: BaseRouter, tmp_path: Path) -> None:
        router.save(tmp_path)
        again = type(router).load(tmp_path, embedder=EMBEDDER)
        np.testing.assert_array_equal(scores(again, *FOREIGN), scores(router, *FOREIGN))


@pytest.mark.parametrize("name", ["elo", "mf", "sw_ranking", "personalized", "kmeans"])
def test_of_another_world_they_say_the_win_rates_over_all_battles(name: str) -> None:
    learnt = routers.create(name, EMBEDDER).fit_preferences(Preferences.from_outcomes(planted(60)))
    rates = [learnt.mean_quality_[arm] for arm in learnt.arms]
    np.testing.assert_allclose(scores(learnt, *FOREIGN), np.tile(rates, (3, 1)), atol=0.01)


@pytest.mark.parametrize("name", ["personalized", "gmtrouter"])
def test_a_users_likings_are_not_carried_into_another_world(name: str) -> None:
    asked = [*texts(SUMS, 60, 1), *texts(POEMS, 60, 2)]
    rows = [(f"{n}", text, user) for n, text in enumerate(asked) for user in ("u", "v")]
    ids, queries, users = zip(*rows, strict=True)
    liking = [1.0 if user == "u" else 0.0 for user in users]
    n = len(rows)
    pairs = Preferences.from_columns(ids, queries, ["a"] * n, ["b"] * n, liking, annotator=users)
    learnt = routers.create(name, EMBEDDER).fit_preferences(pairs)

    def gap(text: str) -> float:
        of_u, of_v = learnt.scores([Query(text=text, user=user) for user in ("u", "v")])
        return float(np.abs(of_u - of_v).max())

    assert gap(asked[0]) > 0.3
    assert gap(FOREIGN[0]) < 0.01


def test_without_sparse_features_every_query_is_trusted() -> None:
    learnt = routers.create("kmeans", EMBEDDER, projection="none").fit(planted(60))
    assert learnt.vectors_.read(FOREIGN)[1].tolist() == [1.0, 1.0, 1.0]
    assert "familiarity" not in "\n".join(learnt.explain(Query(text=FOREIGN[0])).evidence)


@pytest.mark.parametrize("name", ["kmeans", "logistic"])
def test_artefacts_older_than_familiarity_trust_every_query(name: str, tmp_path: Path) -> None:
    learnt = routers.create(name, EMBEDDER).fit(planted(60))
    learnt.save(tmp_path)
    artefact, arrays = read_artefact(tmp_path, name, EMBEDDER)
    write_artefact(tmp_path, artefact, {key: arrays[key] for key in set(arrays) - {"familiarity", "lsa_idf"}})
    again = type(learnt).load(tmp_path, embedder=EMBEDDER)
    assert np.ptp(scores(again, *FOREIGN, *texts(SUMS, 1, 3)), axis=0).max() > 0.1
    assert "familiarity 1.00" in again.explain(Query(text=FOREIGN[0])).evidence


class TestFamiliarity:
    def learn(self, *known: str) -> Familiarity:
        rows = EMBEDDER.features(known)
        return Familiarity.learn(Vocabulary.learn(rows, min_rows=2), rows)

    def of(self, familiarity: Familiarity, *asked: str) -> FloatArray:
        return familiarity(EMBEDDER.features(asked))

    def test_nearly_all_training_queries_are_familiar(self) -> None:
        known = texts(SUMS, 200, 0)
        assert (self.of(self.learn(*known), *known) == 1).mean() > 0.97

    def test_fewer_than_twenty_queries_show_nothing(self) -> None:
        assert self.of(self.learn(*texts(SUMS, 19, 0)), FOREIGN[0]).tolist() == [1.0]

    def test_equal_queries_count_once(self) -> None:
        known = texts(SUMS, 60, 0)
        once = self.learn(*known, *texts(POEMS, 3, 0))
        often = self.learn(*known * 4, *texts(POEMS, 3, 0) * 4)
        assert often.usual == pytest.approx(once.usual, abs=0.1)

    def test_order_does_not_matter(self) -> None:
        known = texts(SUMS, 60, 0)
        assert self.learn(*known).usual == pytest.approx(self.learn(*reversed(known)).usual, abs=1e-12)

    def test_nothing_known_is_unlike_everything(self) -> None:
        assert self.of(self.learn(*texts(SUMS, 60, 0)), "", "Ω≈ç√").tolist() == [0.0, 0.0]

    def test_against_a_slow_loop(self) -> None:
        known = [*texts(SUMS, 40, 0), *texts(POEMS, 2, 0)]
        found = self.learn(*known)
        rows = [set(EMBEDDER.features([text]).indices.tolist()) for text in known]
        count = {c: sum(c in row for row in rows) for row in rows for c in row}
        weight = {c: (np.log((1 + len(known)) / (1 + n)) + 1) ** 2 for c, n in count.items() if n >= 2}
        rarest = max(weight.values())
        shares = []
        for row in rows:
            masses = [(weight[c], True) if count[c] > 2 else (rarest, False) for c in row]
            shares.append(sum(m for m, is_known in masses if is_known) / sum(m for m, _ in masses))
        assert found.usual == pytest.approx(sorted(shares)[0], rel=1e-5)
