"""Bytes of HTTP/1.1 responses: status lines, header blocks, chunks, error bodies."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import msgspec

from suffice.errors import SufficeError

Header = tuple[bytes, bytes]

STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
JSON_TYPE: Final = (b"content-type", b"application/json")

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date_line(now: float) -> bytes:
    """The Date header for a Unix time, in the fixed form of RFC 9110 whatever the locale."""
    at = time.gmtime(now)
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    return f"date: {day}, {at.tm_mday:02} {month} {at.tm_year} {clock} GMT\r\n".encode()


def header_block(headers: Iterable[Header]) -> bytes:
    """Header lines, each with its line end.

    Raises
    ------
    ValueError
        If a name or value holds a line break: it would let its author write headers of their own.
    """
    lines = [b": ".join(header) for header in headers]
    block = b"\r\n".join((*lines, b""))
    if block.count(b"\n") != len(lines) or block.count(b"\r") != len(lines):
        raise ValueError("a response header holds a line break; header values must be one line")
    return block


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body; `data` must not be empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def error_body(error: SufficeError) -> bytes:
    """The error in OpenAI's shape."""
    return msgspec.json.encode(error.body())


def refusal(error: SufficeError, date: bytes = b"") -> bytes:
    """A whole response that ends the connection, for a request that reaches no application."""
    body = error_body(error)
    headers = (JSON_TYPE, (b"content-length", b"%d" % len(body)), (b"connection", b"close"))
    return b"".join((STATUS_LINES[error.status], date, header_block(headers), b"\r\n", body))
