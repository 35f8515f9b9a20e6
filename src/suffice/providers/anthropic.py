"""Anthropic's Messages API as a Model.

Fields of a request without a counterpart there (seed, logprobs, penalties, a JSON mode without a
schema) are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from suffice.errors import ProviderGarbage
from suffice.providers.anthropic_shape import FINISH_REASONS, choice_of, request_body, tool_call, usage_of
from suffice.providers.base import ProviderSettings
from suffice.providers.frame import Frame
from suffice.providers.http import HttpClient, Response
from suffice.providers.remote import RemoteModel, reveal
from suffice.providers.target import Target, merge_headers, versioned
from suffice.providers.translation import ChunkWriter, count, decode_object, translated_answer
from suffice.types import Answer, Candidate, Chunk, Options, Query

BASE_URL: Final = "https://api.anthropic.com/v1"
_VERSION: Final = "2023-06-01"
_MAX_TOKENS: Final = 4096
_NO_LOGPROBS: Final = "Anthropic gives no log probabilities"


class AnthropicModel(RemoteModel):
    """A model behind `POST {base_url}/messages`.

    `max_tokens`, which Anthropic requires, is the candidate's `max_output_tokens`, or 4096, where
    the client gives none; `extra.max_tokens` sets another default.
    """

    known_options = frozenset({"max_tokens"})

    def __init__(
        self, candidate: Candidate, settings: ProviderSettings, http: HttpClient, *, target: Target
    ) -> None:
        super().__init__(candidate, settings, http, target=target)
        given = settings.extra.get("max_tokens")
        self._max_tokens = int(given) if given else candidate.max_output_tokens or _MAX_TOKENS

    @classmethod
    def from_config(cls, candidate: Candidate, settings: ProviderSettings, http: HttpClient) -> Self:
        key = reveal(settings.api_key)
        headers = merge_headers(
            {"content-type": "application/json", "anthropic-version": _VERSION},
            {"x-api-key": key} if key else {},
            settings.headers,
        )
        url = f"{versioned(settings.base_url or BASE_URL, 'v1')}/messages"
        return cls(candidate, settings, http, target=Target.parse(url, headers, label=candidate.name))

    def _body(self, query: Query, options: Options, *, is_stream: bool) -> Mapping[str, Any]:
        body = request_body(
            query.chat(),
            options,
            model=self._candidate.model,
            max_tokens=self._max_tokens,
            candidate=self._candidate.name,
        )
        return {**body, "stream": True} if is_stream else body

    def _read(self, response: Response, options: Options, latency_s: float) -> Answer:
        name = self._candidate.name
        value = decode_object(response.body, candidate=name, secret=self._secret)
        content = value.get("content")
        if not isinstance(content, list):
            raise ProviderGarbage("the answer holds no list of content blocks", candidate=name)
        return translated_answer(
            [choice_of(content, value.get("stop_reason"))],
            candidate=self._candidate,
            usage=usage_of(value.get("usage")),
            latency_s=latency_s,
            id=str(value.get("id", "")),
            model=str(value.get("model", self._candidate.model)),
            logprobs=None,
            no_logprobs=_NO_LOGPROBS if options.wants_logprobs else "not asked for",
        )

    def _reader(self, options: Options) -> AnthropicReader:
        return AnthropicReader(
            self._candidate.name, keeps_usage=options.wants_stream_usage, secret=self._secret
        )


class AnthropicReader:
    """Events of one Messages stream to chunks."""

    def __init__(self, candidate: str, *, keeps_usage: bool, secret: str | None = None) -> None:
        self.has_finished = False
        self.frame: Frame | None = None
        self._candidate, self._secret = candidate, secret
        self._writer = ChunkWriter(keeps_usage=keeps_usage)
        self._usage: dict[str, Any] = {}
        self._call_of: dict[int | None, int] = {}
        """Content block index -> tool call index."""

    def read(self, event: bytes) -> Sequence[Chunk]:
        value = decode_object(event, candidate=self._candidate, secret=self._secret)
        kind = value.get("type")
        if kind == "content_block_delta":
            return self._delta(value, _part(value, "delta"))
        if kind == "content_block_start":
            return self._block(value, _part(value, "content_block"))
        if kind == "message_start":
            return self._start(_part(value, "message"))
        if kind == "message_delta":
            return self._end(value)
        return ()  # ping, content_block_stop, message_stop, and what may be added

    def _start(self, message: Mapping[str, Any]) -> Sequence[Chunk]:
        self._writer.id, self._writer.model = str(message.get("id", "")), str(message.get("model", ""))
        self._usage = dict(_part(message, "usage"))
        # The output count of this event is only a beginning.
        so_far = usage_of({**self._usage, "output_tokens": None})
        return (self._writer.delta({"role": "assistant", "content": ""}, usage=so_far),)

    def _block(self, value: Mapping[str, Any], block: Mapping[str, Any]) -> Sequence[Chunk]:
        if block.get("type") == "tool_use":
            call = self._call_of[count(value.get("index"))] = len(self._call_of)
            return (self._writer.delta({"tool_calls": [{"index": call, **tool_call(block, "")}]}),)
        if block.get("type") == "text" and (text := str(block.get("text") or "")):
            return (self._writer.delta({"content": text}, text=text),)
        return ()

    def _delta(self, value: Mapping[str, Any], delta: Mapping[str, Any]) -> Sequence[Chunk]:
        kind = delta.get("type")
        if kind == "text_delta":
            text = str(delta.get("text", ""))
            return (self._writer.delta({"content": text}, text=text),)
        if kind == "input_json_delta":
            call = self._call_of.get(count(value.get("index")), 0)
            function = {"arguments": str(delta.get("partial_json", ""))}
            return (self._writer.delta({"tool_calls": [{"index": call, "function": function}]}),)
        if kind == "thinking_delta":
            return (self._writer.delta({"reasoning_content": str(delta.get("thinking", ""))}),)
        return ()  # signatures, citations

    def _end(self, value: Mapping[str, Any]) -> Sequence[Chunk]:
        known = {name: number for name, number in _part(value, "usage").items() if number is not None}
        self._usage.update(known)
        chunks = []
        reason = _part(value, "delta").get("stop_reason")
        if reason is not None:
            self.has_finished = True
            chunks.append(self._writer.finish(FINISH_REASONS.get(str(reason), "stop")))
        chunks.append(self._writer.usage(usage_of(self._usage)))
        return chunks


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = value.get(name)
    return part if isinstance(part, dict) else {}
