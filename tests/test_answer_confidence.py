"""Confidence of live answers: asked for, read, calibrated, shown, and kept from clients that did not ask."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fakes import FakeModel
from scenes import USAGE, Scene, reply, sse, status
from suffice import calibration
from suffice.build import build
from suffice.config import parse
from suffice.engine import Engine, Request
from suffice.errors import ArtefactError, ConfigError
from suffice.gateway import Gateway
from suffice.gateway.drift import Drift, Joined, stability_index
from suffice.plans.confidence import SIGNALS, AnswerConfidence
from suffice.plans.logprobs import without_logprobs
from suffice.types import Answer, Decision, Options, Query, Record, TokenLogprob
from test_gateway import ASK, CHAT, call
from upstream import Upstream

TOKENS = [("hel", 0.9), ("lo", 0.4)]


def entries(k: int = 0) -> list[dict[str, Any]]:
    made = []
    for token, p in TOKENS:
        top = [{"token": t, "logprob": math.log(q), "bytes": None} for t, q in ((token, p), ("x", 1 - p))]
        made.append({"token": token, "logprob": math.log(p), "bytes": None, "top_logprobs": top[:k]})
    return made


def sure(request: Any, writer: Any) -> Awaitable[None]:
    """A provider that gives log-probabilities where they are asked for, as OpenAI does."""
    asked = request.json
    k = asked.get("top_logprobs", 0)
    given = entries(k) if asked.get("logprobs") else None
    if asked.get("stream"):
        events: list[Any] = []
        for place, (token, _) in enumerate(TOKENS):
            shown = None if given is None else {"content": [given[place]], "refusal": None}
            choice = {"index": 0, "delta": {"content": token}, "logprobs": shown, "finish_reason": None}
            events.append({"id": "c", "object": "chat.completion.chunk", "choices": [choice]})
        end = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
        events.append({"id": "c", "object": "chat.completion.chunk", "choices": [end]})
        events.append({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
        return sse(events)(request, writer)
    shown = None if given is None else {"content": given, "refusal": None}
    message = {"role": "assistant", "content": 'hello "logprobs": {"content": 1}'}
    choices = [{"index": 0, "message": message, "logprobs": shown, "finish_reason": "stop"}]
    body = {"id": "c", "object": "chat.completion", "zzz": 1.50, "choices": choices, "usage": USAGE}
    return reply(json.dumps(body, indent=1).encode())(request, writer)


def gateway_with(
    section: str,
    work: Callable[[Gateway, Upstream], Awaitable[Any]],
    *scenes: Scene,
    provider: str = "openai",
) -> Any:
    """`work(gateway, upstream)` with that `confidence:` section, over a real provider."""

    async def main() -> Any:
        async with Upstream() as upstream:
            upstream.plays(*(scenes or (sure,)))
            text = (
                f"models: [{{name: small, provider: {provider}, base_url: '{upstream.url}', api_key: k, "
                f"input_usd_per_mtok: 1, output_usd_per_mtok: 1}}]\nrouter: {{name: cheapest}}\n"
                f"store: 'sqlite:///:memory:'\n{section}\n"
            )
            config = parse(text, file=Path("suffice.yaml"), environ={})
            gateway = Gateway(lambda: build(config), is_loopback=True, demands_key=False)
            await gateway.startup()
            try:
                return await work(gateway, upstream)
            finally:
                await gateway.shutdown()

    return asyncio.run(main())


ON = "confidence: {signal: normalised_probability}"
EXPECTED = math.sqrt(0.9 * 0.4)


def both(section: str, **fields: Any) -> Any:
    async def work(gateway: Gateway, upstream: Upstream) -> Any:
        whole = await call(gateway, CHAT, {**ASK, **fields})
        stream = await call(gateway, CHAT, {**ASK, "stream": True, **fields})
        await gateway.engine.store.drain()
        records = gateway.engine.store.records()
        return whole, stream, records[::-1], upstream.requests

    return gateway_with(section, work)


def test_asked_for_shown_and_stripped_to_the_byte() -> None:
    plain, plain_stream, _, asked = both("")
    assert "logprobs" not in asked[0].json and "x-suffice-confidence" not in plain.headers
    whole, stream, records, asked = both(ON)
    assert [request.json["logprobs"] for request in asked] == [True, True]
    assert "top_logprobs" not in asked[0].json
    assert whole.body == plain.body
    assert float(whole.headers["x-suffice-confidence"]) == pytest.approx(EXPECTED, abs=1e-4)
    comment = b": x-suffice-confidence %.4f\n\n" % EXPECTED
    assert stream.body.replace(comment, b"") == plain_stream.body
    assert stream.body.endswith(comment + b"data: [DONE]\n\n")
    assert [record.confidence for record in records] == pytest.approx([EXPECTED] * 2)


def test_a_client_that_asks_gets_what_it_asked_for() -> None:
    whole, stream, records, asked = both(ON, logprobs=True)
    assert whole.json["choices"][0]["logprobs"]["content"][0]["token"] == "hel"
    assert b'"logprobs":{"content"' in stream.body.replace(b" ", b"")
    assert records[0].confidence == pytest.approx(EXPECTED)
    margin = "confidence: {signal: probability_margin}"
    whole, _, records, asked = both(margin, logprobs=True)
    assert "top_logprobs" not in asked[0].json
    assert records[0].confidence is None and "alternatives" in (records[0].no_confidence or "")


def test_alternatives_are_asked_for_where_a_signal_compares_them() -> None:
    _, _, records, asked = both("confidence: {signal: probability_margin}")
    assert asked[0].json["top_logprobs"] == 5
    assert records[0].confidence == pytest.approx((0.8 + 0.2) / 2)


def test_nothing_is_asked_for_where_that_is_switched_off() -> None:
    whole, stream, records, asked = both("confidence: {ask: false}")
    assert "logprobs" not in asked[0].json and b": x-suffice" not in stream.body
    assert "x-suffice-confidence" not in whole.headers
    assert [record.no_confidence for record in records] == ["not asked for", "no log-probabilities came"]


def test_a_provider_that_refuses_them_is_asked_without_and_not_again() -> None:
    def refuses(request: Any, writer: Any) -> Awaitable[None]:
        scene = (
            status(400, "`logprobs` is not supported with this model") if "logprobs" in request.json else sure
        )
        return scene(request, writer)

    async def work(gateway: Gateway, upstream: Upstream) -> Any:
        replies = [await call(gateway, CHAT, {**ASK, "stream": n == 0}) for n in range(3)]
        await gateway.engine.store.drain()
        return replies, gateway.engine.store.records(), len(upstream.requests)

    replies, records, n_requests = gateway_with(ON, work, refuses)
    assert [one.status for one in replies] == [200] * 3 and n_requests == 4
    assert all("refuses them" in (record.no_confidence or "") for record in records)
    assert replies[0].body.endswith(b"data: [DONE]\n\n") and b"hel" in replies[0].body


def test_other_refusals_stay_refusals_and_capabilities_are_believed() -> None:
    async def work(gateway: Gateway, upstream: Upstream) -> Any:
        return await call(gateway, CHAT, ASK), len(upstream.requests)

    found, n_requests = gateway_with(ON, work, status(400, "no such tool"))
    assert (found.status, n_requests) == (400, 1)
    model = FakeModel("small", capabilities=frozenset({"tools"}))
    wrapped = AnswerConfidence().asking(model)
    asyncio.run(wrapped.answer(Query(text="x"), Options()))
    assert not model.options[0].wants_logprobs


def test_anthropic_gives_none_and_the_record_says_so() -> None:
    body = {
        "id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hello"}], "usage": {"input_tokens": 3, "output_tokens": 2},
    }  # fmt: skip

    async def work(gateway: Gateway, upstream: Upstream) -> Any:
        found = await call(gateway, CHAT, {**ASK, "max_tokens": 9})
        await gateway.engine.store.drain()
        return found, gateway.engine.store.records()[0]

    found, record = gateway_with(ON, work, reply(body), provider="anthropic")
    assert found.status == 200 and "x-suffice-confidence" not in found.headers
    assert record.confidence is None and record.no_confidence


def test_openais_client_reads_a_stream_with_the_comment() -> None:
    openai = pytest.importorskip("openai")
    lines = b'data: {"choices": []}\n\n: x-suffice-confidence 0.8731\n\ndata: [DONE]\n\n'.splitlines(
        keepends=True
    )
    events = list(openai._streaming.SSEDecoder().iter_bytes(iter(lines)))
    assert [event.data for event in events if event.data] == ['{"choices": []}', "[DONE]"]


# --- reading


def test_every_signal_is_read_and_calibrated(tmp_path: Path) -> None:
    tokens = tuple(
        TokenLogprob(t, math.log(p), ((t, math.log(p)), ("x", math.log(1 - p)))) for t, p in TOKENS
    )
    said = Answer(content="hello", candidate="m", logprobs=tokens)
    for signal in SIGNALS:
        value, missing = AnswerConfidence(signal).of(said)
        assert value is not None and 0 <= value <= 1 and missing is None, signal
    fitted = calibration.create("platt").fit([0.2, 0.4, 0.6, 0.8], [0, 1, 0, 1])
    (tmp_path / "c.json").write_text(fitted.to_json())
    value, _ = AnswerConfidence.read("normalised_probability", tmp_path / "c.json").of(said)
    assert value == pytest.approx(float(fitted.predict([EXPECTED])[0]))
    nothing = AnswerConfidence().of(Answer(content="", candidate="m", no_logprobs="not asked for"))
    assert nothing == (None, "not asked for")


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="semantic_entropy"):
        AnswerConfidence("semantic_entropy")
    with pytest.raises(ConfigError, match="no calibrator at"):
        AnswerConfidence.read("perplexity", tmp_path / "no.json")
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ArtefactError):
        AnswerConfidence.read("perplexity", tmp_path / "c.json")


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b'{"choices":[{"logprobs" : {"content":[1]} ,"index":0}]}',
         b'{"choices":[{"logprobs" : null ,"index":0}]}'),
        (b'{"choices":[{"logprobs":null}],"logprobs":{"a":1}}',
         b'{"choices":[{"logprobs":null}],"logprobs":{"a":1}}'),
        (b'{"a":"\\"logprobs\\":{\\"b\\":1}","choices":[{"logprobs":{"b":1}},{"logprobs":{"b":1}}]}',
         b'{"a":"\\"logprobs\\":{\\"b\\":1}","choices":[{"logprobs":null},{"logprobs":null}]}'),
        (b'{"choices":[1,{"logprobs":{"b":1},"index":2}]}', b'{"choices":[1,{"index":2}]}'),
        (b'{"choices":[]}', b'{"choices":[]}'),
    ],
)  # fmt: skip
def test_only_the_choices_values_go(body: bytes, left: bytes) -> None:
    assert without_logprobs(body) == left


# --- drift


def test_feedback_and_drift_on_the_metrics_page(tmp_path: Path) -> None:
    fitted = json.loads(calibration.create("identity").fit([0.5], [1]).to_json())
    about = {"reference": {"edges": [0.2, 0.4], "shares": [0.5, 0.4, 0.1]}}
    (tmp_path / "c.json").write_text(json.dumps(fitted | {"about": about}))

    async def work(gateway: Gateway, upstream: Upstream) -> str:
        for value in (1.0, 0.0):
            found = await call(gateway, CHAT, ASK)
            word = {"id": found.headers["x-suffice-id"], "value": value}
            assert (await call(gateway, "/v1/feedback", word)).status == 200
            assert (await call(gateway, "/v1/feedback", word)).status == 200, "given twice, counted once"
            assert (await call(gateway, "/v1/feedback", {**word, "name": "speed"})).status == 200
        return (await call(gateway, "/metrics")).body.decode()

    text = gateway_with(f"confidence: {{calibrator: {tmp_path / 'c.json'}}}", work)

    def value(name: str) -> float:
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))

    assert value("suffice_confidence_window_feedback") == 2
    assert value("suffice_confidence_gap") == pytest.approx(EXPECTED - 0.5)
    assert value("suffice_confidence_calibration_error") == pytest.approx(abs(EXPECTED - 0.5))
    squares = ((1 - EXPECTED) ** 2 + EXPECTED**2) / 2
    assert value("suffice_confidence_brier_score") == pytest.approx(squares)
    assert value("suffice_confidence_window_answers") == 2
    assert value("suffice_confidence_drift_psi") == pytest.approx(stability_index([0, 0, 2], [0.5, 0.4, 0.1]))
    assert value("suffice_confidence_missing_total") == 0
    assert "suffice_confidence" not in gateway_with("", lambda gateway, _: _metrics(gateway))


async def _metrics(gateway: Gateway) -> str:
    return (await call(gateway, "/metrics")).body.decode()


def test_windows_move_and_workers_add_up() -> None:
    record = Record(
        id="r", created_at=0.0, tenant="t", confidence=0.3,
        decision=Decision(plan="single", candidate="a", ranking=("a",)),
    )  # fmt: skip
    drift = Drift()
    for _ in range(11_000):
        drift.saw(record, (0.2, 0.4))
    assert drift.spread == [0, 6_000, 0]
    for n in range(1_200):
        drift.heard(0.9, float(n < 500))
    window = drift.window
    assert window.n == 700 and window.gap == pytest.approx(0.9)
    total = Drift()
    total.add(drift)
    total.add(drift)
    assert total.spread == [0, 12_000, 0] and total.window.n == 1_400


def test_cells_are_those_of_the_calibration_error() -> None:
    from suffice.metrics import brier_score, expected_calibration_error

    joined, sure, right = Joined(), [0.0, 0.1, 0.15, 0.7, 0.95, 1.0], [0, 1, 0, 1, 1, 0]
    for confidence, value in zip(sure, right, strict=True):
        joined.observe(confidence, value)
    assert joined.calibration_error == pytest.approx(expected_calibration_error(sure, right, n_bins=10))
    assert joined.brier_score == pytest.approx(brier_score(sure, right))


def test_engines_without_the_section_do_as_before() -> None:
    engine: Engine = Engine({"small": FakeModel("small")}, {}, _store())
    result = asyncio.run(engine.answer(Request(query=Query(text="x"), model="small")))
    assert result.record.confidence is None and result.record.no_confidence is None
    engine.store.close()


def _store() -> Any:
    from suffice.store import open_store

    return open_store("sqlite:///:memory:")
