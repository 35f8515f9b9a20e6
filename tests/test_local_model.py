"""A real model in this process: answers, costs, logprobs, queueing, cancelling and its closed side port."""

import asyncio
import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from suffice.errors import (
    ConfigError,
    ContextOverflow,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    PullError,
)
from suffice.providers.base import ProviderSettings
from suffice.providers.llama_reply import Reply
from suffice.providers.local import LocalModel
from suffice.providers.pull import pull
from suffice.types import Answer, Candidate, Chunk, Options, Price, Query

pytest.importorskip("xllamacpp")

CANDIDATE = Candidate(
    name="s", provider="local", model="small", price=Price(usd_per_cpu_hour=Decimal("0.05"))
)
TERSE = "Reply with the final answer only, no explanation."
CAPITAL = Query(text="What is the capital of France?")


def _make(candidate: Candidate = CANDIDATE, **extra: Any) -> LocalModel:
    settings = ProviderSettings(extra={"threads": 1, "context": 1024, **extra})
    return LocalModel.from_config(candidate, settings)


@pytest.fixture(scope="module")
def path() -> str:
    try:
        return pull("small").path
    except PullError as error:
        pytest.skip(f"no local model here and none to be had: {error}")


@pytest.fixture(scope="module")
def model(path: str) -> LocalModel:
    return _make(path=path, system=TERSE)


def _ask(model: LocalModel, query: Query, fields: Mapping[str, Any] | None = None) -> Answer:
    return asyncio.run(model.answer(query, Options(fields={"temperature": 0, **(fields or {})})))


@pytest.mark.slow
def test_answer_usage_cost_and_logprobs(model: LocalModel) -> None:
    answer = _ask(model, CAPITAL, {"logprobs": True, "top_logprobs": 5})
    assert "Paris" in answer.content
    assert answer.finish_reason == "stop"
    assert answer.usage.compute_s is not None
    assert 0.05 < answer.usage.compute_s < 60
    assert float(answer.cost_usd or 0) == pytest.approx(answer.usage.compute_s * 0.05 / 3600, rel=1e-6)
    assert answer.logprobs is not None
    assert "".join(token.token for token in answer.logprobs) == answer.content
    for token in answer.logprobs:
        assert len(token.top) == 5
        assert token.logprob <= 0
        assert sum(math.exp(logprob) for _, logprob in token.top) <= 1.001
    body = json.loads(answer.body or b"")
    assert body["choices"][0]["message"]["content"] == answer.content
    assert body["model"] == "small"
    assert body["timings"]["prefill_s"] > 0


@pytest.mark.slow
def test_stream_says_the_same_and_ends_with_usage(model: LocalModel) -> None:
    async def collect() -> list[Chunk]:
        return [chunk async for chunk in model.stream(CAPITAL, Options(fields={"temperature": 0}))]

    chunks = asyncio.run(collect())
    assert "".join(chunk.text for chunk in chunks) == _ask(model, CAPITAL).content
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.compute_s is not None
    assert chunks[-1].data == b""
    assert all(json.loads(chunk.data)["model"] == "small" for chunk in chunks[:-1])


@pytest.mark.slow
def test_the_event_loop_is_free_meanwhile_and_calls_take_turns(model: LocalModel) -> None:
    async def both() -> tuple[list[Answer], int]:
        n_ticks = 0

        async def tick() -> None:
            nonlocal n_ticks
            while True:
                await asyncio.sleep(0.01)
                n_ticks += 1

        ticking = asyncio.create_task(tick())
        other = Query(text="Name a colour.")
        options = Options(fields={"temperature": 0, "max_tokens": 8})
        answers = await asyncio.gather(model.answer(CAPITAL, options), model.answer(other, options))
        ticking.cancel()
        return list(answers), n_ticks

    answers, n_ticks = asyncio.run(both())
    assert all(answer.content for answer in answers)
    assert n_ticks >= 5


@pytest.mark.slow
def test_closing_a_stream_frees_the_model(model: LocalModel) -> None:
    async def leave() -> float:
        query = Query(text="Write a long story about a ship.")
        async with aclosing(model.stream(query, Options(fields={"max_tokens": 500}))) as chunks:
            async for chunk in chunks:
                if chunk.has_content:
                    break
        start = time.perf_counter()
        await model.answer(CAPITAL, Options(fields={"max_tokens": 2}))
        return time.perf_counter() - start

    # 500 tokens would take 25 s of an idle core.
    assert asyncio.run(leave()) < 12


@pytest.mark.slow
def test_a_deadline_ends_the_call(model: LocalModel) -> None:
    query = Query(text="Count from 1 to 500, every number.")
    with pytest.raises(ProviderTimeout, match=r"no end after 0\.3 s"):
        asyncio.run(model.answer(query, Options(fields={"max_tokens": 500}, timeout_s=0.3)))
    assert "Paris" in _ask(model, CAPITAL).content


@pytest.mark.slow
def test_tools_reach_the_model(model: LocalModel) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    bare, armed = (_ask(model, CAPITAL, {"max_tokens": 1, **more}) for more in ({}, {"tools": [tool]}))
    assert bare.usage.prompt_tokens is not None
    assert armed.usage.prompt_tokens is not None
    assert armed.usage.prompt_tokens > bare.usage.prompt_tokens + 20


def test_a_streamed_tool_call_is_put_together() -> None:
    def piece(**call: Any) -> Mapping[str, Any]:
        return {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **call}]}}]}

    reply = Reply()
    reply.add(piece(id="c1", type="function", function={"name": "weather", "arguments": '{"ci'}))
    reply.add(piece(function={"arguments": 'ty": "Paris"}'}))
    reply.add({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    assert reply.has_content
    message = reply.body("small")["choices"][0]["message"]
    assert message["content"] is None
    function = {"name": "weather", "arguments": '{"city": "Paris"}'}
    assert message["tool_calls"] == [{"id": "c1", "type": "function", "function": function}]


@pytest.mark.slow
def test_refusals(model: LocalModel) -> None:
    with pytest.raises(ContextOverflow, match="exceeds the available context size"):
        _ask(model, Query(text="word " * 2000))
    with pytest.raises(ProviderRejected, match="must be number"):
        _ask(model, CAPITAL, {"temperature": "hot"})
    with pytest.raises(ProviderRejected, match="n = 2"):
        _ask(model, CAPITAL, {"n": 2})
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    with pytest.raises(ProviderRejected):
        _ask(model, Query.from_messages([{"role": "user", "content": image}]))


@pytest.mark.slow
def test_the_side_port_wants_a_key_that_nobody_has(model: LocalModel) -> None:
    _ask(model, CAPITAL, {"max_tokens": 1})
    port = model.server.side_port
    assert port is not None
    assert port.startswith("http://127.0.0.1:")
    for path, body in (("/v1/chat/completions", b"{}"), ("/completion", b"{}"), ("/props", None)):
        request = urllib.request.Request(port + path, data=body)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        assert caught.value.code == 401
        caught.value.close()


@pytest.mark.slow
def test_candidates_of_one_file_share_it(model: LocalModel, path: str) -> None:
    other = _make(path=path, system="Think step by step.")
    assert other.server is model.server
    with pytest.raises(ConfigError, match="share it"):
        _make(path=path, context=2048)


def test_a_missing_or_broken_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="suffice pull gone"):
        _ask(_make(path=str(tmp_path / "gone.gguf")), CAPITAL)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(1000))
    with pytest.raises(ProviderUnavailable, match="cannot load"):
        _ask(_make(path=str(broken)), CAPITAL)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"threads": -1}, "threads = -1"),
        ({"context": "big"}, "context = 'big'"),
        ({"max_tokens": 0}, "max_tokens = 0"),
        ({"sytem": "typo"}, "unknown options sytem"),
        ({"path": 3}, "path and system are text"),
    ],
)
def test_bad_settings_are_named(extra: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _make(**extra)


def test_the_file_of_a_pulled_model_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUFFICE_HOME", str(tmp_path))
    assert _make().server.settings.path == tmp_path / "models" / "small.gguf"


def test_images_go_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    settings = ProviderSettings(extra={"path": str(tmp_path / "a.gguf")})
    candidate = LocalModel.from_config(Candidate(name="a", provider="local", model="a"), settings).candidate
    assert candidate.allows("tools")
    assert not candidate.allows("vision")
