"""A short cut for heads that a connection has sent before.

A client that keeps its connection sends the same request line and headers with every request; only the
length of the body differs. Once one of them was parsed and checked, another one that is equal to the byte
around that length needs neither: it means the same.
"""

from __future__ import annotations

from typing import Any, Final

from suffice.gateway.wire import Header

_NAME: Final = b"\r\ncontent-length:"
_MOST_DIGITS: Final = 9


class Repeat:
    """A head with a blank where the body's length stands, and the scope that it became."""

    __slots__ = ("_digits_at", "_headers", "_length_at", "_prefix", "_scope", "_suffix")

    def __init__(
        self, prefix: bytes, suffix: bytes, scope: dict[str, Any], headers: list[Header], length_at: int
    ) -> None:
        self._prefix = prefix
        self._suffix = suffix
        self._digits_at = len(prefix)
        self._scope = scope
        self._headers = headers
        self._length_at = length_at

    @classmethod
    def of(cls, data: bytes, scope: dict[str, Any]) -> Repeat | None:
        """Learn from a request that came in one piece; None if it is of another kind."""
        head_end = data.find(b"\r\n\r\n") + 4
        start = data.lower().find(_NAME, 0, head_end)
        if start < 0:
            return None
        start += len(_NAME)
        while data[start : start + 1] == b" ":
            start += 1
        end = data.find(b"\r", start)
        digits = data[start:end]
        if not digits.isdigit() or len(data) - head_end != int(digits):
            return None
        headers = list(scope["headers"])
        names = [name for name, _ in headers]
        if names.count(b"content-length") != 1 or b"transfer-encoding" in names or b"expect" in names:
            return None
        return cls(data[:start], data[end:head_end], dict(scope), headers, names.index(b"content-length"))

    def read(self, data: bytes, max_bytes: int) -> tuple[dict[str, Any], bytes] | None:
        """The scope and body, if `data` is one whole request with this head and no longer; else None."""
        start = self._digits_at
        if not data.startswith(self._prefix):
            return None
        end = data.find(b"\r", start, start + _MOST_DIGITS + 1)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._suffix, end):
            return None
        body = data[end + len(self._suffix) :]
        if len(body) != int(digits) or len(body) > max_bytes:
            return None
        headers = self._headers.copy()
        headers[self._length_at] = (b"content-length", digits)
        scope = self._scope.copy()
        scope["headers"] = headers
        return scope, body
