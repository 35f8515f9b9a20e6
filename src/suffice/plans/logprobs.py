"""A model that is asked for log-probabilities which the client did not ask for, and does not get to see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from suffice.errors import ProviderRejected
from suffice.protocols import Model
from suffice.types import Answer, Candidate, Chunk, Options, Query

_KEY: Final = b'"logprobs"'
_UNKNOWN: Final = "the candidate's capabilities do not name logprobs"


class AskingModel:
    """Wraps a model and is one.

    Requests that ask by themselves pass unchanged, replies included. A candidate whose known capabilities
    lack `logprobs` is not asked, nor one that once refused a request because of them.
    """

    def __init__(
        self, model: Model, n_alternatives: int | None = None, before: AskingModel | None = None
    ) -> None:
        """
        Parameters
        ----------
        n_alternatives : per token; None asks for the chosen tokens alone
        before : of the same candidate, for another request: what one learns of refusals, both know
        """
        self._model = model
        self._fields: dict[str, Any] = {"logprobs": True}
        if n_alternatives is not None:
            self._fields["top_logprobs"] = n_alternatives
        known = [] if model.candidate.allows("logprobs") else [_UNKNOWN]
        self._refusals: list[str] = known if before is None else before._refusals

    @property
    def candidate(self) -> Candidate:
        return self._model.candidate

    @property
    def refusal(self) -> str | None:
        """Why it is not asked; None: it is."""
        return self._refusals[0] if self._refusals else None

    async def answer(self, query: Query, options: Options) -> Answer:
        if options.wants_logprobs:
            return await self._model.answer(query, options)
        if self.refusal is None:
            try:
                return _stripped(await self._model.answer(query, self._asking(options)))
            except ProviderRejected as error:
                if not self._is_about_logprobs(error):
                    raise
        return await self._model.answer(query, options)

    async def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        if options.wants_logprobs or self.refusal is not None:
            async for chunk in _closing(self._model.stream(query, options)):
                yield chunk
            return
        has_begun = False
        try:
            async for chunk in _closing(self._model.stream(query, self._asking(options))):
                has_begun = True
                yield _stripped_chunk(chunk)
            return
        except ProviderRejected as error:
            if has_begun or not self._is_about_logprobs(error):
                raise
        async for chunk in _closing(self._model.stream(query, options)):
            yield chunk

    async def close(self) -> None:
        await self._model.close()

    def _asking(self, options: Options) -> Options:
        return msgspec.structs.replace(options, fields={**options.fields, **self._fields})

    def _is_about_logprobs(self, error: ProviderRejected) -> bool:
        """Whether the request was refused for what was added to it; it is not added again then."""
        if "logprob" not in str(error).lower():
            return False
        self._refusals.append(f"the provider refuses them: {error}")
        return True


async def _closing(chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
    """The same chunks; closing this closes them."""
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await chunks.aclose()  # type: ignore[attr-defined]  # streams are async generators


def _stripped(answer: Answer) -> Answer:
    if answer.body is None or answer.body.find(_KEY) < 0:
        return answer
    return msgspec.structs.replace(answer, body=without_logprobs(answer.body))


def _stripped_chunk(chunk: Chunk) -> Chunk:
    if chunk.data.find(_KEY) < 0:
        return chunk
    return msgspec.structs.replace(chunk, data=without_logprobs(chunk.data))


class _Choice(msgspec.Struct):
    logprobs: msgspec.Raw = msgspec.Raw(b"null")


class _Reply(msgspec.Struct):
    choices: list[_Choice] = []


_decode: Final = msgspec.json.Decoder(_Reply).decode


def without_logprobs(data: bytes) -> bytes:
    """An OpenAI-shaped reply or chunk whose choices' `logprobs` are null; no other byte differs.

    Examples
    --------
    >>> without_logprobs(b'{"choices": [{"logprobs": {"content": []}, "index": 0}]}')
    b'{"choices": [{"logprobs": null, "index": 0}]}'
    """
    try:
        choices = _decode(data).choices
    except msgspec.DecodeError:  # one of them is no object: what providers of odd JSON get
        return _written_anew(data)
    for choice in choices:
        value = bytes(choice.logprobs)
        if value != b"null":
            data = _replaced(data, value)
    return data


def _replaced(data: bytes, value: bytes) -> bytes:
    """With null for the first value of a key "logprobs" that is this one.

    A quote inside a JSON string is escaped, so the bytes of the key can only be a key.
    """
    start = 0
    while (found := data.find(_KEY, start)) >= 0:
        at = start = found + len(_KEY)
        while data[at : at + 1].isspace() or data[at : at + 1] == b":":
            at += 1
        if data.startswith(value, at):
            return data[:at] + b"null" + data[at + len(value) :]
    return data


def _written_anew(data: bytes) -> bytes:
    reply = msgspec.json.decode(data)
    for choice in reply["choices"] if isinstance(reply.get("choices"), list) else ():
        if isinstance(choice, dict):
            choice.pop("logprobs", None)
    return msgspec.json.encode(reply)
