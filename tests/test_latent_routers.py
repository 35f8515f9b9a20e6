"""Latent routers: gradients against finite differences, the optimiser, what training makes of structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import routers
from suffice.embedders import HashedNgrams
from suffice.errors import ConfigError
from suffice.outcomes import Outcomes
from suffice.routers.battles import Battles
from suffice.routers.descent import by_name
from suffice.routers.latent import QualityLoss
from suffice.routers.mf import BattleLoss, deltas, first_weights
from suffice.routers.optim import Adam, minibatches
from suffice.types import Query

EMBEDDER = HashedNgrams()
RNG = np.random.default_rng(0)
TEXTS = [f"{'integral proof' if i % 2 else 'python loop'} {i}" for i in range(300)]
QUALITY = (RNG.random((300, 3)) < [[0.2, 0.9, 0.5], [0.9, 0.2, 0.5]] * 150).astype(float)
TABLE = Outcomes.from_arrays(TEXTS, ("a", "b", "c"), QUALITY)


def check_gradients(loss: Any, params: dict[str, Any], rows: Any) -> None:
    """Central differences of the loss, in double precision, at a few entries of every parameter."""
    _, grads = loss(rows, np.random.default_rng(0))
    assert set(grads) == set(params)
    for name, param in params.items():
        assert grads[name].shape == param.shape
        for place in np.random.default_rng(1).choice(param.size, min(param.size, 6), replace=False):
            at = np.unravel_index(place, param.shape)
            kept, values = param[at], []
            for step in (1e-4, -1e-4):
                param[at] = kept + step
                values.append(loss(rows, None)[0])
            param[at] = kept
            assert np.isclose(grads[name][at], (values[0] - values[1]) / 2e-4, rtol=2e-3, atol=1e-5), name


def double(params: dict[str, Any]) -> dict[str, Any]:
    return {name: param.astype(np.float64) for name, param in params.items()}


def test_gradients_of_mf() -> None:
    battles = Battles.of_quality(TEXTS[:20], TABLE.arms, QUALITY[:20] * 0.7, max_battles=10**6)
    vectors = RNG.standard_normal((20, 5))
    params = double(first_weights(battles.models, 5, 4, seed=0))
    check_gradients(BattleLoss(params, vectors, battles, alpha=0.0), params, np.array([3, 7, 11, 2]))


@pytest.mark.parametrize(("name", "options"), [("embedllm", {}), ("irt", {}), ("irt", {"form": "nirt"})])
def test_gradients_of_chances(name: str, options: dict[str, Any]) -> None:
    router = routers.create(name, EMBEDDER, latent=4, alpha=0.0, **options)
    params = double(router._start(TABLE.arms, 5, 0))
    quality = QUALITY[:20].copy()
    quality[::3, 1] = np.nan
    loss = QualityLoss(router, params, RNG.standard_normal((20, 5)), quality)
    check_gradients(loss, params, np.array([3, 7, 11, 2, 0]))


def test_mf_is_the_formula() -> None:
    params = first_weights(("m", "n"), 3, 4, seed=2)
    q = RNG.standard_normal(3).astype(np.float32)
    for k in range(2):
        unit = params["models"][k] / np.linalg.norm(params["models"][k])
        expected = params["out"] @ (unit * (params["text"] @ q))
        assert np.isclose(deltas(params, q[None])[0, k], expected, atol=1e-6)


def test_adams_first_step_and_its_goal() -> None:
    params = {"x": np.array([3.0, -2.0])}
    adam = Adam(params, lr=0.1)
    adam.step({"x": np.array([5.0, -0.01])})
    np.testing.assert_allclose(params["x"], [2.9, -1.9], atol=1e-5)  # lr, whatever the gradient's size
    for _ in range(500):
        adam.step({"x": 2 * params["x"]})
    assert np.abs(params["x"]).max() < 0.05
    decayed = {"x": np.array([1.0]), "y": np.array([1.0])}
    Adam(decayed, lr=0.1, weight_decay=0.5).step({"x": np.array([0.0])})
    assert decayed["x"][0] < 1
    assert decayed["y"][0] == 1


def test_minibatches_are_every_row_once() -> None:
    batches = list(minibatches(10, 4, np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert sorted(np.concatenate(batches).tolist()) == list(range(10))


def test_numbers_belong_to_names() -> None:
    np.testing.assert_array_equal(by_name(("x", "y"), 3, 1.0, 0), by_name(("y", "x"), 3, 1.0, 0)[::-1])


@pytest.mark.parametrize(
    "options", [{}, {"form": "nirt"}, {"warm_up": 0.5}, {"form": "nirt", "warm_up": 0.3}]
)
def test_forms_of_irt(options: dict[str, Any], tmp_path: Path) -> None:
    router = routers.create("irt", EMBEDDER, **options).fit(TABLE)
    queries = [Query(text="integral proof"), Query(text="python loop"), Query(text="")]
    scores = router.scores(queries)
    assert scores[0].argmax() == 0
    assert scores[1].argmax() == 1
    labelled = Outcomes.from_arrays(TEXTS[:80], ("d",), QUALITY[:80, :1])
    router.add_model("d", labelled)
    scores = router.scores(queries)
    np.testing.assert_allclose(scores[:2, 3], scores[:2, 0], atol=0.2)
    router.save(tmp_path)
    np.testing.assert_array_equal(routers.load(tmp_path, EMBEDDER).scores(queries), scores)


def test_few_labels_leave_a_new_ability_at_the_prior() -> None:
    router = routers.create("irt", EMBEDDER).fit(TABLE)
    prior = router.params_["theta"].mean(axis=1)
    router.add_model("d", Outcomes.from_arrays(TEXTS[:1], ("d",), [[1.0]]))
    few = np.abs(router.params_["theta"][:, 3] - prior).max()
    router = routers.create("irt", EMBEDDER).fit(TABLE)
    router.add_model("d", Outcomes.from_arrays(TEXTS, ("d",), QUALITY[:, :1]))
    assert few < np.abs(router.params_["theta"][:, 3] - prior).max()


@pytest.mark.parametrize("name", ["mf", "embedllm", "irt"])
def test_with_few_queries_arms_keep_their_means(name: str) -> None:
    few = TABLE.select(np.arange(20))
    scores = routers.create(name, EMBEDDER).fit(few).scores(TABLE.queries[:2])
    np.testing.assert_allclose(scores, np.tile(few.quality.mean(axis=0), (2, 1)), atol=0.05)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("mf", {"latent": 0}),
        ("mf", {"lr": 0.0}),
        ("mf", {"members": 0}),
        ("embedllm", {"alpha": -1.0}),
        ("embedllm", {"batch": 0}),
        ("irt", {"form": "3pl"}),
        ("irt", {"warm_up": 1.5}),
        ("irt", {"neighbours": 0}),
        ("irt", {"weight_decay": -1.0}),
    ],
)
def test_parameters_that_cannot_be(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        routers.create(name, EMBEDDER, **params).fit(TABLE)
