"""What llama.cpp streams, put together again and in our own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suffice.providers.llama import Delta
from suffice.types import TokenLogprob, Usage


class Reply:
    """A streamed answer put together again."""

    def __init__(self) -> None:
        self.text = ""
        self.logprobs: list[TokenLogprob] = []
        self.tool_calls: list[dict[str, Any]] = []
        self.finish_reason: str | None = None
        self.usage = Usage()
        self.has_content = False
        self._last: Delta = {}
        self._raw_logprobs: list[Any] = []

    def add(self, delta: Delta) -> None:
        if "usage" in delta:
            self.usage = usage_of(delta)
        self._last = delta
        for choice in delta.get("choices") or ():
            said = choice.get("delta") or {}
            self.text += said.get("content") or ""
            self.has_content = self.has_content or has_content(said)
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            for call in said.get("tool_calls") or ():
                self._add_tool_call(call)
            self.logprobs += token_logprobs(choice) or ()
            self._raw_logprobs += _raw_logprobs(choice)

    def _add_tool_call(self, piece: Mapping[str, Any]) -> None:
        at = piece.get("index", 0)
        while len(self.tool_calls) <= at:
            self.tool_calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call, said = self.tool_calls[at], piece.get("function") or {}
        call["id"] = piece.get("id") or call["id"]
        for part in ("name", "arguments"):
            call["function"][part] += said.get(part) or ""

    def body(self, model: str) -> dict[str, Any]:
        """The OpenAI-shaped response; `timings` is llama.cpp's, in seconds."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            message |= {"content": self.text or None, "tool_calls": self.tool_calls}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        if self._raw_logprobs:
            choice["logprobs"] = {"content": self._raw_logprobs}
        timings = self._last.get("timings") or {}
        return {
            "id": self._last.get("id", ""),
            "object": "chat.completion",
            "created": self._last.get("created", 0),
            "model": model,
            "choices": [choice],
            "usage": self._last.get("usage"),
            "timings": {
                "prefill_s": timings.get("prompt_ms", 0.0) / 1000,
                "decode_s": timings.get("predicted_ms", 0.0) / 1000,
            },
        }


def has_content(said: Mapping[str, Any]) -> bool:
    return any(said.get(part) for part in ("content", "reasoning_content", "refusal", "tool_calls"))


def usage_of(delta: Delta) -> Usage:
    usage = delta["usage"]
    return Usage(
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=usage.get("completion_tokens"),
        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
        compute_s=delta.get("compute_s"),
    )


def _raw_logprobs(choice: Mapping[str, Any]) -> list[Any]:
    """Without the end-of-sequence token, which llama.cpp lists as an empty one."""
    content = (choice.get("logprobs") or {}).get("content") or ()
    return [token for token in content if token["token"] or token.get("bytes")]


def token_logprobs(choice: Mapping[str, Any]) -> tuple[TokenLogprob, ...] | None:
    tokens = tuple(
        TokenLogprob(
            token["token"],
            token["logprob"],
            tuple((other["token"], other["logprob"]) for other in token.get("top_logprobs") or ()),
        )
        for token in _raw_logprobs(choice)
    )
    return tokens or None
