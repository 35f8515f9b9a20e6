"""Reading OpenAI-shaped replies: the few fields that are needed, quickly, and nothing else.

The quick way is a typed decode that skips unknown fields. A reply that departs from the types in a
detail (usage as text, content in parts) is read again without types, keeping what can be understood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from suffice.errors import ProviderGarbage
from suffice.providers.failures import error_event
from suffice.providers.frame import Frame, learn
from suffice.types import Chunk, TokenLogprob, Usage, content_text


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's word for cached tokens."""


class _Message(msgspec.Struct, gc=False):
    """A message, or the delta of one."""

    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    audio: dict[str, Any] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Message | None = None
    finish_reason: str | None = None
    index: int = 0
    message: _Message | None = None
    logprobs: dict[str, Any] | None = None


class Reply(msgspec.Struct, gc=False):
    """A chat completion, or one chunk of a streamed one."""

    choices: list[_Choice] = []
    usage: _Usage | msgspec.UnsetType | None = msgspec.UNSET
    error: Any = None
    object: str | None = None


_decode: Final = msgspec.json.Decoder(Reply).decode
_UNSET: Final = msgspec.UNSET
_LEARN: Final = 3
"""How often a stream's frame is learnt: some providers put something new into every chunk."""
_NULL_USAGE: Final = b',"usage":null'
_NULL_USAGE_LAST: Final = b',"usage":null}'
_N_LAST: Final = len(_NULL_USAGE_LAST)


def read_reply(data: bytes, *, candidate: str, secret: str | None = None) -> Reply:
    """Decode a body or an event.

    Raises
    ------
    ProviderGarbage
        If it is not JSON of that shape.
    ProviderError
        If it is an error object.
    """
    try:
        reply = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reply = _lenient(_decoded(data, candidate), candidate)
    if reply.error is not None:
        raise error_event(reply.error, candidate=candidate, secret=secret)
    if reply.object == "error":
        raise error_event(_decoded(data, candidate), candidate=candidate, secret=secret)
    return reply


def _decoded(data: bytes, candidate: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderGarbage(f"the answer is not JSON: {error}", candidate=candidate) from error


def usage_of(reply: Reply) -> Usage | None:
    """What the reply says was used; None if it says nothing."""
    usage = reply.usage
    if usage is None or isinstance(usage, msgspec.UnsetType):
        return None
    into, out = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = into.cached_tokens if into is not None else None
    return Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.prompt_cache_hit_tokens if cached is None else cached,
        reasoning_tokens=out.reasoning_tokens if out is not None else None,
    )


def token_logprobs(logprobs: Mapping[str, Any] | None) -> tuple[TokenLogprob, ...] | None:
    """A choice's `logprobs`, normalised; None where there are none or they cannot be read."""
    entries = (logprobs or {}).get("content")
    if not isinstance(entries, list) or not entries:
        return None
    try:
        return tuple(
            TokenLogprob(
                entry["token"],
                float(entry["logprob"]),
                tuple((top["token"], float(top["logprob"])) for top in entry.get("top_logprobs") or ()),
            )
            for entry in entries
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


class ChunkReader:
    """Turns the events of one stream into chunks."""

    __slots__ = ("_candidate", "_keeps_usage", "_n_learnt", "_secret", "frame", "has_finished")

    def __init__(self, candidate: str, *, keeps_usage: bool, secret: str | None = None) -> None:
        self.has_finished = False
        """Whether a finish reason has come: what is missing then is not the answer."""
        self._candidate, self._keeps_usage, self._secret = candidate, keeps_usage, secret
        self.frame: Frame | None = None
        self._n_learnt = 0

    def read(self, event: bytes) -> Sequence[Chunk]:
        """The chunk in one event's data; raises as `read_reply` does."""
        # This may run for every token of every stream: the usual chunk costs one decode and one Chunk.
        try:
            reply = _decode(event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            reply = read_reply(event, candidate=self._candidate, secret=self._secret)
        choices = reply.choices
        whole = event
        if reply.usage is None and not self._keeps_usage:
            event = _without_null_usage(event)
        if not choices or reply.error is not None:
            reply = read_reply(event, candidate=self._candidate, secret=self._secret)
        elif reply.usage is None or reply.usage is _UNSET:
            choice = choices[0]
            delta = choice.delta
            if (
                delta is not None
                and delta.content
                and choice.finish_reason is None
                and choice.logprobs is None
                and choice.index == 0
                and len(choices) == 1
            ):
                if self._n_learnt < _LEARN:
                    self._n_learnt += 1
                    self.frame = learn(whole, event, delta.content)
                return (Chunk(data=event, text=delta.content, has_content=True),)
        usage = usage_of(reply)
        if usage is not None and not self._keeps_usage:
            event = _without_usage(event, self._candidate) if choices else b""
        return (self._any_chunk(event, choices, usage),)

    def _any_chunk(self, event: bytes, choices: Sequence[_Choice], usage: Usage | None) -> Chunk:
        text, has_content, finish_reason, logprobs = "", False, None, None
        for choice in choices:
            if choice.delta is not None and _says_something(choice.delta):
                has_content = True
                if choice.index == 0:
                    text = choice.delta.content or ""
            if choice.finish_reason is not None:
                finish_reason = choice.finish_reason
                self.has_finished = True
            if choice.logprobs is not None and choice.index == 0:
                logprobs = token_logprobs(choice.logprobs)
        return Chunk(
            data=event,
            text=text,
            has_content=has_content,
            usage=usage,
            finish_reason=finish_reason,
            logprobs=logprobs,
        )


def _says_something(delta: _Message) -> bool:
    return bool(
        delta.content
        or delta.tool_calls
        or delta.reasoning_content
        or delta.reasoning
        or delta.refusal
        or delta.function_call
        or delta.audio
    )


def _without_null_usage(event: bytes) -> bytes:
    """The chunk as a client that did not ask for usage expects it."""
    if event[-_N_LAST:] == _NULL_USAGE_LAST:
        return event[:-_N_LAST] + b"}"
    # A quote inside a JSON string is escaped, so this can only be a field.
    return event.replace(_NULL_USAGE, b"")


def _without_usage(event: bytes, candidate: str) -> bytes:
    chunk = _decoded(event, candidate)
    chunk.pop("usage", None)
    return msgspec.json.encode(chunk)


def _lenient(value: Any, candidate: str) -> Reply:
    """A reply with an odd detail: every part that has its usual type."""
    if not isinstance(value, dict):
        raise ProviderGarbage(
            f"the answer is a JSON {type(value).__name__}, not an object", candidate=candidate
        )
    choices = value.get("choices")
    return Reply(
        choices=[_lenient_choice(choice) for choice in choices if isinstance(choice, dict)]
        if isinstance(choices, list)
        else [],
        usage=_lenient_usage(value.get("usage")),
        error=value.get("error"),
        object=value["object"] if isinstance(value.get("object"), str) else None,
    )


def _lenient_choice(value: dict[str, Any]) -> _Choice:
    index, reason, logprobs = value.get("index"), value.get("finish_reason"), value.get("logprobs")
    return _Choice(
        index=index if isinstance(index, int) else 0,
        message=_lenient_message(value.get("message")),
        delta=_lenient_message(value.get("delta")),
        finish_reason=reason if isinstance(reason, str) else None,
        logprobs=logprobs if isinstance(logprobs, dict) else None,
    )


def _lenient_message(value: Any) -> _Message | None:
    if not isinstance(value, dict):
        return None
    message = _Message(content=content_text(value.get("content")) or None)
    for name in ("refusal", "reasoning_content", "reasoning"):
        if isinstance(value.get(name), str):
            setattr(message, name, value[name])
    if isinstance(calls := value.get("tool_calls"), list):
        message.tool_calls = [call for call in calls if isinstance(call, dict)]
    return message


def _lenient_usage(value: Any) -> _Usage | None:
    try:
        return msgspec.convert(value, _Usage | None, strict=False)
    except msgspec.ValidationError:
        return None
