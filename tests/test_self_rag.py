"""A small model that says whether a question wants a look-up."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from suffice.distillation import SIGNALS, SelfRag, learn_signals, signal_labels
from suffice.errors import ConfigError, DataError
from suffice.gating import Strategies
from suffice.routers.tuning import Schedule

needs_torch = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("torch", "transformers", "peft")), reason="needs [torch]"
)
WORDS = ("capital", "built", "birthplace")
FAST = Schedule(epochs=20, max_steps=30, batch=16, rate=1e-2, head_rate=1e-2, patience=10, seed=0)


def test_labels_are_the_simplest_that_was_right() -> None:
    quality = [[1, 1, 1], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0.4, 0.6, 1]]
    calls = np.tile([0.0, 1.0, 3.0], (5, 1))
    table = Strategies.of(list("abcde"), ["none", "single", "multi"], quality, calls, np.maximum(calls, 1))
    assert signal_labels(table).tolist() == [0, 1, 2, 2, 1]
    two = Strategies.of(["a"], ["none", "single"], [[1, 1]], [[0, 1]], [[1, 1]])
    with pytest.raises(DataError, match="3 are needed"):
        signal_labels(two)


@needs_torch
def test_a_tiny_model_learns_to_say_it(tmp_path: Path) -> None:
    def planted(n: int, seed: int) -> tuple[list[str], np.ndarray]:
        kinds = np.random.default_rng(seed).choice(3, n, p=[0.6, 0.3, 0.1])
        return [f"the {WORDS[kind]} of thing {i} ?" for i, kind in enumerate(kinds)], kinds

    model = SelfRag.open("tiny", max_length=64)
    questions, wanted = planted(120, 0)
    unseen, right = planted(60, 1)
    before = (model.signals(unseen).argmax(axis=1) == right).mean()
    learn_signals(model, questions, wanted, schedule=FAST)
    signals = model.signals(unseen)
    assert signals.shape == (60, len(SIGNALS))
    np.testing.assert_allclose(signals.sum(axis=1), 1, atol=1e-5)
    assert (signals.argmax(axis=1) == right).mean() > 0.9 > before
    model.save(tmp_path)
    assert (tmp_path / "adapter_model.safetensors").is_file()


@needs_torch
def test_odd_questions_and_labels() -> None:
    model = SelfRag.open("tiny", max_length=96)
    rows = model.signal_prompts(["", "long " * 500, "\ud800", "\u8c01\uff1f"])
    assert max(map(len, rows)) <= 96
    with pytest.raises(DataError, match="a signal is 0 to 2"):
        learn_signals(model, ["a"] * 20, np.full(20, 3), schedule=FAST)
    with pytest.raises(ConfigError, match="no room"):
        SelfRag.open("tiny", max_length=24).signal_prompts(["q"])
