"""Losses and options that repair a classifier's confidence, against NumPy and on small routers."""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest

from suffice.errors import ConfigError
from suffice.routers.losses import LOSSES, Loss, two_ways
from suffice.types import FloatArray

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
