"""The remote embedder, blocking, against the scripted upstream in another thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import scenes
from suffice import embedders
from suffice.errors import ConfigError, EmbedderError
from suffice.providers.openai_embedder import OpenAIEmbedder
from upstream import Upstream

KEY = "sk-embedder-key-123456"


def vector(text: str) -> list[float]:
    return [float(len(text)), 3.0, 4.0]


async def vectors(request: scenes.Received, writer: asyncio.StreamWriter) -> None:
    """A good answer, its rows in another order than the texts."""
    rows = [{"index": i, "embedding": vector(text)} for i, text in enumerate(request.json["input"])]
    await scenes.reply({"object": "list", "data": rows[::-1], "usage": {"prompt_tokens": 1}})(request, writer)


def rows(*embeddings: Any) -> scenes.Scene:
    return scenes.reply({"data": [{"index": i, "embedding": row} for i, row in enumerate(embeddings)]})


@contextmanager
def serving(*plays: scenes.Scene) -> Iterator[Upstream]:
    """An upstream on a loop in another thread."""
    upstream, ready, done = Upstream(), threading.Event(), None

    async def main() -> None:
        nonlocal done
        done = asyncio.Event()
        upstream.plays(*plays)
        async with upstream:
            loops.append(asyncio.get_running_loop())
            ready.set()
            await done.wait()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(5)
    try:
        yield upstream
    finally:
        assert done is not None
        loops[0].call_soon_threadsafe(done.set)
        thread.join()


def embedder(upstream: Upstream, **fields: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder(base_url=upstream.url, api_key=KEY, **{"model": "m", **fields})


def test_vectors() -> None:
    texts = ["a", "", "bbb", "  ", "cc", "a"]
    with serving(vectors) as upstream:
        remote = embedder(upstream, batch_size=2)
        found = remote.embed(texts)
        assert remote.embed([]).shape == (0, 3)
        remote.close()
    assert (found.shape, found.dtype) == ((6, 3), np.float32)
    expected = np.array([vector(text) for text in texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    expected[[1, 3]] = 0
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert [request.json["input"] for request in upstream.requests] == [["a", "bbb"], ["cc", "a"]]
    request = upstream.requests[0]
    assert request.path == "/v1/embeddings"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json["model"] == "m"
    assert "dimensions" not in request.json


def test_names_and_dimensions() -> None:
    with serving(vectors) as upstream:
        remote = embedder(upstream)
        assert remote.dimensions == 3
        assert remote.dimensions == 3
        remote.close()
        assert len(upstream.requests) == 1
        shorter = embedder(upstream, dimensions=3)
        shorter.embed(["x"])
        shorter.close()
        assert upstream.requests[-1].json["dimensions"] == 3
    assert (remote.name, shorter.name) == ("m", "m:3")
    assert OpenAIEmbedder(model="text-embedding-3-large").dimensions == 3072
    made = embedders.create("openai", model="x", dimensions=5)
    assert isinstance(made, OpenAIEmbedder)
    assert made.dimensions == 5


def test_long_texts_are_cut() -> None:
    with serving(vectors) as upstream:
        remote = embedder(upstream, max_characters=10)
        remote.embed(["x" * 100])
        remote.close()
    assert upstream.requests[0].json["input"] == ["x" * 10]


@pytest.mark.parametrize(
    "scene",
    [
        scenes.status(503),
        scenes.status(429, retry_after="0.05"),
        scenes.hang_up(),
        scenes.reply(b"nonsense"),
        rows([1.0], [2.0]),
    ],
)
def test_a_passing_failure_is_tried_once_more(scene: scenes.Scene) -> None:
    with serving(scene, vectors) as upstream:
        remote = embedder(upstream)
        assert remote.embed(["x"]).shape == (1, 3)
        remote.close()
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("scene", "n_requests"),
    [
        (scenes.status(503), 2),
        (scenes.status(401, f"bad key {KEY}"), 1),
        (scenes.status(400, "no such model"), 1),
        (scenes.status(429, retry_after="60"), 1),
        (scenes.html(), 2),
        (rows(), 2),
        (rows([1.0, 2.0], [1.0]), 2),
        (rows([]), 2),
        (rows(["x"]), 2),
        (rows([1e999]), 2),
        (scenes.reply({"data": [{"embedding": [float("nan")]}]}), 2),
    ],
)
def test_failures(scene: scenes.Scene, n_requests: int) -> None:
    with serving(scene) as upstream:
        remote = embedder(upstream)
        with pytest.raises(EmbedderError, match="embedder m: ") as caught:
            remote.embed(["x"])
        remote.close()
    assert len(upstream.requests) == n_requests
    assert KEY not in str(caught.value)


def test_the_time_limit_holds_for_both_tries() -> None:
    for scene in (scenes.stall(), scenes.drip(delay_s=0.05)):
        with serving(scene) as upstream:
            remote = embedder(upstream, timeout_s=0.3)
            started_s = time.perf_counter()
            with pytest.raises(EmbedderError, match="time limit"):
                remote.embed(["x"])
            assert time.perf_counter() - started_s < 0.3 + 0.25
            remote.close()


def test_dimensions_that_change_are_refused() -> None:
    with serving(vectors, rows([1.0, 2.0])) as upstream:
        remote = embedder(upstream)
        remote.embed(["x"])
        with pytest.raises(EmbedderError, match="shape"):
            remote.embed(["x"])
        remote.close()


def test_threads_share_it_and_closing_is_not_the_end() -> None:
    with serving(vectors) as upstream:
        remote = embedder(upstream)
        with ThreadPoolExecutor(8) as pool:
            shapes = [found.shape for found in pool.map(remote.embed, [["x"]] * 40)]
        assert shapes == [(1, 3)] * 40
        remote.close()
        remote.close()
        assert remote.embed(["x"]).shape == (1, 3)
        remote.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "suffice-embedder"]


def test_a_forgotten_embedder_stops_its_thread() -> None:
    with serving(vectors) as upstream:
        embedder(upstream).embed(["x"])
        time.sleep(0.05)
        assert not [thread for thread in threading.enumerate() if thread.name == "suffice-embedder"]


def test_settings_that_cannot_work() -> None:
    for fields in ({"batch_size": 0}, {"timeout_s": 0}, {"dimensions": 0}, {"base_url": "nowhere"},
                   {"api_key": "a\nb"}, {"max_characters": 0}):  # fmt: skip
        with pytest.raises(ConfigError):
            OpenAIEmbedder(**fields)  # type: ignore[arg-type]
