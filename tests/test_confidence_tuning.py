"""Preference and reward training of a stated confidence: losses by hand, and a tiny model that learns."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice.distillation import (
    LEVELS,
    Examples,
    StatedConfidence,
    brier_reward,
    calibration_pairs,
    dpo_loss,
    learn_by_preference,
    learn_by_reward,
    log_reward,
    reward_loss,
)
from suffice.errors import ConfigError, DataError
from suffice.routers.frozen import above_frozen
from suffice.routers.tuning import Schedule
from suffice.types import FloatArray

needs_torch = pytest.mark.skipif(
    not all(map(find_spec, ("torch", "transformers", "peft"))), reason="pip install 'suffice[torch]'"
)


@pytest.mark.parametrize("reward", [brier_reward, log_reward])
@pytest.mark.parametrize("chance", LEVELS)
def test_honesty_is_rewarded_most(reward: Any, chance: float) -> None:
    right, wrong = reward(LEVELS, np.array([1.0, 0.0]))
    assert LEVELS[(chance * right + (1 - chance) * wrong).argmax()] == chance


def test_every_pair_prefers_the_better_score() -> None:
    quality = np.array([0.0, 1.0, 0.3])
    pairs = calibration_pairs(LEVELS, quality, 500, seed=0)
    assert pairs.shape == (3, 500, 2)
    far = np.abs(LEVELS[pairs] - quality[:, None, None])
    assert (far[:, :, 0] < far[:, :, 1]).all()
    np.testing.assert_array_equal(pairs, calibration_pairs(LEVELS, quality, 500, seed=0))
    assert (LEVELS[pairs[0, :, 0]] < LEVELS[pairs[0, :, 1]]).all()  # wrong: the less sure one


@pytest.mark.parametrize("chance", [0.15, 0.45, 0.75])
def test_the_calibrated_level_beats_every_other(chance: float) -> None:
    quality = (np.arange(20_000) < chance * 20_000).astype(float)
    pairs = calibration_pairs(LEVELS, quality, 20, seed=0).reshape(-1, 2)
    wins = np.zeros((10, 10))
    np.add.at(wins, (pairs[:, 0], pairs[:, 1]), 1)
    best = int(np.flatnonzero(np.isclose(LEVELS, chance))[0])
    others = np.arange(10) != best
    assert (wins[best, others] > wins[others, best]).all()


def test_pairs_that_cannot_be_drawn() -> None:
    with pytest.raises(DataError, match="3 different levels"):
        calibration_pairs(np.array([0.1, 0.9]), np.ones(2), 1, seed=0)
    with pytest.raises(DataError, match="0 pairs"):
        calibration_pairs(LEVELS, np.ones(2), 0, seed=0)


@needs_torch
def test_dpo_by_hand() -> None:
    import torch

    now, before = np.log([[0.5, 0.3, 0.2]]), np.log([[0.2, 0.2, 0.6]])
    pairs = [[[0, 2], [1, 0]]]
    margins = [math.log(0.5 / 0.2) - math.log(0.2 / 0.6), math.log(0.3 / 0.2) - math.log(0.5 / 0.2)]
    expected = np.mean([math.log(1 + math.exp(-0.1 * margin)) for margin in margins])
    found = dpo_loss(torch.tensor(now), torch.tensor(before), torch.tensor(pairs), beta=0.1)
    assert float(found) == pytest.approx(expected, abs=1e-12)
    start = dpo_loss(torch.tensor(now), torch.tensor(now), torch.tensor(pairs), beta=0.1)
    assert float(start) == pytest.approx(math.log(2))


@needs_torch
def test_reward_by_hand_and_its_gradient() -> None:
    import torch

    logits = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64).log()
    reward = torch.tensor([[0.9, 0.1, 0.4]], dtype=torch.float64)
    loss = reward_loss(logits.log_softmax(dim=1), reference, reward, kl=0.3)
    loss.backward()
    p = np.exp([0.3, -0.2, 0.1]) / np.exp([0.3, -0.2, 0.1]).sum()
    gained = np.array([0.9, 0.1, 0.4]) - 0.3 * np.log(p / np.array([0.2, 0.5, 0.3]))
    assert float(loss.detach()) == pytest.approx(-(p * gained).sum(), abs=1e-12)
    # policy gradient: mean over actions of (gain - baseline) times the gradient of log p
    np.testing.assert_allclose(np.asarray(logits.grad)[0], -p * (gained - (p * gained).sum()), atol=1e-12)


CHANCES = {"plain": 0.9, "murky": 0.2}


def planted(n: int, seed: int) -> tuple[list[str], list[str], FloatArray, FloatArray]:
    """Questions of which one word says how often their answers are right."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(list(CHANCES), n)
    chances = np.array([CHANCES[kind] for kind in kinds])
    questions = [f"a {kind} question {rng.integers(1000)}" for kind in kinds]
    return questions, [f"{rng.integers(50)}" for _ in kinds], (rng.random(n) < chances).astype(float), chances


FAST = Schedule(epochs=20, max_steps=60, batch=32, rate=1e-2, head_rate=1e-2, patience=10, seed=0)


@needs_torch
@pytest.mark.parametrize(
    ("learn", "given"),
    [(learn_by_preference, {}), (learn_by_reward, {}), (learn_by_reward, {"rule": "log"})],
)
def test_a_tiny_model_learns_how_sure_to_be(learn: Any, given: dict[str, Any], tmp_path: Path) -> None:
    model = StatedConfidence.open("tiny", max_length=80)
    questions, answers, quality, _ = planted(400, 0)
    unseen, said, _, chances = planted(200, 1)
    before = np.abs(model.confidences(unseen, said) - chances).mean()
    reports: list[Any] = []
    examples = Examples(model.prompts(questions, answers), quality)
    best = learn(model, examples, schedule=FAST, report=reports.append, **given)
    after = np.abs(model.confidences(unseen, said) - chances).mean()
    assert after < 0.12 < before
    assert best.held_out_loss == min(report.held_out_loss for report in reports)
    model.save(tmp_path)
    assert (tmp_path / "adapter_model.safetensors").is_file()


@needs_torch
def test_layers_below_read_every_prompt_once() -> None:
    model = StatedConfidence.open("tiny", n_layers=1, max_length=80)
    questions, answers, quality, _ = planted(30, 0)
    rows = model.prompts(questions, answers)
    above, read = above_frozen(model.body, rows)
    assert above is not model.body
    whole, found = model.body.all_states(rows), above.all_states(read)
    np.testing.assert_allclose(found, whole, atol=0.01)  # kept in half precision
    before = model.distribution(questions, answers)
    learn_by_reward(model, Examples(rows, quality), schedule=FAST)
    assert np.abs(model.distribution(questions, answers) - before).max() > 0.05


@needs_torch
def test_one_digit_per_question() -> None:
    model = StatedConfidence.open("tiny", max_length=64)
    questions = ["", "long " * 500, "\ud800", "Was\u00df?"]
    answers = ["long " * 500, "", "\ud800", "ja"]
    rows = model.prompts(questions, answers)
    assert max(map(len, rows)) <= 64
    np.testing.assert_allclose(model.distribution(questions, answers).sum(axis=1), 1, atol=1e-5)
    assert set(model.confidences(questions, answers)) <= set(LEVELS)


@needs_torch
def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no tokenizer\.json"):
        StatedConfidence.open(str(tmp_path))
    with pytest.raises(ConfigError, match="n_layers 0"):
        StatedConfidence.open("tiny", n_layers=0)
    with pytest.raises(ConfigError, match="leaves no room"):
        StatedConfidence.open("tiny", max_length=16).prompts(["q"], ["a"])
    model = StatedConfidence.open("tiny", max_length=64)
    with pytest.raises(DataError, match="1 questions for 2 answers"):
        model.prompts(["q"], ["a", "b"])
    with pytest.raises(DataError, match="at least 10 prompts"):
        Examples(model.prompts(["q"], ["a"]), np.ones(1))
    rows = model.prompts(["q"] * 20, ["a"] * 20)
    with pytest.raises(DataError, match="in \\[0, 1\\]"):
        Examples(rows, np.full(20, np.nan))
    examples = Examples(rows, np.ones(20))
    for learn, given in (
        (learn_by_preference, {"beta": 0.0}),
        (learn_by_reward, {"rule": "linear"}),
        (learn_by_reward, {"kl": -1.0}),
        (learn_by_reward, {"held_out": 1.0}),
    ):
        with pytest.raises(ConfigError):
            learn(model, examples, **given)  # type: ignore[operator]
