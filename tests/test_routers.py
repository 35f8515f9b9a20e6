"""One list of checks over every router, and what each one is for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import routers
from suffice.embedders import HashedNgrams
from suffice.errors import ConfigError, DataError, NotFitted, UnknownModel, UnknownName
from suffice.outcomes import Outcomes
from suffice.types import Candidate, FloatArray, Price, Query

EMBEDDER = HashedNgrams()
SUBJECTS = {
    "maths": ["integral", "derivative", "equation", "polynomial", "matrix", "theorem", "proof", "converges"],
    "code": ["python", "function", "loop", "compile", "recursion", "array", "pointer", "exception"],
    "verse": ["poem", "rhyme", "sonnet", "metaphor", "stanza", "lyric", "ballad", "verse"],
}
STRENGTHS = {"maths": (0.9, 0.3, 0.6), "code": (0.2, 0.8, 0.6), "verse": (0.5, 0.5, 0.6)}
ARMS = ("abacus", "coder", "allround")
ODD = ("", " \n ", "x " * 500_000, "你好，世界", "مرحبا", "🙂", "\ud800", "integral\x00theorem")


def table(n: int = 150, seed: int = 0, *, known: float = 1.0) -> Outcomes:
    """Queries on three subjects; each arm is good at one, and costs as much as its rank."""
    rng = np.random.default_rng(seed)
    subjects = rng.choice(list(SUBJECTS), n)
    texts = [" ".join(rng.choice(SUBJECTS[subject], 5)) + f" {i}" for i, subject in enumerate(subjects)]
    quality = (rng.random((n, 3)) < [STRENGTHS[subject] for subject in subjects]).astype(np.float64)
    quality[rng.random((n, 3)) > known] = np.nan
    return Outcomes.from_arrays(texts, ARMS, quality, cost_usd=np.tile([1e-4, 2e-4, 3e-4], (n, 1)))


TABLE = table()
NEEDED = {"torch": ("torch", "transformers", "peft")}
"""Packages of extras that `make test` does not install."""
QUICK: dict[str, dict[str, Any]] = {
    "bert": {"encoder": "tiny", "max_steps": 12},
    "routerdc": {"encoder": "tiny", "max_steps": 12},
    "causal_lm": {"model": "tiny", "max_steps": 12},
}
"""Parameters of routers that would otherwise need a download, or minutes."""


@pytest.fixture(params=routers.available())
def name(request: pytest.FixtureRequest) -> str:
    extra = getattr(routers.get(request.param), "extra", None)
    for package in NEEDED.get(extra or "", ()):
        pytest.importorskip(package, reason=f"pip install 'suffice[{extra}]'")
    return str(request.param)


def fit(name: str, outcomes: Outcomes = TABLE, **params: Any) -> Any:
    return routers.create(name, EMBEDDER, **QUICK.get(name, {}) | params).fit(outcomes)


def check(scores: FloatArray, n: int, k: int) -> None:
    assert scores.shape == (n, k)
    assert scores.dtype == np.float64
    assert np.all(np.isnan(scores) | ((scores >= 0) & (scores <= 1)))


def test_scores_lie_in_their_range(name: str) -> None:
    router = fit(name)
    assert router.arms == ARMS
    scores = router.scores(TABLE.queries)
    check(scores, 150, 3)
    assert not np.isnan(scores).any()


def test_fitting_again_changes_nothing(name: str) -> None:
    router = fit(name)
    first = router.scores(TABLE.queries)
    router.fit(table(40, seed=5))
    np.testing.assert_array_equal(router.fit(TABLE).scores(TABLE.queries), first)
    np.testing.assert_array_equal(fit(name).scores(TABLE.queries), first)


def test_scoring_is_pure(name: str) -> None:
    router = fit(name)
    quality = TABLE.quality.copy()
    first = router.scores(TABLE.queries)
    first_copy = first.copy()
    first[:] = 0.5  # what the caller does to the result is his affair
    np.testing.assert_array_equal(router.scores(TABLE.queries), first_copy)
    np.testing.assert_array_equal(TABLE.quality, quality)


def test_a_score_does_not_depend_on_its_neighbours(name: str) -> None:
    router = fit(name)
    together = router.scores(TABLE.queries[:20])
    np.testing.assert_allclose(router.scores(TABLE.queries[:20][::-1])[::-1], together, atol=1e-6)
    alone = np.vstack([router.scores([query]) for query in TABLE.queries[:20]])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_the_order_of_training_queries_does_not_matter(name: str) -> None:
    turned = fit(name, TABLE.select(np.arange(TABLE.n_queries)[::-1]))
    np.testing.assert_allclose(turned.scores(TABLE.queries), fit(name).scores(TABLE.queries), atol=0.01)


def test_the_order_of_arms_does_not_matter(name: str) -> None:
    params = {"model": "coder"} if name == "fixed" else {}
    turned = fit(name, TABLE.select(arms=ARMS[::-1]), **params).scores(TABLE.queries)
    np.testing.assert_allclose(turned[:, ::-1], fit(name, **params).scores(TABLE.queries), atol=1e-3)


def test_only_the_text_counts(name: str) -> None:
    router = fit(name)
    text = TABLE.queries[0].text
    other = Query(text=text, task="code", user="somebody", tags=("x",))
    np.testing.assert_array_equal(router.scores([Query(text=text)]), router.scores([other]))


def test_no_queries(name: str) -> None:
    check(fit(name).scores([]), 0, 3)


def test_one_arm(name: str) -> None:
    check(fit(name, TABLE.select(arms=["coder"])).scores(TABLE.queries), 150, 1)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_training_queries(name: str, n: int) -> None:
    check(fit(name, TABLE.select(np.arange(n))).scores(TABLE.queries), 150, 3)


def test_unknown_outcomes(name: str) -> None:
    scores = fit(name, table(known=0.6)).scores(TABLE.queries)
    check(scores, 150, 3)
    assert not np.isnan(scores).any()


def test_an_arm_without_data_is_unknown_and_spoils_no_other(name: str) -> None:
    quality = TABLE.quality.copy()
    quality[:, 1] = np.nan
    scores = fit(name, Outcomes.from_arrays(TABLE.texts, ARMS, quality, cost_usd=TABLE.cost_usd)).scores(
        TABLE.queries
    )
    check(scores, 150, 3)
    assert not np.isnan(scores[:, [0, 2]]).any()
    if name in ("strongest", "knn", "ridge", "blend"):
        assert np.isnan(scores[:, 1]).all()


def test_nothing_to_learn_from(name: str) -> None:
    with pytest.raises(DataError, match="no score"):
        fit(name, Outcomes.from_arrays(["a"], ["m"], [[np.nan]]))
    with pytest.raises(DataError):
        fit(name, Outcomes.from_arrays([], ["m"], np.empty((0, 1))))


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constant_quality(name: str, value: float) -> None:
    same = Outcomes.from_arrays(TABLE.texts, ARMS, np.full((150, 3), value), cost_usd=TABLE.cost_usd)
    scores = fit(name, same).scores(TABLE.queries)
    check(scores, 150, 3)
    if name in ("strongest", "knn", "ridge", "blend"):
        np.testing.assert_allclose(scores, value, atol=1e-6)


def test_odd_texts_are_scored(name: str) -> None:
    check(fit(name).scores([Query(text=text) for text in ODD]), len(ODD), 3)


def test_odd_texts_are_learnt_from(name: str) -> None:
    quality = np.tile([1.0, 0.0, 0.5], (len(ODD), 1))
    odd = Outcomes.from_arrays(ODD, ARMS, quality, cost_usd=np.ones((len(ODD), 3)))
    check(fit(name, odd).scores(TABLE.queries), 150, 3)


def test_nothing_but_empty_texts(name: str) -> None:
    empty = Outcomes.from_arrays(["", " ", ""], ARMS, np.eye(3))
    check(fit(name, empty).scores([Query(text="integral")]), 1, 3)


def test_equal_texts(name: str) -> None:
    same = Outcomes.from_arrays(["integral"] * 40, ARMS, TABLE.quality[:40])
    check(fit(name, same).scores([Query(text="integral"), Query(text="poem")]), 2, 3)


def test_save_and_load(name: str, tmp_path: Path) -> None:
    for outcomes in (TABLE, table(known=0.5), TABLE.select(np.arange(2))):
        router = fit(name, outcomes)
        router.save(tmp_path / "deep" / "router", trained_at="2026-01-01")
        loaded = routers.load(tmp_path / "deep" / "router", EMBEDDER)
        assert type(loaded) is type(router)
        assert loaded.arms == ARMS
        np.testing.assert_array_equal(loaded.scores(TABLE.queries), router.scores(TABLE.queries))
        assert loaded.explain(TABLE.queries[0]) == router.explain(TABLE.queries[0])
        assert routers.read_manifest(tmp_path / "deep" / "router").trained_at == "2026-01-01"


def test_the_seed_is_a_parameter_and_saved(name: str, tmp_path: Path) -> None:
    if "seed" not in routers.create(name, EMBEDDER).params():
        return
    router = fit(name, seed=3)
    np.testing.assert_array_equal(router.scores(TABLE.queries), fit(name, seed=3).scores(TABLE.queries))
    router.save(tmp_path)
    assert routers.load(tmp_path).params()["seed"] == 3  # type: ignore[attr-defined]


def test_not_fitted(name: str, tmp_path: Path) -> None:
    router = routers.create(name, EMBEDDER)
    for ask in (lambda: router.scores([]), lambda: router.arms, lambda: router.save(tmp_path)):
        with pytest.raises(NotFitted, match=name):
            ask()


def test_unknown_parameters_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="colour"):
        routers.create(name, EMBEDDER, colour="red")


def test_explain_names_every_arm(name: str) -> None:
    explained = fit(name).explain(TABLE.queries[0])
    assert all(arm in explained.summary for arm in ARMS)
    assert all(explained.evidence)


@pytest.mark.parametrize("name", ["knn", "ridge", "blend"])
@pytest.mark.parametrize("known", [1.0, 0.7])
def test_subjects_are_told_apart(name: str, known: float) -> None:
    train, test = table(600, known=known), table(200, seed=9)
    scores = fit(name, train).scores(test.queries)
    for subject, expected in (("maths", 0), ("code", 1)):
        rows = [any(word in query.text for word in SUBJECTS[subject]) for query in test.queries]
        assert (scores[rows].argmax(axis=1) == expected).mean() > 0.9
        np.testing.assert_allclose(scores[rows].mean(axis=0), STRENGTHS[subject], atol=0.15)


@pytest.mark.parametrize("name", ["knn", "ridge", "blend"])
def test_noise_is_not_believed(name: str) -> None:
    noise = np.random.default_rng(1).random((600, 3)).round()
    scores = fit(name, Outcomes.from_arrays(table(600).texts, ARMS, noise)).scores(TABLE.queries)
    assert np.abs(scores - noise.mean(axis=0)).mean() < 0.06


def test_knn_is_the_weighted_mean_of_its_neighbours() -> None:
    router = fit("knn", k=10, projection="none", power=1.0, pull=2.0)
    query = Query(text="a python function with a loop")
    cosines = EMBEDDER.embed(TABLE.texts) @ EMBEDDER.embed([query.text])[0]
    near = np.argsort(-cosines)[:10]
    weights, means = np.maximum(cosines[near], 0), TABLE.quality.mean(axis=0)
    residual = (weights @ (TABLE.quality[near] - means)) / (weights.sum() + 2)
    expected = means + router.slope_ * residual.mean() + (residual - residual.mean()) @ router.mixing_
    np.testing.assert_allclose(router.scores([query])[0], np.clip(expected, 0, 1), atol=1e-5)


def test_blend_is_the_mean_of_its_parts() -> None:
    knn, ridge = (fit(part).scores(TABLE.queries) for part in ("knn", "ridge"))
    np.testing.assert_allclose(fit("blend").scores(TABLE.queries), (knn + ridge) / 2, atol=1e-6)
    np.testing.assert_allclose(fit("blend", share=1.0).scores(TABLE.queries), ridge, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("knn", {"k": 0}),
        ("knn", {"pull": -1}),
        ("knn", {"projection": "pca"}),
        ("knn", {"index": "magic"}),
        ("ridge", {"penalties": ()}),
        ("ridge", {"penalties": (0.0,)}),
        ("ridge", {"n_folds": 1}),
        ("ridge", {"features": "pixels"}),
        ("blend", {"share": 1.5}),
        ("fixed", {"model": "nobody"}),
    ],
)
def test_parameters_that_cannot_be(name: str, params: dict[str, Any]) -> None:
    with pytest.raises((ConfigError, UnknownModel)):
        fit(name, **params)


def names_of(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    return tuple(candidate.name for candidate in candidates)


def candidate(name: str, into: str | None, out: str | None, **fields: Any) -> Candidate:
    prices = [None if one is None else Decimal(one) for one in (into, out)]
    price = Price(input_usd_per_mtok=prices[0], output_usd_per_mtok=prices[1])
    return Candidate(name=name, provider="fake", model=name, price=price, **fields)


PANEL = (candidate("mid", "1", "4"), candidate("dear", "3", "15"), candidate("none", None, None))


@pytest.mark.parametrize("name", ["random", "fixed", "cheapest", "strongest"])
def test_baselines_need_no_training(name: str) -> None:
    router = routers.untrained(name, PANEL)
    assert router.arms == names_of(PANEL)
    check(router.scores([Query(text="hello")]), 1, 3)
    with pytest.raises(ConfigError):
        routers.untrained(name, ())


@pytest.mark.parametrize("name", ["knn", "ridge", "blend"])
def test_others_do(name: str) -> None:
    with pytest.raises(ConfigError, match="suffice train"):
        routers.untrained(name, PANEL)


def best(name: str, candidates: Iterable[Candidate]) -> tuple[str, str]:
    router = routers.untrained(name, tuple(candidates))
    scores = router.scores([Query(text="hello")])[0]
    explained = router.explain(Query(text="hello"))
    return router.arms[int(np.nanargmax(scores))], explained.evidence[0]


def test_the_strongest_goes_by_strength_before_price() -> None:
    assert best("strongest", PANEL) == (
        "dear",
        "dear has the highest output price, 15 USD per million tokens",
    )
    rated = (*PANEL, candidate("rated", "0.1", "0.2", strength=0.9))
    assert best("strongest", rated)[0] == "rated"
    assert "strength" in best("strongest", rated)[1]
    assert "nothing" in best("strongest", PANEL[2:])[1] or "neither" in best("strongest", PANEL[2:])[1]


def test_the_cheapest_counts_a_local_models_hours() -> None:
    assert best("cheapest", PANEL)[0] == "mid"
    local = Candidate(
        name="local", provider="fake", model="m", price=Price(usd_per_cpu_hour=Decimal("0.001"))
    )
    assert best("cheapest", (*PANEL, local))[0] == "local"
    assert fit("cheapest").scores(TABLE.queries[:1]).tolist() == [[1.0, 0.5, 0.0]]


def test_strongest_and_fixed_after_training() -> None:
    scores = fit("strongest").scores(TABLE.queries[:1])[0]
    np.testing.assert_allclose(scores, TABLE.quality.mean(axis=0))
    assert fit("fixed", model="coder").scores(TABLE.queries[:1]).tolist() == [[0.0, 1.0, 0.0]]


def test_random_is_uniform_and_goes_by_the_text() -> None:
    queries = [Query(text=f"query {i}") for i in range(3000)]
    scores = fit("random").scores(queries)
    shares = np.bincount(scores.argmax(axis=1), minlength=3) / 3000
    np.testing.assert_allclose(shares, 1 / 3, atol=0.04)
    assert math.isclose(scores.mean(), 0.5, abs_tol=0.02)
    assert not np.array_equal(scores, fit("random", seed=1).scores(queries))


def test_registry() -> None:
    assert routers.available()[:7] == (
        "random",
        "fixed",
        "cheapest",
        "strongest",
        "knn",
        "ridge",
        "blend",
    )
    with pytest.raises(UnknownName, match="ridge"):
        routers.create("rigde")
