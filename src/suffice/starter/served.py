"""Which models an endpoint serves: the list that providers give away free of charge."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

LISTS: Final[Mapping[str, str]] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta",
    "openrouter": "https://openrouter.ai/api/v1",
    "together": "https://api.together.xyz/v1",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "ollama": "http://127.0.0.1:11434/v1",
    "vllm": "http://127.0.0.1:8000/v1",
}
"""Provider -> where its `/models` is, unless a base URL is given."""

_LARGEST: Final = 4_000_000


def served_models(
    provider: str, *, base_url: str | None = None, key: str | None = None, timeout_s: float = 3.0
) -> tuple[str, ...]:
    """The model ids that this key may ask for.

    Raises
    ------
    OSError
        With a sentence, where there is no answer or none that lists models. Holds no key.
    """
    start = (base_url or LISTS.get(provider, "")).rstrip("/")
    if not start:
        raise OSError(f"no list of models is known for provider {provider!r}")
    reply = get_json(f"{start}/models", _auth(provider, key), timeout_s)
    rows = reply.get("data", reply.get("models")) if isinstance(reply, dict) else reply
    if not isinstance(rows, list):
        raise OSError(f"{start}/models lists no models")
    ids = (row.get("id") or row.get("name") for row in rows if isinstance(row, dict))
    return tuple(one.removeprefix("models/") for one in ids if isinstance(one, str))


def get_json(url: str, headers: Mapping[str, str], timeout_s: float) -> Any:
    """The JSON behind a URL; raises OSError, and nothing else, where there is none."""
    request = urllib.request.Request(url, headers={"user-agent": "suffice", **headers})
    try:
        with _opener(url).open(request, timeout=timeout_s) as response:
            return json.loads(response.read(_LARGEST))
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"{url} answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise OSError(f"no answer from {url} ({error.reason})") from None
    except (http.client.HTTPException, ValueError, RecursionError) as error:
        raise OSError(f"{url} does not answer with JSON ({type(error).__name__})") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to wherever it points."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Loopback is never asked through a proxy."""
    is_here = urllib.parse.urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    handlers = [urllib.request.ProxyHandler({})] if is_here else []
    return urllib.request.build_opener(_NoRedirect, *handlers)


def _auth(provider: str, key: str | None) -> Mapping[str, str]:
    if not key:
        return {}
    if provider == "anthropic":
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}
    if provider == "gemini":
        return {"x-goog-api-key": key}
    return {"authorization": f"Bearer {key}"}
