"""The head of a request: what the parser lets through is checked once more, then becomes a scope."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote_to_bytes

from suffice.errors import InvalidRequest
from suffice.gateway.wire import Header

CANCELS: Final = "suffice.cancels"
"""Extension in the scope: the task is cancelled when the client goes, nobody needs to watch for it."""

_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}
_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {CANCELS: {}}
_METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
}
_ALONE: Final = (b"host", b"content-length", b"transfer-encoding", b"expect", b"authorization")
"""Headers that must not come twice: two readers could pick different ones."""


def read_head(
    method: bytes, target: bytes, version: str, headers: list[Header], fields: dict[bytes, bytes]
) -> dict[str, Any]:
    """The ASGI scope, without what belongs to the connection.

    Parameters
    ----------
    headers : with names in lower case
    fields : the same as a dict

    Raises
    ------
    RequestError
        If two readers could understand the request differently.
    """
    if len(fields) != len(headers):
        _check_repeats(headers)
    if version != "1.1":
        if version != "1.0":
            raise InvalidRequest(f"HTTP/{version} is not spoken here; use HTTP/1.1")
    elif b"host" not in fields:
        raise InvalidRequest("an HTTP/1.1 request needs a Host header")
    name = _METHODS.get(method)
    if name is None:
        raise InvalidRequest(f"the method {method.decode('latin-1')} is not known here")
    coding = fields.get(b"transfer-encoding")
    if coding is not None and (version == "1.0" or coding.lower() != b"chunked"):
        raise InvalidRequest("the only transfer-encoding is chunked, and only in HTTP/1.1")
    path, _, query = target.partition(b"?")
    if path[:1] != b"/":
        path = _path_of_absolute(path, name)
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": version,
        "method": name,
        # `find`, not `in`: for bytes, `in` raises and swallows an exception inside.
        "path": (path if path.find(b"%") < 0 else unquote_to_bytes(path)).decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "extensions": _EXTENSIONS,
    }


def _check_repeats(headers: list[Header]) -> None:
    seen = set()
    for name, _ in headers:
        if name in seen and name in _ALONE:
            raise InvalidRequest(f"the header {name.decode('latin-1')} came twice; send it once")
        seen.add(name)


def _path_of_absolute(target: bytes, method: str) -> bytes:
    """The path of `http://host/path` (proxies send it so); `*` only belongs to OPTIONS."""
    if target == b"*" and method == "OPTIONS":
        return target
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() not in {b"http", b"https"}:
        raise InvalidRequest("the request target must be a path")
    host, slash, path = rest.partition(b"/")
    if not host:
        raise InvalidRequest("the request target names no host")
    return slash + path or b"/"


def without_upgrade(method: bytes, target: bytes, headers: list[Header]) -> bytes:
    """The head of an HTTP/1.1 request again, without its wish for another protocol."""
    lines = [b"%b %b HTTP/1.1" % (method, target)]
    for name, value in headers:
        kept = value
        if name == b"connection":
            options = (option.strip() for option in value.lower().split(b","))
            kept = b", ".join(option for option in options if option not in {b"upgrade", b"http2-settings"})
        if name not in {b"upgrade", b"http2-settings"}:
            lines.append(b"%b: %b" % (name, kept))
    return b"\r\n".join((*lines, b"", b""))
