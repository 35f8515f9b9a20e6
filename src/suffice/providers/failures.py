"""What a provider's refusal means: status and body of a failed call to an error of ours."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from suffice.errors import (
    ContextOverflow,
    ProviderAuthError,
    ProviderError,
    ProviderGarbage,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)

_KINDS: Final[dict[int, type[ProviderError]]] = {
    401: ProviderAuthError,
    402: ProviderAuthError,
    403: ProviderAuthError,
    408: ProviderTimeout,
    409: ProviderUnavailable,
    413: ContextOverflow,
    425: ProviderUnavailable,
    429: ProviderRateLimited,
    504: ProviderTimeout,
}
_BY_CODE: Final[dict[str, type[ProviderError]]] = {
    "context_length_exceeded": ContextOverflow,
    "exceed_context_size_error": ContextOverflow,
    "insufficient_quota": ProviderAuthError,  # waiting does not help: the account is empty
    "billing_not_active": ProviderAuthError,
    "invalid_api_key": ProviderAuthError,
    "API_KEY_INVALID": ProviderAuthError,
    "authentication_error": ProviderAuthError,
    "permission_error": ProviderAuthError,
    "rate_limit_exceeded": ProviderRateLimited,
    "rate_limit_error": ProviderRateLimited,
    "RESOURCE_EXHAUSTED": ProviderRateLimited,
    "overloaded_error": ProviderUnavailable,
    "api_error": ProviderUnavailable,
    "server_error": ProviderUnavailable,
    "internal_server_error": ProviderUnavailable,
    "timeout_error": ProviderTimeout,
    "UNAVAILABLE": ProviderUnavailable,
    "INTERNAL": ProviderUnavailable,
    "DEADLINE_EXCEEDED": ProviderTimeout,
    "invalid_request_error": ProviderRejected,
    "not_found_error": ProviderRejected,
}
# As worded by OpenAI, vLLM, Ollama, llama.cpp, Anthropic, Gemini, Mistral, Groq and Together.
_OVERFLOW: Final = re.compile(
    r"maximum context length|maximum model length|prompt is too long|exceed_context_size"
    r"|exceed\w* [^.]{0,60}context (?:length|window|size|limit)"
    r"|context (?:length|window|size|limit) [^.]{0,60}exceed"
    r"|input token count [^.]{0,40}exceeds|`?max_new_tokens`? must be <="
    r"|reduce the length of the (?:messages|prompt|input)",
    re.IGNORECASE,
)
_SECRETS: Final = re.compile(
    r"(?<=bearer )\S+"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|nvapi|r8|key)[-_][\w*-]{6,}"
    r"|\bAIza[\w-]{10,}"
    r"|(?<![\w-])(?=[\w-]*\d)[\w-]{32,}",
    re.IGNORECASE,
)
_MAX_QUOTED: Final = 300
_MAX_READ: Final = 8_192


def failure(
    status: int,
    headers: Mapping[bytes, bytes],
    body: bytes,
    *,
    candidate: str,
    secret: str | None = None,
) -> ProviderError:
    """The error for a response that is not an answer.

    Parameters
    ----------
    status : the HTTP status; of a 200 that holds an error, the status that the error names, or 200
    secret : our key, which must not appear in the message
    """
    message, codes = _read(body)
    kind = _kind(status, codes, message)
    quoted = quote(message, secret)
    said = f"the provider answered {status}" + (f": {quoted}" if quoted else "")
    if kind is ProviderAuthError:
        said += "; check the key and the account of this provider"
    return kind(said, candidate=candidate, upstream_status=status, retry_after_s=retry_after_s(headers))


def error_event(error: Any, *, candidate: str, secret: str | None = None) -> ProviderError:
    """The error for an `error` object inside a body or stream that began with status 200."""
    status = 200
    if isinstance(error, dict) and isinstance(code := error.get("code"), int) and 400 <= code < 600:
        status = code
    return failure(status, {}, msgspec.json.encode({"error": error}), candidate=candidate, secret=secret)


def quote(text: str, secret: str | None = None) -> str:
    """A foreign text as it may stand in our messages: one line, short, without anything like a key."""
    text = " ".join(text[:_MAX_READ].split())
    if secret:
        text = text.replace(secret, "***")
    text = _SECRETS.sub("***", text)
    return text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 3] + "..."


def retry_after_s(headers: Mapping[bytes, bytes]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after` in seconds or as a date."""
    for name, unit in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        value = headers.get(name, b"").decode("latin-1").strip()
        if not value:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            seconds = _seconds_until(value)
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def _seconds_until(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return math.nan


def _kind(status: int, codes: tuple[str, ...], message: str) -> type[ProviderError]:
    by_code = next((_BY_CODE[code] for code in codes if code in _BY_CODE), None)
    if status in (400, 413, 422, 500, 200) and (by_code is ContextOverflow or _OVERFLOW.search(message)):
        return ContextOverflow
    # One of these says little: the code inside says more.
    if by_code is not None and (status in (200, 400) or (status == 429 and by_code is ProviderAuthError)):
        return by_code
    if status in _KINDS:
        return _KINDS[status]
    if 400 <= status < 500:
        return ProviderRejected
    return ProviderUnavailable if status >= 500 else ProviderGarbage


def _read(body: bytes) -> tuple[str, tuple[str, ...]]:
    """The message of an error body and every code-like field of it, most telling first."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return plain(body), ()
    if isinstance(value, list) and value:
        value = value[0]
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, dict):
        return (error if isinstance(error, str) else plain(body)), ()
    message = error.get("message") or error.get("detail") or plain(body)
    codes = [error.get("code"), error.get("status"), error.get("type"), *_reasons(error.get("details"))]
    # Gemini keeps the telling code in details[].reason, and names a wrong key INVALID_ARGUMENT.
    return (
        message if isinstance(message, str) else msgspec.json.encode(message).decode(),
        tuple(code for code in codes if isinstance(code, str)),
    )


def _reasons(details: Any) -> list[Any]:
    return (
        [item.get("reason") for item in details if isinstance(item, dict)]
        if isinstance(details, list)
        else []
    )


def plain(body: bytes) -> str:
    """Text or the text of HTML; nothing where the bytes are no text."""
    try:
        text = body[:_MAX_READ].decode()
    except UnicodeDecodeError as error:
        if error.start < len(body[:_MAX_READ]) - 4:
            return ""
        text = body[: error.start].decode()
    return re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
