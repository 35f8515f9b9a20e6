"""The replaying model: what was said, and nothing that was not."""

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from suffice.errors import ConfigError, ProviderRejected
from suffice.providers.base import ProviderSettings
from suffice.providers.recorded import RecordedModel
from suffice.types import Candidate, Chunk, Options, Price, Query

ROW = {
    "query_id": "q-0",
    "query": "What is 6 * 7?",
    "prompt": "What is 6 * 7?",
    "model": "small",
    "strategy": "greedy",
    "temperature": 0.0,
    "seed": 0,
    "response": "It is 42",
    "prompt_tokens": 30,
    "completion_tokens": 4,
    "cost_usd": 0.000007,
    "cpu_s": 0.5,
    "latency_s": 0.02,
    "prefill_s": 0.01,
    "finish_reason": "stop",
    "logprobs": [
        {"token": "It", "logprob": -0.5, "top": [{"token": "It", "logprob": -0.5}]},
        {"token": " is", "logprob": -0.1, "top": []},
        {"token": " 42", "logprob": -0.2, "top": []},
    ],
}
SAMPLES = [
    {**ROW, "strategy": "sample", "temperature": 0.8, "seed": 1, "response": "42", "logprobs": []},
    {**ROW, "strategy": "sample", "temperature": 0.8, "seed": 2, "response": "41", "logprobs": []},
]
CANDIDATE = Candidate(name="s", provider="recorded", model="small")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    # The greedy row last: the order of a file means nothing.
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*SAMPLES, ROW]))
    return path


def _model(recording: Path, candidate: Candidate = CANDIDATE, **extra: Any) -> RecordedModel:
    settings = ProviderSettings(extra={"path": str(recording), **extra})
    return RecordedModel.from_config(candidate, settings)


def _ask(model: RecordedModel, text: str, fields: Mapping[str, Any] | None = None) -> Any:
    return asyncio.run(model.answer(Query(text=text), Options(fields=fields or {})))


def _stream(model: RecordedModel, fields: Mapping[str, Any]) -> list[Chunk]:
    async def collect() -> list[Chunk]:
        query = Query(text="What is 6 * 7?")
        return [chunk async for chunk in model.stream(query, Options(fields=fields))]

    return asyncio.run(collect())


def test_replays_the_greedy_run(recording: Path) -> None:
    answer = _ask(_model(recording), " What is\n6 *  7? ", {"logprobs": True})
    assert answer.content == "It is 42"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.compute_s) == (
        30,
        4,
        0.5,
    )
    assert answer.cost_usd == Decimal("0.000007")
    assert [token.token for token in answer.logprobs] == ["It", " is", " 42"]
    assert answer.logprobs[0].top == (("It", -0.5),)
    body = json.loads(answer.body)
    assert body["choices"][0]["message"]["content"] == "It is 42"
    assert body["usage"]["total_tokens"] == 34


def test_a_seed_finds_its_sample_and_else_the_greedy_run_answers(recording: Path) -> None:
    model = _model(recording)
    query = "What is 6 * 7?"
    assert _ask(model, query, {"temperature": 0.8, "seed": 2}).content == "41"
    assert _ask(model, query, {"temperature": 0.8, "seed": 99}).content == "It is 42"
    assert _ask(model, query, {"seed": 2}).content == "It is 42"


def test_a_known_price_replaces_the_recorded_cost(recording: Path) -> None:
    price = Price(usd_per_cpu_hour=Decimal("3.6"))
    candidate = Candidate(name="s", provider="recorded", model="small", price=price)
    assert _ask(_model(recording, candidate), "What is 6 * 7?").cost_usd == Decimal("0.0005")


def test_an_unknown_query_is_refused(recording: Path) -> None:
    with pytest.raises(ProviderRejected, match="no answer to this query"):
        _ask(_model(recording), "What is 6 * 8?")


def test_stream_says_the_same_and_ends_with_usage(recording: Path) -> None:
    chunks = _stream(_model(recording), {"logprobs": True, "stream_options": {"include_usage": True}})
    assert "".join(chunk.text for chunk in chunks) == "It is 42"
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert chunks[-1].usage is not None
    assert json.loads(chunks[-1].data)["usage"]["completion_tokens"] == 4
    assert chunks[1].logprobs is not None
    assert chunks[1].logprobs[0].token == " is"


def test_usage_stays_inside_where_the_client_did_not_ask(recording: Path) -> None:
    chunks = _stream(_model(recording), {})
    assert chunks[-1].data == b""
    assert chunks[-1].usage is not None


def test_pace_one_takes_the_recorded_time(recording: Path) -> None:
    assert _ask(_model(recording, pace=1), "What is 6 * 7?").latency_s >= 0.02


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"pace": -1}, "pace = -1"),
        ({"speed": 1}, "unknown options speed"),
        ({"path": "none.parquet"}, "no recording"),
    ],
)
def test_bad_settings_are_named(recording: Path, extra: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _model(recording, **extra)


def test_a_model_that_was_not_recorded_is_named(recording: Path) -> None:
    with pytest.raises(ConfigError, match="has no model 'huge'; it has small"):
        _model(recording, Candidate(name="h", provider="recorded", model="huge"))
