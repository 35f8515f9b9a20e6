"""Asking one remote model about one script; for the tests of providers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

import scenes
from leaks import run_clean
from suffice import providers
from suffice.errors import ProviderError
from suffice.providers import ProviderSettings, Secret
from suffice.providers.http import HttpClient
from suffice.types import Answer, Candidate, Chunk, Options, Price, Query
from upstream import Upstream

KEY = "sk-our-own-key-1234567890"
PRICE = Price(input_usd_per_mtok=Decimal(2), output_usd_per_mtok=Decimal(10))


class Asked(NamedTuple):
    """What came of one call."""

    answer: Answer | None
    chunks: list[Chunk]
    error: ProviderError | None
    upstream: Upstream
    took_s: float

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def sent(self) -> dict[str, Any]:
        return self.upstream.requests[0].json


def ask(
    scene: scenes.Scene,
    fields: dict[str, Any] | None = None,
    *,
    provider: str = "openai",
    messages: Sequence[dict[str, Any]] = ({"role": "user", "content": "hi"},),
    stream: bool = False,
    timeout_s: float | None = None,
    own_timeout_s: float = 120.0,
    path: str = "/v1",
    **settings: Any,
) -> Asked:
    """Make the model, call it once, close everything; nothing may leak."""
    upstream = Upstream()
    chunks: list[Chunk] = []
    answer, error, took_s = None, None, 0.0

    async def main() -> None:
        nonlocal answer, error, took_s
        upstream.plays(scene)
        async with upstream, HttpClient() as http:
            base_url = upstream.url.removesuffix("/v1") + path
            model = providers.get(provider).from_config(
                Candidate(name="small", provider=provider, model="m-1", price=PRICE),
                ProviderSettings(base_url=base_url, api_key=Secret(KEY), timeout_s=own_timeout_s, **settings),
                http,
            )
            query = Query.from_messages(messages)
            options = Options(fields=fields or {}, timeout_s=timeout_s)
            started_s = time.perf_counter()
            try:
                if stream:
                    async for chunk in model.stream(query, options):
                        chunks.append(chunk)
                else:
                    answer = await model.answer(query, options)
            except ProviderError as failure:
                error = failure
            took_s = time.perf_counter() - started_s
            await model.close()

    run_clean(main)
    return Asked(answer, chunks, error, upstream, took_s)


def decoded(chunk: Chunk) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.json.decode(chunk.data)
    return value
