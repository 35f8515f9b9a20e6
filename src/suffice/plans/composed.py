"""An answer whose text is not what one call returned: taken out of a reply, or edited."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from suffice.plans.asking import Reply
from suffice.plans.base import PlanContext
from suffice.providers.translation import usage_body
from suffice.types import Answer, Chunk


def composed(text: str, answer: Answer, context: PlanContext) -> Reply:
    """The reply that says `text`, given by whoever gave `answer`; with chunks where a stream is wanted.

    Log-probabilities are left out: they belong to the tokens of the call.
    """
    head = {"id": "suffice-composed", "created": int(time.time()), "model": answer.candidate}
    head |= {name: value for name, value in _read(answer.body).items() if name in head}
    message = {"role": "assistant", "content": text}
    body = {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": usage_body(answer.usage),
    }
    made = msgspec.structs.replace(
        answer,
        content=text,
        finish_reason="stop",
        logprobs=None,
        no_logprobs="the answer is composed of several calls",
        body=msgspec.json.encode(body),
    )
    return Reply(answer=made, chunks=_chunks(text, made, head, context) if context.is_stream else ())


def _chunks(text: str, answer: Answer, head: dict[str, Any], context: PlanContext) -> tuple[Chunk, ...]:
    def data(choices: list[Any], **more: Any) -> bytes:
        return msgspec.json.encode({**head, "object": "chat.completion.chunk", "choices": choices, **more})

    delta = {"role": "assistant", "content": text}
    said = data([{"index": 0, "delta": delta, "finish_reason": None}])
    last = data([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    is_shown = context.options.wants_stream_usage
    return (
        Chunk(data=said, text=text, has_content=True),
        Chunk(data=last, finish_reason="stop"),
        Chunk(data=data([], usage=usage_body(answer.usage)) if is_shown else b"", usage=answer.usage),
    )


def _read(body: bytes | None) -> dict[str, Any]:
    value = msgspec.json.decode(body) if body is not None else None
    return value if isinstance(value, dict) else {}
