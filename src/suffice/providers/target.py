"""Where a request goes and the part of it that never changes, made once per model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from suffice.errors import ConfigError

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e\x80-\xff\t]*")
_REQUEST_TARGET: Final = re.compile(r"/[\x21-\x7e]*")
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; None waits for ever."""

    total_s: float | None = 120.0
    connect_s: float | None = 10.0
    first_byte_s: float | None = None
    """From sending the request to the response's first byte."""
    chunk_s: float | None = 60.0
    """Longest silence within a response."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One URL with its method and headers, ready to be sent before a body."""

    scheme: str
    host: str
    port: int
    head: bytes
    """Request line and headers, up to and including `content-length: `."""
    label: str = ""
    """Named in errors: the candidate."""

    def __repr__(self) -> str:
        return f"Target({self.scheme}://{self.host}:{self.port})"  # the head holds the key

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @classmethod
    def parse(
        cls, url: str, headers: Mapping[str, str] | None = None, *, label: str = "", method: str = "POST"
    ) -> Target:
        """Check everything that goes on the wire; nothing can be injected later.

        Raises
        ------
        ConfigError
            If the URL is not plain http or https, or a header could change the framing.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", _port(parts)
            authority = _authority(host, port, parts.scheme)
        except ValueError as error:  # UnicodeError is one
            raise ConfigError(f"{url!r} is not a URL: {error}", key=label) from error
        if parts.scheme not in ("http", "https") or not host:
            raise ConfigError(
                f"{url!r} is not an http or https URL; write it as https://host/path", key=label
            )
        if parts.username is not None:
            raise ConfigError(f"the URL of {host} holds a user name; use api_key instead", key=label)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not _REQUEST_TARGET.fullmatch(path):
            raise ConfigError(f"the path {path!r} holds characters that must be percent-encoded", key=label)
        lines = [f"{method} {path} HTTP/1.1", f"host: {authority}"]
        lines += ["accept-encoding: identity", *_header_lines(headers or {}, label), "content-length: "]
        return cls(
            scheme=parts.scheme,
            host=host,
            port=port,
            head="\r\n".join(lines).encode("latin-1"),
            label=label,
        )


def _port(parts: SplitResult) -> int:
    if parts.port == 0:
        raise ValueError("port 0 cannot be reached")
    return parts.port or (443 if parts.scheme == "https" else 80)


def _authority(host: str, port: int, scheme: str) -> str:
    name = f"[{host}]" if ":" in host else host.encode("idna").decode()
    return name if port == (443 if scheme == "https" else 80) else f"{name}:{port}"


def _header_lines(headers: Mapping[str, str], label: str) -> list[str]:
    lines = []
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
            raise ConfigError(f"the header {name!r} cannot be set; remove it", key=label)
        if not _VALUE.fullmatch(value):
            # The value may be a key: it is not quoted.
            raise ConfigError(
                f"the value of header {name!r} holds a line break, control or non-Latin character", key=label
            )
        lines.append(f"{name.lower()}: {value.strip()}")
    return lines


def versioned(base_url: str, version: str) -> str:
    """A base URL with the API's version, where it names nothing but a host."""
    base_url = base_url.rstrip("/")
    return base_url if urlsplit(base_url).path else f"{base_url}/{version}"


def merge_headers(*layers: Mapping[str, str]) -> dict[str, str]:
    """Later layers win; names in lower case."""
    return {name.lower(): value for layer in layers for name, value in layer.items()}
