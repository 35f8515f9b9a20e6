"""What one client may ask of the server: sizes, counts and times."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the HTTP server; every one of them ends in a clear status or a closed connection."""

    header_bytes: int = 65_536
    """Request line and headers together; more is 431."""
    headers: int = 100
    """Header fields of one request; more is 431."""
    body_bytes: int = 20_000_000
    """Decoded body, declared or chunked; more is 413."""
    pipelined: int = 64
    """Requests that may wait behind the one being answered; the connection ends after them."""
    connections: int = 4096
    """Open at once; one more is answered 503."""
    header_s: float = 15.0
    """From the first byte of a request to the end of its headers; then 408."""
    body_s: float = 30.0
    """For a body to arrive, plus a second for every `body_bytes_per_s` received; then 408."""
    body_bytes_per_s: int = 16_384
    idle_s: float = 75.0
    """Between requests; then the connection is closed."""
    write_s: float = 30.0
    """Without the client taking a byte of what waits for it; then the connection is cut."""
    linger_s: float = 2.0
    """For a refused client to read the refusal while it is still sending."""
    grace_s: float = 30.0
    """From the stop signal until requests still being answered are cancelled."""
