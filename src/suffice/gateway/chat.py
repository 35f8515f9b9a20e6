"""POST /v1/chat/completions and POST /v1/route: the same body, answered or only decided."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from suffice.engine import Request
from suffice.errors import SufficeError
from suffice.gateway.call import Call
from suffice.gateway.coalesce import forward
from suffice.gateway.decode import read_chat
from suffice.gateway.wire import JSON_TYPE, Header, error_body
from suffice.types import Chunk, Decision, Record, Retrieval, Reuse

if TYPE_CHECKING:
    from suffice.gateway.app import Gateway

_STREAM_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_CACHE_OFF: Final[Header] = (b"x-suffice-cache", b"off")
_CACHE_HIT: Final[Header] = (b"x-suffice-cache", b"hit")
_CACHE: Final[Mapping[str, Header]] = {
    "exact": _CACHE_HIT,
    "shared": _CACHE_HIT,
    **{way: (b"x-suffice-cache", way.encode()) for way in ("semantic", "rewrite", "miss", "bypass")},
}
_DONE: Final = b"data: [DONE]\n\n"


async def complete(gateway: Gateway, call: Call) -> None:
    """Answer a chat, whole or as a stream."""
    request = read_chat(await call.body(gateway.max_body_bytes), call.headers, call.caller)
    if request.is_stream:
        await _stream(gateway, call, request)
        return
    result = await gateway.engine.answer(request)
    record = result.record
    gateway.metrics.saw(record)
    answer = result.answer
    body = answer.body if answer.body is not None else _body_of(record, answer.content)
    headers = _headers(record)
    if result.said:
        headers += _said(result.said)
    await call.reply(200, body, headers)


async def decide(gateway: Gateway, call: Call) -> None:
    """The decision alone; nobody is asked and nothing is recorded."""
    request = read_chat(await call.body(gateway.max_body_bytes), call.headers, call.caller)
    await call.json(describe_decision(await gateway.engine.decide(request)))


async def _stream(gateway: Gateway, call: Call, request: Request) -> None:
    streaming = await gateway.engine.open(request)
    try:
        known = _early_headers(
            streaming.record_id,
            streaming.candidate,
            streaming.decision,
            _cache_said(streaming.reuse, streaming.is_known),
            streaming.retrieval,
        )
        if streaming.said:
            known += _said(streaming.said)
        if streaming.cost_usd is not None:
            known.append((b"x-suffice-cost-usd", f"{streaming.cost_usd:f}".encode()))
        await call.start(200, [*_STREAM_HEADERS, *known])
        try:
            await forward(streaming, _event, call.push)
            end = _DONE if gateway.engine.confidence is None else _confident_end(streaming.record)
        except SufficeError as error:  # what was sent stands: say what happened, and that it is not whole
            end = b"data: %b\n\n" % error_body(error)
        await call.push(end, is_last=True)
    finally:
        await streaming.aclose()
        if streaming.record is not None:
            gateway.metrics.saw(streaming.record)


def _confident_end(record: Record | None) -> bytes:
    """The end of a stream, behind the confidence as a comment: readers of events skip those."""
    if record is None or record.confidence is None:
        return _DONE
    return b": x-suffice-confidence %.4f\n\n%b" % (record.confidence, _DONE)


def _event(chunk: Chunk) -> bytes:
    """One server-sent event; JSON has no line break that could not be left out."""
    data = chunk.data
    if data.find(b"\n") >= 0 or data.find(b"\r") >= 0:  # for bytes, `in` costs an exception
        data = data.translate(None, b"\r\n")
    return b"data: %b\n\n" % data if data else b""


def _cache_said(reuse: Reuse | None, is_known: bool) -> Header:
    """What the cache made of it; `is_known`: a plan's own cache gave it, and nobody was asked."""
    if reuse is not None:
        return _CACHE[reuse.way]
    return _CACHE_HIT if is_known else _CACHE_OFF


def _early_headers(
    record_id: str, candidate: str, decision: Decision, cache: Header, retrieval: Retrieval | None
) -> list[Header]:
    """What is known when an answer begins."""
    headers = [
        (b"x-suffice-id", record_id.encode()),
        (b"x-suffice-model", _model(candidate)),
        (b"x-suffice-plan", decision.plan.encode()),
        cache,
        (b"x-suffice-decision-ms", b"%.3f" % (decision.decision_s * 1000)),
    ]
    if retrieval is not None:
        headers.append((b"x-suffice-retrieval", _model(retrieval.strategy)))
        headers.append((b"x-suffice-lookups", b"%d" % retrieval.n_lookups))
    return headers


def _headers(record: Record) -> list[Header]:
    """What is known at its end."""
    headers = _early_headers(
        record.id,
        record.candidate or record.decision.candidate,
        record.decision,
        _cache_said(record.reuse, not record.attempts),
        record.retrieval,
    )
    headers.append(JSON_TYPE)
    if record.cost_usd is not None:
        headers.append((b"x-suffice-cost-usd", f"{record.cost_usd:f}".encode()))
    if record.baseline_usd is not None:
        headers.append((b"x-suffice-baseline-usd", f"{record.baseline_usd:f}".encode()))
    if record.confidence is not None:
        headers.append((b"x-suffice-confidence", b"%.4f" % record.confidence))
    return headers


def _said(notes: Iterable[tuple[str, str]]) -> list[Header]:
    """What budgets have to say."""
    return [(f"x-suffice-{name}".encode(), text.encode()) for name, text in notes]


@functools.cache
def _model(name: str) -> bytes:
    """A candidate's name as a header value; what HTTP cannot carry is percent-encoded."""
    if name.isascii() and name.isprintable():
        return name.encode()
    from urllib.parse import quote

    return quote(name).encode()


def _body_of(record: Record, content: str) -> bytes:
    """A completion for a provider that left the shape to us."""
    usage = record.usage
    cited = {} if record.retrieval is None else {"citations": record.retrieval.citations}
    return msgspec.json.encode(
        {
            **{name: found for name, found in cited.items() if found},
            "id": record.id,
            "object": "chat.completion",
            "created": int(record.created_at),
            "model": record.candidate,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content},
                    "finish_reason": record.finish_reason,
                }
            ],
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "total_tokens": usage.total_tokens,
            },
        }
    )


def describe_decision(decision: Decision) -> dict[str, Any]:
    """A decision as `POST /v1/route` shows it: everything by candidate."""

    def by_arm(values: tuple[float | None, ...] | tuple[float, ...]) -> dict[str, float | None]:
        return dict(zip(decision.arms, values, strict=False))

    return {
        "object": "route.decision",
        "model": decision.candidate,
        "plan": decision.plan,
        "reason": decision.reason,
        "policy": decision.policy,
        "ranking": decision.ranking,
        "eligible": decision.eligible,
        "scores": by_arm(decision.scores),
        "costs_usd": by_arm(decision.costs_usd),
        "latencies_s": by_arm(decision.latencies_s),
        "propensities": by_arm(decision.propensities),
        "baseline": decision.baseline,
        "decision_ms": round(decision.decision_s * 1000, 3),
        "versions": decision.versions,
    }
