"""A distilled head as a candidate of the panel: its label is the answer, one token whose logprob is honest.

Signals that read an answer's tokens (`confidence:` of a pipeline, cascades) get the calibrated probability
that the label is right. numpy alone, no server. A student that is an adapter is served by `provider: local`
with the option `adapter`.

A head has no tokenizer. Its usage counts what it reads and says: each word and each mark of the last user
message is a prompt token (of scripts without blanks each character), the answer is one completion token, as
it is one in the logprobs. What it costs is its CPU time, not these.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import numpy as np

from suffice.errors import ArtefactError, ConfigError, ProviderRejected, SufficeError
from suffice.providers.base import ProviderSettings, check_options
from suffice.providers.head import Head, Spec
from suffice.providers.student_card import StudentCard, read_card
from suffice.types import Answer, Candidate, Chunk, Options, Query, TokenLogprob, Usage

_OURS: Final = frozenset({"path"})
_CAN: Final = frozenset({"logprobs", "streaming", "json"})
_QUICK: Final = "hashed"
"""The embedder that answers within a fraction of a millisecond; others leave the event loop."""
_LEAST: Final = 1e-12
_WORD: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+|[^\w\s]"
)


class StudentModel:
    """One student; it reads the text of the last user message and nothing else."""

    def __init__(self, candidate: Candidate, card: StudentCard, head: Head) -> None:
        self.candidate, self.card, self.head = candidate, card, head
        self._is_quick = head.featuriser.reads.embedder == _QUICK

    @classmethod
    def from_config(cls, candidate: Candidate, settings: ProviderSettings, http: object = None) -> Self:
        """`settings.extra`: `path`, the student's folder.

        Raises
        ------
        ConfigError
            If there is no path, or the folder is of another kind of student.
        ArtefactError
            If the student is missing or damaged.
        """
        extra = settings.extra
        check_options(candidate.name, extra, _OURS)
        if not isinstance(path := extra.get("path"), str | Path):
            raise ConfigError(f"{candidate.name}: path = {path!r}; wanted the folder of a student")
        folder = Path(path).expanduser()
        card = read_card(folder)
        if card.kind != "head":
            raise ConfigError(
                f"{candidate.name}: {folder} holds a {card.kind} student, not a head: take `provider: local` "
                "with `adapter` for one with an adapter, `openai` for a hosted one"
            )
        if not candidate.capabilities:
            candidate = msgspec.structs.replace(candidate, capabilities=_CAN)
        return cls(candidate, card, load_head(folder, card))

    async def answer(self, query: Query, options: Options) -> Answer:
        """Raises ProviderRejected for more than one answer a call, and where its embedder fails."""
        start = time.perf_counter()
        label, token, usage = await self._said(query, options)
        logprobs = (token,) if options.wants_logprobs else None
        return Answer(
            content=label,
            candidate=self.candidate.name,
            usage=usage,
            cost_usd=self.candidate.price.cost_usd(usage),
            latency_s=time.perf_counter() - start,
            finish_reason="stop",
            logprobs=logprobs,
            no_logprobs=None if options.wants_logprobs else "not asked for",
            body=msgspec.json.encode(self._body(label, usage, logprobs)),
        )

    async def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        """The label, the end, the usage."""
        label, token, usage = await self._said(query, options)
        delta = {"role": "assistant", "content": label}
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": None}
        logprobs = (token,) if options.wants_logprobs else None
        if logprobs:
            choice["logprobs"] = {"content": [_shown(token)]}
        yield Chunk(data=self._chunk([choice]), text=label, has_content=True, logprobs=logprobs)
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield Chunk(data=self._chunk([end]), finish_reason="stop")
        data = self._chunk([], _usage_shown(usage)) if options.wants_stream_usage else b""
        yield Chunk(data=data, usage=usage)

    async def close(self) -> None:
        """Nothing to close."""

    async def _said(self, query: Query, options: Options) -> tuple[str, TokenLogprob, Usage]:
        if options.fields.get("n") not in (None, 1):
            raise ProviderRejected("a student gives one answer a call", candidate=self.candidate.name)
        try:
            if self._is_quick:
                return self._decided(query.text)
            return await asyncio.to_thread(self._decided, query.text)
        except SufficeError as error:
            raise ProviderRejected(str(error), candidate=self.candidate.name) from error

    def _decided(self, text: str) -> tuple[str, TokenLogprob, Usage]:
        start = time.thread_time()
        labels, sure = self.head.answer([text])
        top: tuple[tuple[str, float], ...] = ()
        if self.card.labels:
            values = self.head.log_probs([text])[0][0]
            order = np.argsort(-values, kind="stable").tolist()
            top = tuple((self.card.labels[place], float(values[place])) for place in order)
        usage = Usage(
            prompt_tokens=len(_WORD.findall(text)),
            completion_tokens=1,
            compute_s=time.thread_time() - start,
        )
        return labels[0], TokenLogprob(labels[0], float(np.log(max(sure[0], _LEAST))), top), usage

    def _body(self, label: str, usage: Usage, logprobs: tuple[TokenLogprob, ...] | None) -> Mapping[str, Any]:
        message = {"role": "assistant", "content": label}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop"}
        if logprobs is not None:
            choice["logprobs"] = {"content": [_shown(token) for token in logprobs]}
        return {**self._head("chat.completion"), "choices": [choice], "usage": _usage_shown(usage)}

    def _chunk(self, choices: list[dict[str, Any]], usage: Mapping[str, Any] | None = None) -> bytes:
        value = {**self._head("chat.completion.chunk"), "choices": choices}
        return msgspec.json.encode(value if usage is None else {**value, "usage": usage})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.candidate.name}",
            "object": kind,
            "created": int(time.time()),
            "model": self.candidate.model,
        }


def load_head(folder: Path, card: StudentCard) -> Head:
    """The head that a card describes.

    Raises
    ------
    ArtefactError
        If it is missing or damaged.
    """
    try:
        spec = msgspec.convert(card.facts.get("head"), Spec)
    except msgspec.ValidationError as error:
        raise ArtefactError(f"the card in {folder} describes no head: {error}; train it again") from error
    return Head.load(folder, spec)


def _usage_shown(usage: Usage) -> Mapping[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _shown(token: TokenLogprob) -> Mapping[str, Any]:
    top = [{"token": other, "logprob": logprob} for other, logprob in token.top]
    return {"token": token.token, "logprob": token.logprob, "top_logprobs": top}
