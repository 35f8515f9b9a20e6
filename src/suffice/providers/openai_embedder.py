"""Vectors from an OpenAI-compatible `/embeddings` endpoint."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from time import monotonic
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError, EmbedderError, ProviderError, ProviderGarbage
from suffice.providers.base import Secret
from suffice.providers.failures import failure
from suffice.providers.http import HttpClient
from suffice.providers.loop_thread import LoopThread
from suffice.providers.target import Target, Timeouts, merge_headers

BASE_URL: Final = "https://api.openai.com/v1"
_AT_ONCE: Final = 8
_DIMENSIONS: Final = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}


class _Row(msgspec.Struct, gc=False):
    embedding: list[float]
    index: int | None = None


class _Reply(msgspec.Struct, gc=False):
    data: list[_Row]


_decode: Final = msgspec.json.Decoder(_Reply).decode


class OpenAIEmbedder:
    """Asks an endpoint for the vectors of texts, in batches, and fails with EmbedderError.

    Blocking, as the protocol wants it, and safe to call from several threads: requests run on an event
    loop of its own in a thread that starts with the first call.
    """

    def __init__(
        self,
        *,
        model: str = "text-embedding-3-small",
        base_url: str = BASE_URL,
        api_key: str | Secret | None = None,
        dimensions: int | None = None,
        batch_size: int = 256,
        max_characters: int = 24_000,
        timeout_s: float = 10.0,
        headers: dict[str, str] | None = None,
    ) -> None:
        """
        Parameters
        ----------
        dimensions : asks for shorter vectors, of models that can give them
        batch_size : texts in one request
        max_characters : of a text that count; the rest is cut off
        timeout_s : for one call of `embed`, its second try included
        """
        if batch_size < 1 or max_characters < 1 or timeout_s <= 0:
            raise ConfigError(
                f"batch_size={batch_size}, max_characters={max_characters}, timeout_s={timeout_s}: "
                "each must be above 0"
            )
        if dimensions is not None and dimensions < 1:
            raise ConfigError(
                f"dimensions is {dimensions}; at least 1 is needed: leave it out for the model's own"
            )
        self.model = model
        self._secret = api_key.reveal() if isinstance(api_key, Secret) else api_key
        self._asked_dimensions = dimensions
        self._dimensions = dimensions or _DIMENSIONS.get(model)
        self._batch_size, self._max_characters, self._timeout_s = batch_size, max_characters, timeout_s
        self._target = Target.parse(
            f"{base_url.rstrip('/')}/embeddings",
            merge_headers(
                {"content-type": "application/json"},
                {"authorization": f"Bearer {self._secret}"} if self._secret else {},
                headers or {},
            ),
            label=f"embedder {model}",
        )
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.model if self._asked_dimensions is None else f"{self.model}:{self._asked_dimensions}"

    @property
    def dimensions(self) -> int:
        """Asks the endpoint where neither the settings nor the model's name tell."""
        if self._dimensions is None:
            self.embed(["dimensions"])
        assert self._dimensions is not None
        return self._dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows of shape (n, dimensions); an empty text gives a zero row and is not sent.

        Raises
        ------
        EmbedderError
            If the endpoint does not give the vectors in time, after a second try.
        """
        sent = [row for row, text in enumerate(texts) if text.strip()]
        batches = [sent[i : i + self._batch_size] for i in range(0, len(sent), self._batch_size)]
        asked = [[texts[row][: self._max_characters] for row in batch] for batch in batches]
        vectors = self._running().call(lambda http: self._ask_all(http, asked)) if asked else []
        out = np.zeros((len(texts), self.dimensions), np.float32)
        if sent:
            found = np.concatenate(vectors)
            norms = np.linalg.norm(found, axis=1, keepdims=True)
            norms[norms == 0] = 1
            out[sent] = found / norms
        return out

    def close(self) -> None:
        """Stop the thread and close its connections; a later call starts again."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    def _running(self) -> LoopThread:
        with self._lock:
            if self._thread is None or not self._thread.is_alive:
                self._thread = LoopThread()
            return self._thread

    async def _ask_all(self, http: HttpClient, batches: Sequence[Sequence[str]]) -> list[NDArray[np.float32]]:
        deadline_s = monotonic() + self._timeout_s
        slots = asyncio.Semaphore(_AT_ONCE)

        async def ask(batch: Sequence[str]) -> NDArray[np.float32]:
            async with slots:
                return await self._ask(http, batch, deadline_s)

        results = await asyncio.gather(*map(ask, batches), return_exceptions=True)
        vectors = []
        for result in results:
            if isinstance(result, ProviderError):
                raise EmbedderError(f"no vectors: {result}") from result
            if isinstance(result, BaseException):
                raise result
            vectors.append(result)
        return vectors

    async def _ask(self, http: HttpClient, texts: Sequence[str], deadline_s: float) -> NDArray[np.float32]:
        """One batch; a failure that may pass is tried a second time."""
        try:
            return await self._try(http, texts, deadline_s)
        except ProviderError as error:
            wait_s = error.retry_after_s or 0.0
            if not error.is_retryable or monotonic() + wait_s >= deadline_s:
                raise
        await asyncio.sleep(wait_s)
        return await self._try(http, texts, deadline_s)

    async def _try(self, http: HttpClient, texts: Sequence[str], deadline_s: float) -> NDArray[np.float32]:
        wish = {} if self._asked_dimensions is None else {"dimensions": self._asked_dimensions}
        body = msgspec.json.encode({"model": self.model, "input": texts, "encoding_format": "float", **wish})
        left_s = max(0.0, deadline_s - monotonic())
        response = await http.request(self._target, body, Timeouts(), total_s=left_s)
        if response.status != 200:
            raise failure(
                response.status,
                response.headers,
                response.body,
                candidate=self._target.label,
                secret=self._secret,
            )
        return self._vectors(response.body, len(texts))

    def _vectors(self, body: bytes, n_texts: int) -> NDArray[np.float32]:
        """(n_texts, dimensions), in the order asked."""
        try:
            rows = _decode(body).data
            if all(row.index is not None for row in rows):
                rows.sort(key=lambda row: row.index or 0)
            vectors = np.array([row.embedding for row in rows], np.float32)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ProviderGarbage(
                f"the answer holds no vectors: {error}", candidate=self._target.label
            ) from error
        n_dimensions = self._dimensions or vectors.size // max(n_texts, 1)
        expected = (n_texts, n_dimensions)
        if vectors.shape != expected or not n_dimensions or not np.isfinite(vectors).all():
            raise ProviderGarbage(
                f"the answer holds vectors of shape {vectors.shape}, not {expected}, or numbers that are "
                "not finite",
                candidate=self._target.label,
            )
        self._dimensions = vectors.shape[1]
        return vectors
