"""Text to vectors: the default needs no download and no model."""

from __future__ import annotations

from typing import Any

from suffice.embedders.cached import CachedEmbedder
from suffice.embedders.fallback import FallbackEmbedder
from suffice.embedders.hashed import HashedNgrams
from suffice.protocols import Embedder
from suffice.registry import Registry

__all__ = [
    "CachedEmbedder",
    "FallbackEmbedder",
    "HashedNgrams",
    "available",
    "create",
    "get",
    "registry",
]

registry = Registry(
    "embedder",
    "suffice.embedders",
    {
        "hashed": "suffice.embedders.hashed:HashedNgrams",
        "openai": "suffice.providers.openai_embedder:OpenAIEmbedder",
        "minilm": "suffice.providers.onnx_embedder:OnnxEmbedder",
    },
)


def available() -> tuple[str, ...]:
    """Names of all embedders that can be created."""
    return registry.available()


def get(name: str) -> Any:
    """The class of that name, or of `path/to/file.py:ClassName`."""
    return registry.get(name)


def create(name: str = "hashed", **params: Any) -> Embedder:
    """An embedder by name, with its constructor's parameters.

    Raises
    ------
    UnknownName
        If there is none such.
    ConfigError
        If it has no such parameter, or not of that type.
    """
    registry.check(name, params)
    embedder: Embedder = get(name)(**params)
    return embedder
