"""Every kind of cascade, fitted, saved, loaded and driven live: it ends, and never asks whom it must not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import cascades
from suffice.cascades import Recorded
from suffice.embedders import HashedNgrams
from suffice.errors import AllAttemptsFailed, ConfigError, ProviderUnavailable
from suffice.outcomes import Outcomes
from suffice.plans.cascade import CascadePlan
from suffice.types import Query
from test_plans import Talker, do

ARMS = ("a", "b", "c")
SIGNAL = "normalised_probability"
SAID = ("perhaps", "surely")
WORDS = ("integral", "poem", "python", "rhyme", "matrix", "loop")


def recorded(n: int = 100) -> Recorded:
    """Three arms, each dearer and better; sure answers are right more often."""
    rng = np.random.default_rng(0)
    sure = rng.random((n, 3))
    quality = (rng.random((n, 3)) < sure * [0.6, 0.8, 1.0]).astype(np.float64)
    texts = [f"{WORDS[i % 6]} {WORDS[(i // 6) % 6]} {i}" for i in range(n)]
    said = np.array(
        [[f"answer {arm}: {SAID[int(q)]}" for arm, q in zip(ARMS, row, strict=True)] for row in quality]
    )
    outcomes = Outcomes.from_arrays(
        texts, ARMS, quality, cost_usd=np.tile([0.0001, 0.001, 0.01], (n, 1)), responses=said.astype(object)
    )
    return Recorded.of(outcomes, {SIGNAL: sure})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, table = tmp_path_factory.mktemp("kinds"), recorded()
    for kind in cascades.available():
        params: dict[str, Any] = {"signal": SIGNAL}
        given: dict[str, Any] = {}
        if kind == "frugalgpt":
            params = {"embedder": HashedNgrams()}
        elif kind == "cascade_routing":
            params = {"signals": (SIGNAL,), "n_trials": 200}
            given["scores"] = np.clip(table.readings[SIGNAL] * [0.6, 0.8, 1.0], 0.1, 0.9)
        cascades.create(kind, **params).fit(table, value_usd=0.02, **given).save(folder / kind)
    return folder


def plan_of(saved: Path, kind: str) -> CascadePlan:
    plan = CascadePlan(kind)
    panel = [Talker(name).candidate for name in ARMS]
    plan.prepare(path=lambda name: saved / name, embedder=HashedNgrams(), panel=panel)
    return plan


@pytest.mark.parametrize("kind", cascades.available())
def test_every_kind_comes_to_an_answer(saved: Path, kind: str) -> None:
    plan, query = plan_of(saved, kind), Query(text="integral matrix 7")
    rankings = (("c", "b", "a"), ("a", "b"), ("a", "c"), ("b",))
    failures: tuple[tuple[str, ...], ...] = ((), ("c",), ("a",), ("a", "b"))
    for logprob, ranking, down in itertools.product((-0.05, -3.0), rankings, failures):
        models = [
            Talker(name, ProviderUnavailable("down") if name in down else None, logprob=logprob)
            for name in ARMS
        ]
        if set(ranking) <= set(down):
            with pytest.raises(AllAttemptsFailed):
                do(plan, models, query, ranking=ranking)
        else:
            done = do(plan, models, query, ranking=ranking)
            assert done.given.candidate in set(ranking) - set(down)
            assert done.given.content == f"{done.given.candidate} says"
        assert {model.candidate.name for model in models if model.asked} <= set(ranking)
        assert all(len(model.asked) <= 1 for model in models)


def test_an_unknown_arm_is_an_error(saved: Path) -> None:
    plan = CascadePlan("confidence")
    panel = [Talker(name).candidate for name in "ab"]
    with pytest.raises(ConfigError, match="'c' is not in the panel"):
        plan.prepare(path=lambda name: saved / name, embedder=HashedNgrams(), panel=panel)
