"""Graph and personal routers: gradients against finite differences, and what they make of structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import routers
from suffice.embedders import HashedNgrams
from suffice.errors import ConfigError
from suffice.outcomes import Outcomes, Preferences
from suffice.routers.descent import cross_entropy, sigmoid
from suffice.routers.episodes import episode, first_weights, shift_of, state_of
from suffice.routers.graph import EdgeLoss, Graph, first_params
from suffice.routers.histories import History
from suffice.types import Query

EMBEDDER = HashedNgrams()
RNG = np.random.default_rng(0)
PERSONAL = ("personalized", "gmtrouter")
MODELS = ("brief", "long", "middle")


def check_gradients(value: Any, params: dict[str, Any], grads: dict[str, Any]) -> None:
    assert set(grads) == set(params)
    for name, param in params.items():
        assert grads[name].shape == param.shape
        for place in np.random.default_rng(1).choice(param.size, min(param.size, 8), replace=False):
            at = np.unravel_index(place, param.shape)
            kept, values = param[at], []
            for step in (1e-5, -1e-5):
                param[at] = kept + step
                values.append(value())
            param[at] = kept
            assert np.isclose(grads[name][at], (values[0] - values[1]) / 2e-5, rtol=1e-3, atol=1e-6), name


def graph(n: int = 20, tasks: int = 3, width: int = 5, k: int = 4) -> tuple[Graph, Any]:
    quality = RNG.random((n, k))
    weights = RNG.dirichlet(np.ones(tasks), n)
    known = RNG.random((n, k)) < 0.8
    made = Graph(
        tasks=RNG.standard_normal((tasks, width)),
        weights=weights,
        inputs=RNG.standard_normal((n, width)),
        performance=np.where(known, quality - 0.5, 0),
        cost=RNG.standard_normal((n, k)),
        known=known,
        shares=weights.mean(axis=0),
    )
    return made, np.where(known, quality, np.nan)


def test_gradients_of_the_graph() -> None:
    made, quality = graph()
    params = first_params(("a", "b", "c", "d"), 5, 6, np.zeros(4), 0)
    params = {name: one.astype(np.float64) for name, one in params.items()}
    loss = EdgeLoss(params, made, quality, np.arange(20) < 15, mask=0.0)
    rows = np.array([1, 3, 8])
    _, grads = loss(rows, np.random.default_rng(0))
    check_gradients(lambda: loss(rows, None)[0], params, dict(grads))


def test_edges_are_pulled_means_of_what_is_seen() -> None:
    made, _ = graph()
    seen = np.arange(20)[:, None] < 12
    performance, _ = made.edges(seen)
    for t in range(3):
        for m in range(4):
            rows = [q for q in range(12) if made.known[q, m]]
            total = sum(made.weights[q, t] * made.performance[q, m] for q in rows)
            weight = sum(made.weights[q, t] for q in rows)
            assert performance[t, m] == pytest.approx(4 * total / (weight + 8), rel=1e-5)


def test_hidden_queries_do_not_reach_the_loss() -> None:
    made, quality = graph()
    params = first_params(("a", "b", "c", "d"), 5, 6, np.zeros(4), 0)
    seen = np.arange(20) < 15
    rows = np.array([16, 17])
    before = EdgeLoss(params, made, quality, seen, 0.3)(rows, None)[0]
    made.performance[18:] += 1
    made.cost[18:] += 1
    assert EdgeLoss(params, made, quality, seen, 0.3)(rows, None)[0] == before


def test_graphrouter_learns_what_tells_models_apart() -> None:
    texts = [f"{'integral proof' if i % 2 else 'python loop'} {i}" for i in range(300)]
    quality = (RNG.random((300, 3)) < [[0.2, 0.9, 0.5], [0.9, 0.2, 0.5]] * 150).astype(float)
    costs = np.tile([1e-4, 1e-3, 1e-2], (300, 1))
    router = routers.create("graphrouter", EMBEDDER, tasks=8, max_epochs=20, members=2)
    router.fit(Outcomes.from_arrays(texts, ("a", "b", "c"), quality, cost_usd=costs))
    found = router.scores([Query(text="a python loop"), Query(text="the integral proof")])
    assert found[0, 1] - found[0, 0] > 0.4
    assert found[1, 0] - found[1, 1] > 0.4
    assert "task node" in router.explain(Query(text="a python loop")).evidence[1]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("graphrouter", {"mask": 1.0}),
        ("graphrouter", {"tasks": 0}),
        ("personalized", {"prior_variance": 0.0}),
        ("gmtrouter", {"latent": 0}),
    ],
)
def test_impossible_parameters(name: str, params: dict[str, Any]) -> None:
    outcomes = Outcomes.from_arrays(["x", "y"], ("a", "b"), np.eye(2))
    with pytest.raises(ConfigError, match=name):
        routers.create(name, EMBEDDER, **params).fit(outcomes)


def history(n: int, width: int = 5, k: int = 4) -> History:
    pairs = np.array([RNG.choice(k, 2, replace=False) for _ in range(n)])
    inputs = RNG.standard_normal((n, width))
    return History(inputs, pairs[:, 0], pairs[:, 1], RNG.random(n), RNG.standard_normal(n))


def test_gradients_of_episodes() -> None:
    weights = first_weights(("a", "b", "c", "d"), 5, 3, 2, 0)
    support, asked = history(6), history(4)
    _, grads = episode(weights, support, asked, with_gradients=True)
    check_gradients(lambda: episode(weights, support, asked, with_gradients=False)[0], weights, grads)


def test_episodes_and_serving_agree() -> None:
    weights = first_weights(("a", "b", "c", "d"), 5, 3, 2, 0)
    support, asked = history(6), history(4)
    shift, rows = shift_of(weights, state_of(weights, support), asked.inputs), np.arange(4)
    gaps = asked.gaps + shift[rows, asked.second] - shift[rows, asked.first]
    loss = cross_entropy(gaps, asked.pref_b).mean()
    assert episode(weights, support, asked, with_gradients=False)[0] == pytest.approx(loss)


def users(n: int, n_choices: int, seed: int = 0, prefix: str = "user") -> Preferences:
    """Half of them like brief answers, half long ones, whatever is asked."""
    rng = np.random.default_rng(seed)
    rows = []
    for u in range(n):
        like = np.array([2.0, -2.0, 0.0]) * (1 if u % 2 else -1)
        for _ in range(n_choices):
            a, b = rng.choice(3, 2, replace=False)
            text = f"{rng.choice(['python', 'poem', 'integral'])} {rng.integers(200)}"
            chosen = float(rng.random() < sigmoid(like[b] - like[a]))
            rows.append((text, MODELS[a], MODELS[b], chosen, f"{prefix}-{u}"))
    texts, a, b, pref, names = (list(column) for column in zip(*rows, strict=True))
    return Preferences.from_columns(texts, texts, a, b, pref, annotator=names)


@pytest.fixture(scope="module", params=PERSONAL)
def trained(request: pytest.FixtureRequest) -> Any:
    return routers.create(request.param, EMBEDDER).fit_preferences(users(24, 20))


def test_known_users_get_what_they_like(trained: Any) -> None:
    text = "python 7"
    likes_long, likes_brief = (trained.scores([Query(text=text, user=f"user-{u}")])[0] for u in (0, 1))
    assert likes_long[1] - likes_long[0] > 0.2
    assert likes_brief[0] - likes_brief[1] > 0.2
    assert "20 choices" in trained.explain(Query(text=text, user="user-1")).evidence[2]


def test_unknown_users_change_nothing(trained: Any) -> None:
    plain = trained.scores([Query(text="poem 3")])
    np.testing.assert_array_equal(trained.scores([Query(text="poem 3", user="stranger")]), plain)
    mixed = trained.scores([Query(text="poem 3", user="user-0"), Query(text="poem 3")])
    np.testing.assert_allclose(mixed[1:], plain, atol=1e-6)


def test_new_users_are_observed_without_training(trained: Any, tmp_path: Path) -> None:
    trained.save(tmp_path)
    router = type(trained).load(tmp_path, embedder=EMBEDDER)
    query = Query(text="integral 5", user="new-1")
    plain = router.scores([query])[0]
    later = users(2, 20, seed=9, prefix="new")
    router.observe(later.select(np.arange(20, 25)))
    few = router.scores([query])[0]
    router.observe(later.select(np.arange(25, 40)))
    many = router.scores([query])[0]
    assert few[0] - few[1] > plain[0] - plain[1] + 0.05
    assert many[0] - many[1] > 0.2
    assert "new-1" in router.users
    assert "new-1" not in trained.users
    router.save(tmp_path / "later")
    loaded = type(trained).load(tmp_path / "later", embedder=EMBEDDER)
    np.testing.assert_allclose(loaded.scores([query])[0], many, atol=1e-9)


def test_choices_that_say_nothing_are_left_out(trained: Any, tmp_path: Path) -> None:
    trained.save(tmp_path)
    router = type(trained).load(tmp_path, embedder=EMBEDDER)
    columns = (["t"] * 3, ["t"] * 3, ["brief", "brief", "unheard"], ["long", "long", "brief"])
    odd = Preferences.from_columns(*columns, [np.nan, 1.0, 1.0], annotator=["x", None, "x"])
    assert router.observe(odd).users == trained.users


@pytest.mark.parametrize("name", PERSONAL)
def test_outcomes_make_everybody_the_same_until_observed(name: str) -> None:
    outcomes = Outcomes.from_arrays([f"poem {i}" for i in range(60)], MODELS, RNG.random((60, 3)))
    router = routers.create(name, EMBEDDER).fit(outcomes)
    assert router.users == ()
    query = Query(text="poem 1", user="new-1")
    plain = router.scores([query])[0]
    router.observe(users(2, 20, prefix="new"))
    own = router.scores([query])[0]
    assert own[0] - own[1] > plain[0] - plain[1] + 0.1


def test_personal_map_is_where_the_gradient_vanishes() -> None:
    router = routers.create("personalized", EMBEDDER).fit_preferences(users(24, 20))
    past = router.histories_["user-3"]
    z, own = router._directions(past.inputs), router.own_["user-3"]
    shift = np.einsum("nk,np,kp->n", router._signs(past), z, own)
    pull = (router._signs(past) * (past.pref_b - sigmoid(past.gaps + shift))[:, None]).T @ z
    np.testing.assert_allclose(own, router.models_ @ pull * router.directions_, atol=1e-3)


def test_histories_are_not_believed_where_users_agree() -> None:
    same = users(1, 200)
    names = [f"user-{i % 4}" for i in range(len(same))]
    columns = (same.query_id, same.query, same.model_a, same.model_b, same.pref_b)
    router = routers.create("gmtrouter", EMBEDDER).fit_preferences(
        Preferences.from_columns(*columns, annotator=names)
    )
    query = Query(text="python 7")
    own = router.scores([Query(text="python 7", user="user-2")])
    np.testing.assert_allclose(own, router.scores([query]), atol=0.05)
