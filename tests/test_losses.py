"""Losses and options that repair a classifier's confidence, against NumPy and on small routers."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import routers
from suffice.embedders import HashedNgrams
from suffice.errors import ConfigError, DataError
from suffice.outcomes import Outcomes, Preferences
from suffice.routers.binary_losses import binary_loss
from suffice.routers.losses import LOSSES, Loss, two_ways
from suffice.types import FloatArray, Query

needs_torch = pytest.mark.skipif(
    not all(map(find_spec, ("torch", "transformers", "peft"))), reason="pip install 'suffice[torch]'"
)


def of_one_class(name: str, probs: FloatArray, label: int, strength: float) -> float:
    """The losses as their papers have them: one true class."""
    p, k = float(probs[label]), len(probs)
    if name == "cross_entropy":
        return -math.log(p)
    if name == "label_smoothing":
        smooth = [(1 - strength) * (i == label) + strength / k for i in range(k)]
        return -sum(share * math.log(q) for share, q in zip(smooth, probs, strict=True))
    if name == "focal":
        return -((1 - p) ** strength) * math.log(p)
    if name == "focal_sample":
        return -((1 - p) ** (5 if p < 0.2 else 3)) * math.log(p)
    if int(np.argmax(probs)) == label:
        return -strength * math.log(p)
    return (1 - strength) * sum(q * math.log(q * k) for q in probs)


def losses(name: str, probs: FloatArray, truth: FloatArray, strength: float | None = None) -> FloatArray:
    import torch

    found = Loss(name, strength)(torch.tensor(np.log(probs)), torch.tensor(truth))
    return np.asarray(found)


@needs_torch
@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_that_of_its_paper(name: str, k: int) -> None:
    rng = np.random.default_rng(k)
    probs, labels = rng.dirichlet(np.ones(k), size=200), rng.integers(k, size=200)
    for strength in (LOSSES[name].strength, 0.25):
        expected = [
            of_one_class(name, row, label, strength or 0.0)
            for row, label in zip(probs, labels.tolist(), strict=True)
        ]
        given = strength if LOSSES[name].strength is not None else None
        np.testing.assert_allclose(losses(name, probs, np.eye(k)[labels], given), expected, atol=1e-12)


@needs_torch
@pytest.mark.parametrize("name", LOSSES)
def test_a_graded_truth_is_a_label_drawn_with_that_chance(name: str) -> None:
    rng = np.random.default_rng(0)
    probs, truth = rng.dirichlet(np.ones(5), size=50), rng.dirichlet(np.ones(5), size=50)
    each = [losses(name, probs, np.tile(np.eye(5)[label], (50, 1))) for label in range(5)]
    np.testing.assert_allclose(losses(name, probs, truth), (np.array(each).T * truth).sum(axis=1), atol=1e-12)


@needs_torch
def test_two_ways_is_binary_cross_entropy() -> None:
    import torch
    from torch.nn import functional

    logits, chance = torch.linspace(-30, 30, 13), torch.linspace(0, 1, 13)
    expected = functional.binary_cross_entropy_with_logits(logits, chance, reduction="none")
    np.testing.assert_allclose(Loss()(*two_ways(logits, chance)), expected, rtol=1e-5, atol=1e-6)


def slope(name: str, logit: float, chance: float, strength: float | None = None) -> float:
    import torch

    z = torch.tensor([logit], requires_grad=True)
    Loss(name, strength)(*two_ways(z, torch.tensor([chance]))).sum().backward()
    assert z.grad is not None
    return float(z.grad[0])


@needs_torch
@pytest.mark.parametrize("name", LOSSES)
def test_descent_moves_towards_the_truth_or_towards_doubt(name: str) -> None:
    assert slope(name, 0.4, 1.0) < 0 < slope(name, 0.4, 0.0)
    assert slope(name, -0.4, 1.0) < 0 < slope(name, -0.4, 0.0)
    for logit in (-80.0, 80.0):  # as sure as float32 can say
        for strength in (None, 0.5):
            given = strength if LOSSES[name].strength is not None else None
            assert math.isfinite(slope(name, logit, 1.0, given))


@pytest.mark.parametrize("chance", [0.6, 0.7, 0.8, 0.9])
def test_gatekeeper_by_default_leaves_a_binary_classifier_nearly_calibrated(chance: float) -> None:
    logits = np.linspace(0.01, 5, 2000)
    value, _ = binary_loss(Loss("gatekeeper"), logits, np.full(2000, chance))
    best = logits[value.argmin()]
    assert 1 / (1 + np.exp(-best)) == pytest.approx(chance, abs=0.08)


@needs_torch
def test_what_sets_the_losses_apart() -> None:
    sure = 4.0
    assert slope("label_smoothing", sure, 1.0) > 0  # too sure, though right
    assert abs(slope("focal", sure, 1.0)) < 0.01 * abs(slope("cross_entropy", sure, 1.0))
    assert slope("gatekeeper", 1.0, 0.0) > 0 > slope("gatekeeper", -1.0, 1.0)  # wrong: to one half
    assert slope("gatekeeper", 1.0, 1.0, 0.0) == 0  # alpha 0: what is right is left alone
    assert slope("gatekeeper", 1.0, 0.0, 0.9) < slope("gatekeeper", 1.0, 0.0, 0.1)


def test_losses_that_do_not_exist() -> None:
    with pytest.raises(ConfigError, match="no loss 'hinge': take one of cross_entropy"):
        Loss("hinge")
    with pytest.raises(ConfigError, match="'cross_entropy' has no strength"):
        Loss("cross_entropy", 0.1)
    with pytest.raises(ConfigError, match="from 0 and below 1"):
        Loss("label_smoothing", 1.0)
    with pytest.raises(ConfigError, match="gamma from 0 is needed"):
        Loss("focal", -1.0)
    with pytest.raises(ConfigError, match="alpha"):
        Loss("gatekeeper", float("nan"))


SUBJECTS = {
    "maths": ("integral", "derivative", "equation", "polynomial", "matrix", "theorem"),
    "code": ("python", "function", "loop", "compile", "recursion", "array"),
}
QUERIES = [Query(text="integral matrix theorem equation 5"), Query(text="loop python array function 6")]


def table(chances: tuple[float, float] = (0.9, 0.2), n: int = 200, *, graded: bool = False) -> Outcomes:
    """One arm is good at code, the other at maths."""
    rng = np.random.default_rng(0)
    is_code = rng.random(n) < 0.5
    texts = [
        " ".join(rng.choice(SUBJECTS["code" if code else "maths"], 4)) + f" {i}"
        for i, code in enumerate(is_code)
    ]
    means = np.where(is_code[:, None], chances, chances[::-1])
    quality = rng.random((n, 2)) < means
    return Outcomes.from_arrays(texts, ("coder", "abacus"), 0.2 + 0.6 * quality if graded else quality * 1.0)


def small(name: str, **params: Any) -> Any:
    base = "model" if name == "causal_lm" else "encoder"
    return routers.create(name, **{base: "tiny", "seed": 0} | params)


@needs_torch
@pytest.mark.parametrize(("name", "loss"), [*(("bert", loss) for loss in LOSSES), ("causal_lm", "focal")])
def test_routers_learn_with_every_loss(name: str, loss: str, tmp_path: Path) -> None:
    router = small(name, loss=loss, temperature_scaling=True).fit(table())
    scores = router.scores(QUERIES)
    assert scores[0, 1] > scores[0, 0] + 0.1
    assert scores[1, 0] > scores[1, 1] + 0.1
    router.save(tmp_path / "router")
    loaded = routers.load(tmp_path / "router")
    np.testing.assert_array_equal(loaded.scores(QUERIES), scores)
    assert "temperature" in loaded.explain(QUERIES[0]).evidence[-1]


@needs_torch
def test_a_loss_of_less_certainty_needs_a_lower_temperature() -> None:
    found = {
        loss: small("bert", loss=loss, temperature_scaling=True, held_out=0.3).fit(table(graded=True))
        for loss in ("cross_entropy", "focal")
    }
    heat = {loss: router.head_.tempering.temperature_ for loss, router in found.items()}
    assert heat["focal"] < heat["cross_entropy"]


@pytest.mark.parametrize("loss", LOSSES)
def test_mlp_learns_with_every_loss(loss: str) -> None:
    router = routers.create("mlp", embedder=HashedNgrams(), loss=loss, n_folds=2, max_epochs=40)
    scores = router.fit(table()).scores(QUERIES)
    assert scores[0, 1] > scores[0, 0] + 0.1
    assert scores[1, 0] > scores[1, 1] + 0.1


@needs_torch
def test_battles_take_losses_too() -> None:
    battles = Preferences.from_outcomes(table(n=100))
    router = small("bert", loss="label_smoothing", loss_strength=0.2).fit_preferences(battles)
    scores = router.scores(QUERIES)
    assert scores[0, router.arms.index("abacus")] > 0.5 > scores[1, router.arms.index("abacus")]
    with pytest.raises(ConfigError, match="trained on preferences"):
        router.adapt(table())


@needs_torch
@pytest.mark.parametrize("name", ["bert", "routerdc", "causal_lm"])
def test_a_domain_turns_what_was_learnt(name: str, tmp_path: Path) -> None:
    router = small(name, epochs=12).fit(table())
    router.save(tmp_path / "router")
    router = routers.load(tmp_path / "router")
    assert router.scores(QUERIES)[0, 1] > 0.55
    turned = table((0.1, 0.8))
    swapped = turned.select(np.arange(len(turned.quality))[::-1])
    scores = router.adapt(swapped).scores(QUERIES)
    assert scores[0, 1] < scores[0, 0] - 0.1
    assert router.mean_quality_["coder"] == pytest.approx(turned.quality[:, 0].mean())
    with pytest.raises(DataError, match="20 are needed"):
        router.adapt(turned.select(np.arange(10)))
    with pytest.raises(DataError, match="for a router of coder, abacus"):
        router.adapt(Outcomes.from_arrays(["a"], ("coder", "other"), np.ones((1, 2))))


def test_options_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="no loss 'hinge'"):
        small("bert", loss="hinge").fit(table())
    with pytest.raises(ConfigError, match="has no strength"):
        small("causal_lm", loss_strength=0.1).fit(table())
    with pytest.raises(ConfigError, match="gamma from 0"):
        routers.create("mlp", embedder=HashedNgrams(), loss="focal", loss_strength=-1).fit(table())


def numbers(loss: Loss, logits: FloatArray, chance: FloatArray) -> FloatArray:
    """By the losses for one true class, without torch."""
    found = []
    for z, y in zip(logits.tolist(), chance.tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        probs = np.array([1 - p, p])
        found.append(
            y * of_one_class(loss.name, probs, 1, loss.value)
            + (1 - y) * of_one_class(loss.name, probs, 0, loss.value)
        )
    return np.array(found)


@pytest.mark.parametrize("name", LOSSES)
def test_right_or_wrong_in_numpy(name: str) -> None:
    logits, chance = np.linspace(-6.05, 6, 40), np.tile([0.0, 0.3, 0.8, 1.0], 10)
    for strength in (None, 0.25):
        loss = Loss(name, strength if LOSSES[name].strength is not None else None)
        value, slope = binary_loss(loss, logits, chance)
        np.testing.assert_allclose(value, numbers(loss, logits, chance), atol=1e-12)
        above, below = (numbers(loss, logits + step, chance) for step in (1e-6, -1e-6))
        np.testing.assert_allclose(slope, (above - below) / 2e-6, atol=1e-8)
        value, slope = binary_loss(loss, np.array([-800.0, 800.0]), np.array([1.0, 0.0]))
        assert np.isfinite(value).all()
        assert np.isfinite(slope).all()
