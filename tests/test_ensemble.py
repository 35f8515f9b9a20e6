"""What the ensemble is made of, and what each direction in which arms differ is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from suffice import routers
from suffice.embedders import HashedNgrams
from suffice.errors import ConfigError
from suffice.evaluation.figures import PairResult
from suffice.evaluation.measuring import Measured
from suffice.evaluation.recommend import best_router
from suffice.evaluation.sweep import Sweep
from suffice.evaluation.truth import Truth
from suffice.outcomes import Outcomes
from suffice.routers.shrinkage import HeldOut

EMBEDDER = HashedNgrams()
TOPICS = {"sums": "add the numbers and give the total", "code": "what does this function return"}


def table(n: int = 200, seed: int = 0) -> Outcomes:
    """Two topics and four arms: two good at sums, two at code."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, 2, n)
    texts = [f"{list(TOPICS.values())[t]} {rng.integers(1000)} case {i}" for i, t in enumerate(topic)]
    chance = np.where(topic[:, None] == [0, 0, 1, 1], 0.9, 0.3)
    return Outcomes.from_arrays(texts, ("a", "b", "c", "d"), (rng.random((n, 4)) < chance).astype(float))


def fit(name: str, outcomes: Outcomes, **params: Any) -> Any:
    return routers.create(name, EMBEDDER, **params).fit(outcomes)


def test_it_is_the_mean_of_its_members() -> None:
    outcomes, asked = table(), table(30, seed=1).queries
    letters = fit("ridge", outcomes, features="characters")
    members = [fit("ridge", outcomes), fit("knn", outcomes), letters]
    expected = np.mean([member.scores(asked) for member in members], axis=0)
    np.testing.assert_allclose(fit("ensemble", outcomes).scores(asked), expected, atol=0.02)  # members clip


def test_beyond_so_many_queries_it_is_the_blend(tmp_path: Path) -> None:
    outcomes, asked = table(), table(30, seed=1).queries
    router = fit("ensemble", outcomes, max_letter_queries=100)
    expected = fit("blend", outcomes).scores(asked)
    np.testing.assert_allclose(router.scores(asked), expected, atol=1e-6)
    router.save(tmp_path)
    np.testing.assert_array_equal(routers.load(tmp_path).scores(asked), router.scores(asked))


def test_a_negative_number_of_queries() -> None:
    with pytest.raises(ConfigError, match="max_letter_queries"):
        fit("ensemble", table(), max_letter_queries=-1)


def test_topics_are_told_apart() -> None:
    outcomes = table(300)
    asked = table(200, seed=1)
    best = fit("ensemble", outcomes).scores(asked.queries).argmax(axis=1)
    is_code = np.array(["function" in text for text in asked.texts])
    assert ((best >= 2) == is_code).mean() > 0.95


def test_mixing_keeps_the_direction_that_repeats_and_drops_the_noise() -> None:
    rng = np.random.default_rng(0)
    signal, n = np.array([0.8, 0.0, -0.6]), 4000
    strength = rng.standard_normal(n)
    targets = np.outer(signal, strength) * 3 + rng.standard_normal((3, n))
    predicted = np.outer(signal, strength) * 3 + rng.standard_normal((3, n))  # its noise does not repeat
    held_out = HeldOut(1, 3)
    for part in np.array_split(np.arange(n), 7):
        held_out.add(0, predicted[:, part], targets[:, part])
    mixing = held_out.mixing(0, slice(0, 3))
    np.testing.assert_allclose(mixing, mixing.T, atol=1e-12)
    common = held_out.slope(0, slice(0, 3))
    assert signal @ mixing @ signal == pytest.approx(common, abs=0.01)  # no direction above the common slope
    across = np.array([0.6, 0.0, 0.8])
    assert across @ mixing @ across < 0.05
    assert mixing[1, 1] < 0.05


def test_slope_by_hand() -> None:
    held_out = HeldOut(1, 1)
    p, t = np.array([[1.0, -1.0, 2.0, 0.0]]), np.array([[1.0, 0.0, 1.0, -1.0]])
    held_out.add(0, p, t)
    product, square, truth = 3.0, 6.0, 3.0
    believed = 1 - (square * truth - product**2) / (4 * product**2)
    assert held_out.slope(0, slice(0, 1)) == pytest.approx(product / square * believed)
    assert held_out.mixing(0, slice(0, 1)) == pytest.approx(product / square * believed)


def test_nothing_held_out_means_no_belief() -> None:
    held_out = HeldOut(1, 3)
    assert held_out.slope(0, slice(0, 3)) == 0
    np.testing.assert_array_equal(held_out.mixing(0, slice(0, 3)), np.zeros((3, 3)))


def measured(aiq: float, is_dear: NDArray[np.bool_]) -> Any:
    """A curve that takes the dear model where it says so."""
    chosen = np.vstack((np.zeros(len(is_dear), int), is_dear.astype(int), np.ones(len(is_dear), int)))
    curve = Sweep(
        values_usd=np.array([0.0, 0.1, np.inf]),
        chosen=chosen,
        quality=np.array([TRUTH.quality_of(row).mean() for row in chosen]),
        cost_usd=np.array([TRUTH.cost_of(row).mean() for row in chosen]),
    )
    return Measured(curve=curve, aiq=aiq, pair=None)


RNG = np.random.default_rng(0)
TRUTH = Truth(
    models=("cheap", "dear"),
    quality=(RNG.random((200, 2)) < [0.5, 0.8]).astype(float),
    cost_usd=np.tile([1.0, 5.0], (200, 1)),
)


def test_a_proven_router_is_recommended_among_near_equals() -> None:
    lucky, proven = measured(0.701, RNG.random(200) < 0.5), measured(0.7, RNG.random(200) < 0.5)
    found = {"mlp": lucky, "blend": proven, "ensemble": proven}
    assert best_router(found) == "mlp"
    assert best_router(found, TRUTH) == "ensemble"
    assert best_router({"mlp": measured(0.9, RNG.random(200) < 0.5), "ensemble": proven}, TRUTH) == "mlp"
    assert best_router({"ridge": proven, "mlp": proven}, TRUTH) == "ridge"


def test_near_equals_of_a_pair_are_wider_apart_where_queries_are_few() -> None:
    def ranked(apgr: float) -> Measured:
        found = measured(0.0, np.zeros(200, bool))
        return msgspec.structs.replace(found, aiq=None, pair=PairResult(apgr=apgr, cpt50=0.5, cpt80=0.8))

    many = Truth(models=TRUTH.models, quality=np.tile(TRUTH.quality, (50, 1)), cost_usd=None)
    few = Truth(models=TRUTH.models, quality=TRUTH.quality, cost_usd=None)
    found = {"mlp": ranked(0.61), "ensemble": ranked(0.60)}
    assert best_router(found, few) == "ensemble"
    assert best_router(found, many) == "mlp"
