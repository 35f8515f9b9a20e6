"""What all models behind HTTP share: one call, one stream, every failure as a ProviderError."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from time import perf_counter
from typing import Any, ClassVar, Protocol

import msgspec

from suffice.errors import ProviderError, ProviderGarbage, ProviderRejected
from suffice.providers.base import ProviderSettings, Secret, check_options
from suffice.providers.failures import failure, plain, quote
from suffice.providers.frame import Frame
from suffice.providers.http import HttpClient, Response, Stream
from suffice.providers.openai_shape import read_reply
from suffice.providers.sse import SseParser
from suffice.providers.target import Target, Timeouts
from suffice.types import Answer, Candidate, Chunk, Options, Query

_MAX_ERROR_BYTES = 65_536
_DONE = b"[DONE]"


class EventReader(Protocol):
    """Turns one stream's events into OpenAI-shaped chunks."""

    has_finished: bool
    """Whether the stream may end here."""

    frame: Frame | None
    """What an ordinary chunk looks like; None where it is not known."""

    def read(self, event: bytes) -> Sequence[Chunk]: ...


class RemoteModel(ABC):
    """A candidate behind an HTTP API. A provider says how to write requests and read replies."""

    known_options: ClassVar[frozenset[str]] = frozenset()
    """Of `settings.extra`."""

    def __init__(
        self,
        candidate: Candidate,
        settings: ProviderSettings,
        http: HttpClient,
        *,
        target: Target,
        stream_target: Target | None = None,
    ) -> None:
        check_options(candidate.name, settings.extra, self.known_options)
        self._candidate, self._http = candidate, http
        self._target, self._stream_target = target, stream_target or target
        if target.scheme == "https":
            http.tls()  # now, rather than on the event loop at the first request
        self._secret = reveal(settings.api_key)
        self._timeouts = Timeouts(
            total_s=settings.timeout_s,
            connect_s=settings.connect_timeout_s,
            first_byte_s=settings.first_byte_timeout_s,
            chunk_s=settings.chunk_timeout_s,
        )

    @property
    def candidate(self) -> Candidate:
        return self._candidate

    def _limit_s(self, options: Options) -> float | None:
        """The shorter of the candidate's own limit and of what the request has left."""
        limits = [limit for limit in (self._timeouts.total_s, options.timeout_s) if limit is not None]
        return min(limits, default=None)

    async def answer(self, query: Query, options: Options) -> Answer:
        """The whole answer; raises ProviderError."""
        started_s = perf_counter()
        body = self._encode(query, options, is_stream=False)
        response = await self._http.request(
            self._target, body, self._timeouts, total_s=self._limit_s(options)
        )
        if not 200 <= response.status < 300:
            raise self._failure(response.status, response.headers, response.body)
        self._expect(b"json", response.headers, response.body)
        return self._read(response, options, perf_counter() - started_s)

    async def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        """The answer as it comes; closing the iterator closes the upstream connection."""
        body = self._encode(query, options, is_stream=True)
        total_s = self._limit_s(options)
        stream = await self._http.open(self._stream_target, body, self._timeouts, total_s=total_s)
        try:
            await self._check(stream)
            parser, reader = SseParser(label=self._candidate.name), self._reader(options)
            while data := await stream.read():
                frame = reader.frame
                if (
                    frame is not None
                    and parser.is_idle
                    and data[:6] == b"data: "
                    and data[-2:] == b"\n\n"
                    and (known := frame.chunk(data[6:-2])) is not None
                ):
                    yield known  # one ordinary token by itself, which is how they come
                    continue
                for event in parser.feed(data):
                    frame = reader.frame
                    if frame is not None and (known := frame.chunk(event)) is not None:
                        yield known
                    elif event == _DONE:
                        stream.finish()
                        return
                    elif event:
                        for chunk in reader.read(event):
                            yield chunk
            for event in parser.finish():
                if event == _DONE:
                    return
                for chunk in reader.read(event):
                    yield chunk
            if not reader.has_finished:
                raise ProviderGarbage("the stream was cut before its end", candidate=self._candidate.name)
        finally:
            stream.close()

    async def close(self) -> None:  # noqa: B027  # a subclass with something of its own to close may
        """Nothing to do: connections belong to the shared client."""

    @abstractmethod
    def _body(self, query: Query, options: Options, *, is_stream: bool) -> Mapping[str, Any]:
        """The request, before it becomes JSON."""

    @abstractmethod
    def _read(self, response: Response, options: Options, latency_s: float) -> Answer:
        """The answer in a response with status 2xx and a JSON content type."""

    @abstractmethod
    def _reader(self, options: Options) -> EventReader: ...

    def _encode(self, query: Query, options: Options, *, is_stream: bool) -> bytes:
        try:
            return msgspec.json.encode(self._body(query, options, is_stream=is_stream))
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise ProviderRejected(
                f"the request cannot be written in this provider's shape: {error}",
                candidate=self._candidate.name,
            ) from error

    async def _check(self, stream: Stream) -> None:
        """Raise unless the response is a stream of events."""
        is_good = 200 <= stream.status < 300
        content_type = stream.headers.get(b"content-type", b"event-stream")
        if is_good and content_type.find(b"event-stream") >= 0:
            return
        try:
            body = await stream.read_all(_MAX_ERROR_BYTES)
        except ProviderError:
            if is_good:
                raise
            body = b""  # the status says enough
        if not is_good:
            raise self._failure(stream.status, stream.headers, body)
        self._expect(b"event-stream", stream.headers, body)

    def _expect(self, kind: bytes, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Raise if the content type is another one."""
        content_type = headers.get(b"content-type", kind)
        if content_type.find(kind) >= 0:  # `in` costs bytes an exception
            return
        if b"json" in content_type:  # where a stream was due: most likely an error
            read_reply(body, candidate=self._candidate.name, secret=self._secret)
        said, text = quote(content_type.decode("latin-1")), quote(plain(body), self._secret)
        raise ProviderGarbage(
            f"the answer is {said!r}, not {kind.decode()}: {text}",
            candidate=self._candidate.name,
            upstream_status=200,
        )

    def _failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> ProviderError:
        return failure(status, headers, body, candidate=self._candidate.name, secret=self._secret)


def reveal(secret: Secret | None) -> str | None:
    """The key itself, where there is one."""
    return secret.reveal() if secret else None
