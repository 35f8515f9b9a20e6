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
from suffice.errors import ConfigError, UnknownModel, UnknownName
from suffice.outcomes import Outcomes
from suffice.testing import ROUTER_CHECKS, Subject, table
from suffice.testing.router_checks import Check
from suffice.testing.toy import ARMS, STRENGTHS, SUBJECTS
from suffice.types import Answer, Candidate, FloatArray, Options, Price, Query

EMBEDDER = HashedNgrams()
TABLE = table()
NEEDED = {"torch": ("torch", "transformers", "peft")}
"""Packages of extras that `make test` does not install."""


class Judge:
    """A model that always says the same of two arms."""

    candidate = Candidate(name="judge", provider="fake", model="judge")

    async def answer(self, query: Query, options: Options) -> Answer:
        return Answer(content='{"abacus": 7, "coder": 2}', candidate="judge")


PARAMS: dict[str, dict[str, Any]] = {
    "bert": {"encoder": "tiny", "max_steps": 12},
    "routerdc": {"encoder": "tiny", "max_steps": 12},
    "causal_lm": {"model": "tiny", "max_steps": 12},
    "fixed": {"model": "coder"},
    "llm": {"model": Judge()},
    "rules": {"rules": [{"when": {"keywords": ["integral"]}, "avoid": ["coder"]}], "inner": "ridge"},
    "sticky": {"inner": "ridge"},
}
"""Of routers that need some, or would otherwise take a download, or minutes."""
NOT_ALWAYS = {
    ("fixed", "one_arm_is_enough"): "it has to be the one that is named",
    ("fixed", "a_new_model_is_taken_up"): "it is 0 for all others",
}
FOLLOW_THE_MEANS = ("strongest", "knn", "ridge", "blend", "ensemble")


def fit(name: str, outcomes: Outcomes = TABLE, **params: Any) -> Any:
    return routers.create(name, EMBEDDER, **PARAMS.get(name, {}) | params).fit(outcomes)


def check(scores: FloatArray, n: int, k: int) -> None:
    assert scores.shape == (n, k)
    assert scores.dtype == np.float64
    assert np.all(np.isnan(scores) | ((scores >= 0) & (scores <= 1)))


@pytest.mark.parametrize("demand", ROUTER_CHECKS, ids=lambda demand: demand.__name__)
@pytest.mark.parametrize("name", routers.available())
def test_conformance(name: str, demand: Check) -> None:
    if (name, demand.__name__) in NOT_ALWAYS:
        pytest.skip(NOT_ALWAYS[name, demand.__name__])
    extra = getattr(routers.get(name), "extra", None)
    for package in NEEDED.get(extra or "", ()):
        pytest.importorskip(package, reason=f"pip install 'suffice[{extra}]'")
    demand(Subject(name, EMBEDDER, PARAMS.get(name)))


@pytest.mark.parametrize("name", FOLLOW_THE_MEANS)
def test_an_arm_without_data_is_unknown(name: str) -> None:
    quality = TABLE.quality.copy()
    quality[:, 1] = np.nan
    assert np.isnan(
        fit(name, Outcomes.from_arrays(TABLE.texts, ARMS, quality)).scores(TABLE.queries)[:, 1]
    ).all()


@pytest.mark.parametrize("name", FOLLOW_THE_MEANS)
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constant_quality(name: str, value: float) -> None:
    same = Outcomes.from_arrays(TABLE.texts, ARMS, np.full((150, 3), value))
    np.testing.assert_allclose(fit(name, same).scores(TABLE.queries), value, atol=1e-6)


@pytest.mark.parametrize("name", ["random", "knn", "ridge", "mlp"])
def test_the_seed_is_a_parameter_and_saved(name: str, tmp_path: Path) -> None:
    router = fit(name, seed=3)
    np.testing.assert_array_equal(router.scores(TABLE.queries), fit(name, seed=3).scores(TABLE.queries))
    router.save(tmp_path, trained_at="2026-01-01")
    assert routers.load(tmp_path).params()["seed"] == 3  # type: ignore[attr-defined]
    assert routers.read_manifest(tmp_path).trained_at == "2026-01-01"


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
    assert {"random", "builtin", "knn", "ridge", "ensemble"} <= set(routers.available())
    with pytest.raises(UnknownName, match="ridge"):
        routers.create("rigde")
