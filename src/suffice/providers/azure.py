"""Azure OpenAI: the same shape behind a deployment's address and its own key header."""

from __future__ import annotations

from urllib.parse import quote

from suffice.errors import ConfigError
from suffice.providers.base import ProviderSettings
from suffice.providers.openai import OpenAIModel
from suffice.types import Candidate

_API_VERSION = "2024-10-21"


class AzureModel(OpenAIModel):
    """A deployment; `model` is its name and `base_url` the resource's address.

    `extra.api_version` sets the API version. A base URL that ends in `/openai/v1` is Azure's
    version-free address and is used as it stands.
    """

    known_options = frozenset({"api_version"})

    @classmethod
    def _url(cls, candidate: Candidate, settings: ProviderSettings) -> str:
        if settings.base_url is None:
            raise ConfigError("azure needs base_url: https://RESOURCE.openai.azure.com", key=candidate.name)
        base_url = settings.base_url.rstrip("/")
        if base_url.endswith("/openai/v1"):
            return f"{base_url}/chat/completions"
        version = quote(str(settings.extra.get("api_version", _API_VERSION)), safe="")
        deployment = quote(candidate.model, safe="")
        return f"{base_url}/openai/deployments/{deployment}/chat/completions?api-version={version}"

    @classmethod
    def _auth(cls, key: str) -> dict[str, str]:
        return {"api-key": key}
