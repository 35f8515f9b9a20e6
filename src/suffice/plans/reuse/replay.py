"""An answer as it is kept, and as it is given again: in the shape that this client asked for."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from suffice.plans.base import Event
from suffice.plans.spent import with_usage
from suffice.providers.translation import usage_body
from suffice.types import Answer, Chunk, Decision, Options, Usage

CACHE: Final = "cache"
"""The plan of an answer that was given again."""
REWRITE: Final = "rewrite"
"""The plan of an answer that was made of a kept one."""
FREE: Final = Usage(prompt_tokens=0, completion_tokens=0)
"""Of an answer for which nobody was asked."""
_FREE_BODY: Final = usage_body(FREE)
_PIECE: Final = 2048
"""Characters of a streamed chunk."""


def keepable(answer: Answer) -> Answer:
    """The answer with a whole OpenAI-shaped body whose `usage` is 0, and without log-probabilities.

    Its own `usage` and `cost_usd` stay what it took: what giving it again saves.
    """
    return msgspec.structs.replace(answer, body=_free_body(answer), logprobs=None, no_logprobs=None)


def given_again(kept: Answer) -> Answer:
    """It takes no call and costs nothing."""
    return msgspec.structs.replace(
        kept,
        usage=FREE,
        cost_usd=Decimal(0),
        latency_s=0.0,
        first_token_s=None,
        no_logprobs="it was given before",
    )


def joined(answer: Answer) -> Answer:
    """What the call of another brought, for one who takes no part in its cost."""
    body = None if answer.body is None else with_usage(answer.body, FREE)
    return msgspec.structs.replace(given_again(answer), body=body)


def from_cache(decision: Decision, why: str) -> Decision:
    """Of an answer for which nobody was asked: no policy chose it, so none learns from it."""
    name = decision.candidate
    return Decision(
        plan=CACHE,
        candidate=name,
        ranking=(name,),
        eligible=(name,),
        reason=why,
        baseline=decision.baseline,
        versions=decision.versions,
    )


async def replayed(answer: Answer, options: Options, *, is_stream: bool) -> AsyncIterator[Event]:
    """A plan's events for an answer with a body: the answer, and its chunks where a stream is wanted."""
    yield answer
    if is_stream:
        for chunk in chunks_of(answer, options):
            yield chunk


def chunks_of(answer: Answer, options: Options) -> Iterator[Chunk]:
    """An answer with a body as a stream; usage is shown where the client asked for it."""
    body = msgspec.json.decode(answer.body or b"{}")
    head = {name: body[name] for name in ("id", "created", "model", "system_fingerprint") if name in body}

    def data(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        return msgspec.json.encode({**head, "object": "chat.completion.chunk", "choices": choices, **more})

    message = body["choices"][0]["message"]
    said = {name: value for name, value in message.items() if value is not None and name != "content"}
    yield Chunk(data=data({**said, "content": ""}))
    text = answer.content
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE]
        yield Chunk(data=data({"content": piece}), text=piece, has_content=True)
    yield Chunk(data=data({}, answer.finish_reason), finish_reason=answer.finish_reason)
    shown = data(None, usage=usage_body(answer.usage)) if options.wants_stream_usage else b""
    yield Chunk(data=shown, usage=answer.usage)


def _free_body(answer: Answer) -> bytes:
    body: Any = None if answer.body is None else msgspec.json.decode(answer.body)
    if not _is_whole(body):
        message = {"role": "assistant", "content": answer.content}
        body = {
            "id": "suffice-kept",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": answer.candidate,
            "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
        }
    return msgspec.json.encode({**body, "usage": _FREE_BODY})


def _is_whole(body: Any) -> bool:
    """Whether it can be given again: one choice with a message."""
    choices = body.get("choices") if isinstance(body, dict) else None
    return (
        isinstance(choices, list)
        and len(choices) == 1
        and isinstance(choices[0], dict)
        and isinstance(choices[0].get("message"), dict)
    )
