"""The gateway's core as a Python API, without a server.

>>> import suffice
>>> client = suffice.Client("suffice.yaml")                                    # doctest: +SKIP
>>> reply = client.chat.completions.create(messages=[{"role": "user", "content": "2 + 2?"}])  # doctest: +SKIP
>>> reply.choices[0].message.content, reply.suffice.candidate                  # doctest: +SKIP
('4', 'small')

The arguments are those of OpenAI's client; the reply has its shape, and `reply.suffice` is the record.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, overload

import msgspec

from suffice.config import Config, load
from suffice.engine import Engine, Request, Streaming
from suffice.errors import InvalidRequest
from suffice.types import Caller, Decision, Feedback, Options, Query, Record

T = TypeVar("T")
Messages = Sequence[Mapping[str, Any]]
Cache = Literal["use", "bypass", "refresh"]
_WISHES: Final = get_args(Cache)


class Reply:
    """A JSON object whose fields read as attributes; absent ones are None."""

    def __init__(self, fields: Mapping[str, Any], record: Record | None = None) -> None:
        self._fields = fields
        self.suffice = record
        """What the engine recorded: candidate, cost, decision, ..."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _wrapped(self._fields.get(name))

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def to_dict(self) -> Mapping[str, Any]:
        return self._fields

    def __repr__(self) -> str:
        return f"Reply({self._fields!r})"


def _wrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return Reply(value)
    if isinstance(value, list):
        return [_wrapped(item) for item in value]
    return value


def _request(
    model: str,
    messages: Messages | str,
    is_stream: bool,
    user: str | None,
    fields: Any,
    cache: Cache = "use",
    cache_tags: Sequence[str] = (),
) -> Request:
    if cache not in _WISHES:
        raise InvalidRequest(f"cache is {cache!r}; it is one of {', '.join(_WISHES)}")
    chat = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    return Request(
        query=Query.from_messages(chat, user=user, needs=needs_of(fields, chat)),
        model=model,
        options=Options(fields=fields),
        caller=Caller(),
        is_stream=is_stream,
        cache=cache,
        cache_tags=tuple(cache_tags),
    )


def needs_of(fields: Mapping[str, Any], messages: Messages) -> frozenset[str]:
    """The capabilities without which a request cannot be answered."""
    needs = set()
    if fields.get("tools"):
        needs.add("tools")
    shape = fields.get("response_format")
    if isinstance(shape, Mapping) and shape.get("type") in ("json_object", "json_schema"):
        needs.add("json")
    for message in messages:
        parts = message.get("content")
        if isinstance(parts, list) and any(
            isinstance(part, Mapping) and part.get("type") == "image_url" for part in parts
        ):
            needs.add("vision")
    return frozenset(needs)


class AsyncClient:
    """Answers from this process's own engine, in the caller's event loop."""

    def __init__(self, config: Config | str | Path | None = None, *, engine: Engine | None = None) -> None:
        """
        Parameters
        ----------
        config : a configuration or its file; None takes suffice.yaml of the working directory
        engine : a ready one, instead of a configuration
        """
        self._config = config
        self._engine = engine
        self.chat = _Chat(_AsyncCompletions(self))

    @property
    def engine(self) -> Engine:
        """Built when first needed, within the running loop."""
        if self._engine is None:
            from suffice.build import build

            given = self._config
            self._engine = build(given if isinstance(given, Config) else load(given))
        return self._engine

    async def route(self, messages: Messages | str, *, model: str = "auto") -> Decision:
        """The decision alone; asks nobody."""
        return await self.engine.decide(_request(model, messages, False, None, {}))

    async def feedback(
        self, record_id: str, value: float, *, name: str = "score", comment: str | None = None
    ) -> None:
        """Returns once it is on disk."""
        await self.engine.add_feedback(
            Feedback(
                record_id=record_id,
                tenant=Caller().tenant,
                created_at=time.time(),
                name=name,
                value=value,
                comment=comment,
            )
        )

    async def aclose(self) -> None:
        if self._engine is not None:
            await self._engine.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


class _Chat:
    def __init__(self, completions: Any) -> None:
        self.completions = completions


class _AsyncCompletions:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self,
        *,
        messages: Messages | str,
        model: str = "auto",
        stream: bool = False,
        user: str | None = None,
        cache: Cache = "use",
        cache_tags: Sequence[str] = (),
        **fields: Any,
    ) -> Any:
        """A `Reply`, or with `stream=True` an async iterator of them.

        Parameters
        ----------
        cache : "bypass" neither looks for a kept answer nor keeps this one, "refresh" only keeps
        cache_tags : by which the answer can be forgotten

        Raises
        ------
        SufficeError
            As the gateway would answer it.
        """
        request = _request(model, messages, stream, user, fields, cache, cache_tags)
        if stream:
            return _replies(await self._client.engine.open(request))
        result = await self._client.engine.answer(request)
        assert result.answer.body is not None
        return Reply(msgspec.json.decode(result.answer.body), result.record)


async def _replies(streaming: Streaming) -> AsyncIterator[Reply]:
    try:
        async for chunk in streaming:
            if chunk.data:
                yield Reply(msgspec.json.decode(chunk.data))
    finally:
        await streaming.aclose()


class Client:
    """As `AsyncClient`, for code without an event loop: runs one in a thread of its own."""

    def __init__(self, config: Config | str | Path | None = None, *, engine: Engine | None = None) -> None:
        self._async = AsyncClient(config, engine=engine)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="suffice-client", daemon=True)
        self._thread.start()
        self.chat = _Chat(_Completions(self))

    def route(self, messages: Messages | str, *, model: str = "auto") -> Decision:
        """The decision alone; asks nobody."""
        return self.run(self._async.route(messages, model=model))

    def feedback(
        self, record_id: str, value: float, *, name: str = "score", comment: str | None = None
    ) -> None:
        """Returns once it is on disk."""
        self.run(self._async.feedback(record_id, value, name=name, comment=comment))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, run in this client's loop; Ctrl-C cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def close(self) -> None:
        """Write what is queued, close connections, end the thread."""
        if self._loop.is_closed():
            return
        self.run(self._async.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Completions:
    def __init__(self, client: Client) -> None:
        self._client = client

    @overload
    def create(
        self, *, messages: Messages | str, model: str = ..., stream: Literal[False] = ..., **fields: Any
    ) -> Reply: ...

    @overload
    def create(
        self, *, messages: Messages | str, model: str = ..., stream: Literal[True], **fields: Any
    ) -> Iterator[Reply]: ...

    def create(self, *, stream: bool = False, **fields: Any) -> Reply | Iterator[Reply]:
        """A `Reply`, or with `stream=True` an iterator of them."""
        made = self._client.run(self._client._async.chat.completions.create(stream=stream, **fields))
        return self._iterate(made) if stream else made

    def _iterate(self, replies: AsyncIterator[Reply]) -> Iterator[Reply]:
        async def following() -> Reply | None:
            return await anext(replies, None)

        try:
            while (reply := self._client.run(following())) is not None:
                yield reply
        finally:
            self._client.run(replies.aclose())  # type: ignore[attr-defined]  # an async generator
