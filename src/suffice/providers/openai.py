"""OpenAI's chat completions, and everybody else's of the same shape. Bodies pass through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from suffice.errors import ConfigError, ProviderGarbage
from suffice.providers.base import ProviderSettings
from suffice.providers.http import HttpClient, Response
from suffice.providers.openai_shape import ChunkReader, read_reply, token_logprobs, usage_of
from suffice.providers.remote import RemoteModel, reveal
from suffice.providers.target import Target, merge_headers
from suffice.types import Answer, Candidate, Options, Query, Usage

BASE_URLS: Final[Mapping[str, str]] = {
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "together": "https://api.together.xyz/v1",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "ollama": "http://127.0.0.1:11434/v1",
    "vllm": "http://127.0.0.1:8000/v1",
}


class OpenAIModel(RemoteModel):
    """A chat model behind `POST {base_url}/chat/completions`."""

    @classmethod
    def from_config(cls, candidate: Candidate, settings: ProviderSettings, http: HttpClient) -> Self:
        key = reveal(settings.api_key)
        headers = merge_headers(
            {"content-type": "application/json"}, cls._auth(key) if key else {}, settings.headers
        )
        target = Target.parse(cls._url(candidate, settings), headers, label=candidate.name)
        return cls(candidate, settings, http, target=target)

    @classmethod
    def _url(cls, candidate: Candidate, settings: ProviderSettings) -> str:
        base_url = settings.base_url or BASE_URLS.get(candidate.provider)
        if base_url is None:
            raise ConfigError(
                f"no address is known for provider {candidate.provider!r}: give base_url", key=candidate.name
            )
        return f"{base_url.rstrip('/')}/chat/completions"

    @classmethod
    def _auth(cls, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    def _body(self, query: Query, options: Options, *, is_stream: bool) -> Mapping[str, Any]:
        body = {**options.fields, "model": self._candidate.model, "messages": query.chat()}
        body.pop("stream", None)
        given = body.pop("stream_options", None)
        if is_stream:
            body["stream"] = True
            body["stream_options"] = {**(given if isinstance(given, dict) else {}), "include_usage": True}
        return body

    def _read(self, response: Response, options: Options, latency_s: float) -> Answer:
        name = self._candidate.name
        reply = read_reply(response.body, candidate=name, secret=self._secret)
        message = reply.choices[0].message if reply.choices else None
        if message is None:
            raise ProviderGarbage("the answer holds no choice with a message", candidate=name)
        usage = usage_of(reply) or Usage()
        choice = reply.choices[0]
        logprobs = token_logprobs(choice.logprobs)
        return Answer(
            content=message.content or "",
            candidate=name,
            usage=usage,
            cost_usd=self._candidate.price.cost_usd(usage),
            latency_s=latency_s,
            finish_reason=choice.finish_reason,
            tool_calls=message.tool_calls or (),
            logprobs=logprobs,
            no_logprobs=None if logprobs is not None else no_logprobs(options),
            body=response.body,
        )

    def _reader(self, options: Options) -> ChunkReader:
        return ChunkReader(self._candidate.name, keeps_usage=options.wants_stream_usage, secret=self._secret)


def no_logprobs(options: Options) -> str:
    """Why an answer has none."""
    return "the provider returned none" if options.wants_logprobs else "not asked for"
