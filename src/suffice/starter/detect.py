"""What can be asked from this machine: keys in the environment, servers that run here, pulled models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from suffice.catalogue import Catalogue
from suffice.providers.model_files import model_file
from suffice.starter.served import get_json, served_models

KEYS: Final = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
}
"""Provider -> the variable that holds its key."""

PREFERRED: Final = {
    "openai": (
        ("gpt-6-luna", "gpt-5.6-luna", "gpt-5-nano", "gpt-4.1-nano", "gpt-4o-mini"),
        ("gpt-6.1-sol", "gpt-6-sol", "gpt-5.6-sol", "gpt-5.1", "gpt-5", "gpt-4.1", "gpt-4o"),
    ),
    "anthropic": (
        ("claude-haiku-5-5", "claude-haiku-4-5", "claude-3-5-haiku-latest"),
        ("claude-opus-5-5", "claude-opus-5", "claude-opus-4-8", "claude-sonnet-4-5"),
    ),
    "gemini": (
        ("gemini-3.1-flash-lite", "gemini-2.5-flash-lite", "gemini-2.0-flash"),
        ("gemini-4-argon", "gemini-3.1-pro-preview", "gemini-2.5-pro"),
    ),
}
"""Provider -> (cheap, strong) models of the catalogue, newest first."""

OLLAMA: Final = "http://127.0.0.1:11434"
VLLM: Final = "http://127.0.0.1:8000"
LOCAL_FILES: Final = ("small", "large")

USD_PER_MTOK_PER_GB: Final = (0.1, 0.9)
"""Assumed price of (input, output) on one's own machine, per GB of the model: a core at 0.05 USD an hour
writes about 15 tokens a second with a model of 1 GB, and reads about nine times as fast."""
_UNKNOWN_GB: Final = 1.0
_NO_CHAT: Final = ("embed", "bert", "rerank", "whisper")


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One model that could be asked from here."""

    provider: str
    model: str
    key: str | None = None
    """The environment variable that holds the key; never its value."""
    base_url: str | None = None
    """Where it is not the provider's own."""
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    is_assumed: bool = False
    """The price is not the catalogue's but an assumption about this machine."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    offers: tuple[Offer, ...] = ()
    pulled: tuple[str, ...] = ()
    """Local model files that are here."""
    seen: tuple[str, ...] = ()
    """In words, such as "OPENAI_API_KEY is set"."""


def look(environ: Mapping[str, str], *, online: bool = False, timeout_s: float = 1.0) -> Found:
    """Look around; asks servers on the loopback interface, and others only with `online`.

    Parameters
    ----------
    environ : for the names of keys, and OLLAMA_HOST and VLLM_HOST where a server listens elsewhere
    online : ask each provider that has a key which models it serves, and take the best of these
    """
    catalogue = Catalogue.load()
    offers: list[Offer] = []
    seen: list[str] = []
    for provider, variable in KEYS.items():
        if environ.get(variable):
            served = _served(provider, environ[variable], timeout_s) if online else None
            offers += _bought(provider, variable, served, catalogue)
            seen.append(f"{variable} is set")
    for label, found in (("Ollama", _ollama(environ, timeout_s)), ("vLLM", _vllm(environ, timeout_s))):
        if found:
            offers += found
            seen.append(f"{label} serves {', '.join(offer.model for offer in found)}")
    pulled = tuple(name for name in LOCAL_FILES if model_file(name).is_file())
    if pulled:
        seen.append(f"local models are here: {', '.join(pulled)}")
    return Found(offers=tuple(offers), pulled=pulled, seen=tuple(seen))


def _served(provider: str, key: str, timeout_s: float) -> frozenset[str] | None:
    """None where the provider does not say."""
    try:
        return frozenset(served_models(provider, key=key, timeout_s=3 * timeout_s)) or None
    except OSError:
        return None


def _bought(
    provider: str, variable: str, served: frozenset[str] | None, catalogue: Catalogue
) -> Iterator[Offer]:
    for wanted in PREFERRED[provider]:
        model = next((one for one in wanted if served is None or one in served), None)
        row = catalogue.find(provider, model) if model else None
        if row is None or row.price.input_usd_per_mtok is None or row.price.output_usd_per_mtok is None:
            continue
        yield Offer(
            provider=provider,
            model=row.model,
            key=variable,
            input_usd_per_mtok=float(row.price.input_usd_per_mtok),
            output_usd_per_mtok=float(row.price.output_usd_per_mtok),
        )


def _ollama(environ: Mapping[str, str], timeout_s: float) -> list[Offer]:
    """Its smallest and its largest chat model."""
    start = _address(environ.get("OLLAMA_HOST"), OLLAMA)
    rows = _rows(f"{start}/api/tags", "models", timeout_s)
    sizes = {row["name"]: float(row.get("size") or 0) / 1e9 for row in rows if _can_chat(row.get("name"))}
    ordered = sorted(sizes, key=lambda name: (sizes[name], name))
    ends = dict.fromkeys((*ordered[:1], *ordered[-1:]))
    base_url = None if start == OLLAMA else f"{start}/v1"
    return [_own("ollama", name, sizes[name], base_url) for name in ends]


def _vllm(environ: Mapping[str, str], timeout_s: float) -> list[Offer]:
    start = _address(environ.get("VLLM_HOST"), VLLM)
    rows = _rows(f"{start}/v1/models", "data", timeout_s)
    names = [row["id"] for row in rows if row.get("owned_by") == "vllm" and _can_chat(row.get("id"))]
    base_url = None if start == VLLM else f"{start}/v1"
    return [_own("vllm", name, _UNKNOWN_GB, base_url) for name in names[:2]]


def _own(provider: str, model: str, gigabytes: float, base_url: str | None) -> Offer:
    into, out = (round((gigabytes or _UNKNOWN_GB) * rate, 3) for rate in USD_PER_MTOK_PER_GB)
    return Offer(
        provider=provider,
        model=model,
        base_url=base_url,
        input_usd_per_mtok=into,
        output_usd_per_mtok=out,
        is_assumed=True,
    )


def _address(host: str | None, default: str) -> str:
    """`OLLAMA_HOST` may be a bare host and port; an address to listen on is not one to call."""
    if not host:
        return default
    start = host if host.startswith(("http://", "https://")) else f"http://{host}"
    return start.rstrip("/").replace("//0.0.0.0", "//127.0.0.1")


def _rows(url: str, name: str, timeout_s: float) -> list[dict[str, Any]]:
    try:
        reply = get_json(url, {}, timeout_s)
    except OSError:
        return []
    rows = reply.get(name) if isinstance(reply, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _can_chat(name: object) -> bool:
    return isinstance(name, str) and bool(name) and not any(word in name.lower() for word in _NO_CHAT)
