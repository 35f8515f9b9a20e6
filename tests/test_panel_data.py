"""The recorded panel that ships: complete, graded as the checks grade, priced as it says."""

import asyncio
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from suffice.datasets.grading import grade
from suffice.datasets.panel import USD_PER_CPU_HOUR, load_outcomes, load_runs
from suffice.outcomes import Runs
from suffice.providers.base import ProviderSettings
from suffice.providers.recorded import RecordedModel
from suffice.types import Candidate, Options, Query


@pytest.fixture(scope="module")
def greedy() -> Runs:
    return load_runs().where(strategy="greedy")


def test_it_is_small() -> None:
    assert Path(str(files("suffice.datasets") / "panel.parquet")).stat().st_size <= 3_000_000


def test_every_candidate_answered_every_question(greedy: Runs) -> None:
    outcomes = load_outcomes(responses=True)
    assert outcomes.arms[:3] == ("small", "small-steps", "large")
    assert len(greedy) == outcomes.quality.size
    for values in (outcomes.quality, outcomes.cost_usd, outcomes.latency_s):
        assert np.isfinite(np.asarray(values)).all()


def test_no_candidate_is_hopeless_or_perfect() -> None:
    outcomes = load_outcomes()
    means = outcomes.quality.mean(axis=0)
    assert ((means > 0.2) & (means < 0.9)).all()
    # Routing has something to gain: the best of all per question beats the best candidate.
    assert outcomes.quality.max(axis=1).mean() > means.max() + 0.05


def test_scores_are_what_the_checks_say(greedy: Runs) -> None:
    columns = [greedy.column(name) for name in ("check", "response", "reference", "score")]
    rows = [row for row in zip(*columns, strict=True) if row[0] != "python"]
    assert all(grade(check, response, reference) == score for check, response, reference, score in rows)


def test_costs_are_cpu_seconds_at_the_stated_price() -> None:
    runs = load_runs()
    cpu_s, cost = np.array(runs.column("cpu_s")), np.array(runs.column("cost_usd"))
    np.testing.assert_allclose(cost, cpu_s * USD_PER_CPU_HOUR / 3600, rtol=1e-3, atol=1e-8)
    assert (cpu_s > 0).all()


def test_logprobs_belong_to_the_response(greedy: Runs) -> None:
    responses, logprobs = greedy.column("response"), greedy.column("logprobs")
    joined = ["".join(token["token"] for token in one) for one in logprobs]
    # A character may be spread over several tokens, none of which is text by itself.
    assert np.mean([one == response for one, response in zip(joined, responses, strict=True)]) > 0.9
    assert all(token["logprob"] <= 0 and len(token["top"]) == 5 for one in logprobs for token in one)


def test_the_panel_replays(greedy: Runs) -> None:
    candidate = Candidate(name="replayed", provider="recorded", model="large")
    model = RecordedModel.from_config(candidate, ProviderSettings())
    large = greedy.where(model="large")
    prompt, response = large.column("prompt")[0], large.column("response")[0]
    answer = asyncio.run(model.answer(Query(text=prompt), Options(fields={"temperature": 0})))
    assert answer.content == response
