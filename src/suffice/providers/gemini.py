"""Google's Gemini API as a Model.

Fields of a request without a counterpart there are left out; `thinkingConfig`, `safetySettings`,
`cachedContent` and `labels` pass through by Gemini's own names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import quote

from suffice.errors import ProviderGarbage
from suffice.providers.base import ProviderSettings
from suffice.providers.frame import Frame
from suffice.providers.gemini_shape import (
    blocked_choice,
    choice_of,
    finish_reason,
    is_call,
    parts_of,
    request_body,
    token_logprobs,
    tool_call,
    usage_of,
)
from suffice.providers.http import HttpClient, Response
from suffice.providers.openai import no_logprobs
from suffice.providers.remote import RemoteModel, reveal
from suffice.providers.target import Target, merge_headers, versioned
from suffice.providers.translation import ChunkWriter, count, decode_object, logprobs_body, translated_answer
from suffice.types import Answer, Candidate, Chunk, Options, Query

BASE_URL: Final = "https://generativelanguage.googleapis.com/v1beta"


class GeminiModel(RemoteModel):
    """A model behind `POST {base_url}/models/{model}:generateContent`."""

    @classmethod
    def from_config(cls, candidate: Candidate, settings: ProviderSettings, http: HttpClient) -> Self:
        key = reveal(settings.api_key)
        headers = merge_headers(
            {"content-type": "application/json"}, {"x-goog-api-key": key} if key else {}, settings.headers
        )
        base_url = versioned(settings.base_url or BASE_URL, "v1beta")
        url = f"{base_url}/models/{quote(candidate.model.removeprefix('models/'), safe='')}"
        return cls(
            candidate,
            settings,
            http,
            target=Target.parse(f"{url}:generateContent", headers, label=candidate.name),
            stream_target=Target.parse(f"{url}:streamGenerateContent?alt=sse", headers, label=candidate.name),
        )

    def _body(self, query: Query, options: Options, *, is_stream: bool) -> Mapping[str, Any]:
        return request_body(query.chat(), options, candidate=self._candidate.name)

    def _read(self, response: Response, options: Options, latency_s: float) -> Answer:
        name = self._candidate.name
        value = decode_object(response.body, candidate=name, secret=self._secret)
        candidates = _candidates(value)
        logprobs = token_logprobs(candidates[0]) if candidates else None
        choices = [choice_of(candidate, index) for index, candidate in enumerate(candidates)]
        if choices:
            choices[0]["logprobs"] = logprobs_body(logprobs)
        elif _is_blocked(value):
            choices = [blocked_choice()]
        else:
            raise ProviderGarbage("the answer holds no candidate", candidate=name)
        return translated_answer(
            choices,
            candidate=self._candidate,
            usage=usage_of(value.get("usageMetadata")),
            latency_s=latency_s,
            id=str(value.get("responseId", "")),
            model=str(value.get("modelVersion", self._candidate.model)),
            logprobs=logprobs,
            no_logprobs=None if logprobs is not None else no_logprobs(options),
        )

    def _reader(self, options: Options) -> GeminiReader:
        return GeminiReader(self._candidate.name, keeps_usage=options.wants_stream_usage, secret=self._secret)


class GeminiReader:
    """Events of one streamGenerateContent to chunks. Every event is a whole response with a piece of it."""

    def __init__(self, candidate: str, *, keeps_usage: bool, secret: str | None = None) -> None:
        self.has_finished = False
        self.frame: Frame | None = None
        self._candidate, self._secret = candidate, secret
        self._writer = ChunkWriter(keeps_usage=keeps_usage)
        self._n_calls: dict[int, int] = {}
        self._has_begun = False

    def read(self, event: bytes) -> Sequence[Chunk]:
        value = decode_object(event, candidate=self._candidate, secret=self._secret)
        usage = usage_of(value["usageMetadata"]) if "usageMetadata" in value else None
        chunks = [] if self._has_begun else [self._begin(value)]
        is_last = False
        for number, candidate in enumerate(_candidates(value)):
            index = count(candidate.get("index"))
            index = number if index is None else index
            chunks += [self._piece(part, index) for part in parts_of(candidate)]
            if reason := candidate.get("finishReason"):
                is_last = True
                has_calls = self._n_calls.get(index, 0) > 0
                chunks.append(self._writer.finish(finish_reason(reason, has_calls=has_calls), index=index))
        if _is_blocked(value):
            is_last = True
            chunks.append(self._writer.finish("content_filter"))
        self.has_finished = self.has_finished or is_last
        if usage is not None:
            # Cumulative: told on the way for those who leave early, to the client only at the end.
            chunks.append(self._writer.usage(usage) if is_last else Chunk(data=b"", usage=usage))
        return chunks

    def _begin(self, value: Mapping[str, Any]) -> Chunk:
        self._has_begun = True
        self._writer.id = str(value.get("responseId", ""))
        self._writer.model = str(value.get("modelVersion", ""))
        return self._writer.delta({"role": "assistant", "content": ""})

    def _piece(self, part: Mapping[str, Any], index: int) -> Chunk:
        if is_call(part):
            number = self._n_calls.get(index, 0)
            self._n_calls[index] = number + 1
            delta = {"tool_calls": [{"index": number, **tool_call(part, number)}]}
            return self._writer.delta(delta, index=index)
        text = str(part.get("text", ""))
        if part.get("thought"):
            return self._writer.delta({"reasoning_content": text}, index=index)
        return self._writer.delta({"content": text}, text=text if index == 0 else "", index=index)


def _candidates(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    candidates = value.get("candidates")
    return [item for item in candidates if isinstance(item, dict)] if isinstance(candidates, list) else []


def _is_blocked(value: Mapping[str, Any]) -> bool:
    feedback = value.get("promptFeedback")
    return isinstance(feedback, dict) and bool(feedback.get("blockReason"))
