"""Models behind an API or in this process, each by the name that `provider:` has in suffice.yaml."""

from __future__ import annotations

from typing import Any

from suffice.providers.base import Provider, ProviderSettings, Secret
from suffice.registry import Registry

_OPENAI_SHAPED = ("openai", "ollama", "vllm", "openrouter", "together", "groq", "mistral", "deepseek")

_registry = Registry(
    "provider",
    "suffice.providers",
    {
        **dict.fromkeys(_OPENAI_SHAPED, "suffice.providers.openai:OpenAIModel"),
        "azure": "suffice.providers.azure:AzureModel",
        "anthropic": "suffice.providers.anthropic:AnthropicModel",
        "gemini": "suffice.providers.gemini:GeminiModel",
        "local": "suffice.providers.local:LocalModel",
        "student": "suffice.providers.student:StudentModel",
        "recorded": "suffice.providers.recorded:RecordedModel",
    },
)


def available() -> tuple[str, ...]:
    """The names of all providers."""
    return _registry.available()


def get(name: str) -> Any:
    """The class of that name; its `from_config(candidate, settings, http)` makes a Model.

    Raises
    ------
    UnknownName
        If nothing has that name.
    """
    return _registry.get(name)


__all__ = ["Provider", "ProviderSettings", "Secret", "available", "get"]
