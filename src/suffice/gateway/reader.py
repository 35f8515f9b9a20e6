"""The reading half of a connection: llhttp (strict), the limits of a request, and what it becomes.

llhttp refuses by itself what two readers could understand differently: both lengths, repeated lengths,
folded headers, bare line feeds. `read_head` checks once more what it lets through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httptools

from suffice.errors import HeadersTooLarge, InvalidRequest, RequestError, RequestTooLarge
from suffice.gateway.exchange import Exchange
from suffice.gateway.repeat import Repeat
from suffice.gateway.requests import read_head, without_upgrade
from suffice.gateway.wire import Header

if TYPE_CHECKING:
    from suffice.gateway.connection import Connection
    from suffice.gateway.limits import Limits

BETWEEN: Final = 0
"""No part of a further request has been read."""
HEAD: Final = 1
BODY: Final = 2
DEAF: Final = 3
"""What still comes is thrown away: the connection is about to end."""

NEVER: Final = float("inf")
_MOST_MISSES: Final = 3
"""A connection whose heads differed so often is not expected to repeat one."""


class Reader:
    """Feeds bytes to the parser and hands each request to the connection as soon as its head is there."""

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self.state = BETWEEN
        self.exchange: Exchange | None = None
        """Its body is still arriving."""
        self.refusal: RequestError | None = None
        """Why nothing more can be read."""
        self.received = 0
        """Of the body; once deaf, of what was thrown away."""
        self._connection = connection
        self._limits = limits
        self._headers: list[Header] = []
        self._target = b""
        self._head_bytes = 0
        self._is_long = False
        """Whether the head may be longer than it should be: it came in parts, or with a lot else."""
        self._body_at = 0.0
        self._raw = 0
        self._plain_head = b""
        """Of a request that asks for another protocol, as if it did not."""
        self._scope: dict[str, Any] | None = None
        """Of the last request, if another one may follow it."""
        self._repeat: Repeat | None = None
        self._n_misses = 0
        self._parser: Any = httptools.HttpRequestParser(self)

    def close(self) -> None:
        """Let go of the parser, which holds on to this object."""
        self.state = DEAF
        self.exchange = self._parser = None

    def feed(self, data: bytes) -> None:
        """Read what has come."""
        before = self.state
        if before == BETWEEN and self._repeat is not None and self._is_repeated(self._repeat, data):
            return
        self._is_long = before == HEAD or len(data) > self._limits.header_bytes
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # No other protocol is spoken here. llhttp takes what follows for that protocol, the body too:
            # the same request is read again without its wish.
            head, self._plain_head = self._plain_head, b""
            self._parser = httptools.HttpRequestParser(self)
            self.feed(head + data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            if self.refusal is None and self.state != DEAF:
                self.refusal = InvalidRequest(f"not a valid HTTP/1.1 request: {error}")
        if self.refusal is not None:
            self.state = DEAF
        elif self.state == HEAD:
            self._count_head(len(data))
        elif self.state == BODY:
            self._count_body(len(data) if before == BODY else 0)
        elif before == BETWEEN and self._scope is not None and self._n_misses < _MOST_MISSES:
            self._n_misses += 1
            self._repeat = Repeat.of(data, self._scope)

    def _is_repeated(self, repeat: Repeat, data: bytes) -> bool:
        """Read one whole request of the kind that was read before; False if it is another one."""
        found = repeat.read(data, self._limits.body_bytes)
        if found is None:
            return False
        exchange = Exchange(self._connection, found[0], True)
        exchange.body, exchange.is_complete = found[1], True
        self._connection.deadline = NEVER
        self._connection.arrived(exchange)
        return True

    def _count_head(self, n_bytes: int) -> None:
        """An unfinished head: its time runs from its first bytes, its size is bounded."""
        if self._head_bytes < 0:
            self._head_bytes = 0
            self._connection.deadline = self._connection.loop.time() + self._limits.header_s
            return
        self._head_bytes += n_bytes
        if self._head_bytes > self._limits.header_bytes:
            self.refusal = _head_too_large(self._limits)

    def _count_body(self, n_bytes: int) -> None:
        """An unfinished body: every received byte buys a little time."""
        self._raw += n_bytes
        # Chunk headers, extensions and trailers are thrown away, but not without end.
        if self._raw > self._limits.header_bytes + 16 * self.received:
            self.refusal = RequestTooLarge("the chunks of the body hold more framing than data")
        self._connection.deadline = self._body_at + self.received / self._limits.body_bytes_per_s

    # httptools callbacks; an exception in one of them ends `feed_data`

    def on_message_begin(self) -> None:
        if self.state == DEAF or not self._connection.has_room():
            self.state = DEAF
            raise _Stop
        self.state = HEAD
        self._target = b""
        self._head_bytes = -1

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        parser, connection = self._parser, self._connection
        headers = [(name.lower(), value) for name, value in self._headers]
        self._headers = []  # trailers go here, and are thrown away
        fields = dict(headers)
        method = parser.get_method()
        if b"upgrade" in fields and parser.should_upgrade() and method != b"CONNECT":
            self._plain_head = without_upgrade(method, self._target, headers)
            return
        try:
            self._check_limits(headers, fields)
            scope = read_head(method, self._target, parser.get_http_version(), headers, fields)
        except RequestError as error:
            self.refusal = error
            raise
        scope.update(connection.ends)
        self.state = BODY
        self.received = self._raw = 0
        self._body_at = connection.server.now + self._limits.body_s
        keeps_alive = parser.should_keep_alive()
        self._scope = scope if keeps_alive else None
        self.exchange = exchange = Exchange(connection, scope, keeps_alive)
        if b"expect" in fields and scope["http_version"] == "1.1":
            exchange.expects_continue = fields[b"expect"].lower() == b"100-continue"
        connection.arrived(exchange)

    def _check_limits(self, headers: list[Header], fields: dict[bytes, bytes]) -> None:
        limits = self._limits
        if self._is_long:
            n_bytes = len(self._target) + sum(len(name) + len(value) + 4 for name, value in headers)
            if n_bytes > limits.header_bytes:
                raise _head_too_large(limits)
        if len(headers) > limits.headers:
            raise HeadersTooLarge(f"more than {limits.headers} headers; send fewer")
        length = fields.get(b"content-length")
        if length is not None and (len(length) > 18 or int(length) > limits.body_bytes):
            raise _body_too_large(limits)

    def on_body(self, data: bytes) -> None:
        self.received += len(data)
        if self.received > self._limits.body_bytes:
            self.refusal = _body_too_large(self._limits)
            raise self.refusal
        exchange = self.exchange
        if exchange is not None:
            exchange.feed(data)

    def on_message_complete(self) -> None:
        self.state = BETWEEN
        if self._plain_head:
            return
        self._connection.deadline = NEVER
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            if not exchange.keeps_alive:
                self.state = DEAF
                self.received = 0
            exchange.complete()


class _Stop(Exception):
    """Ends `feed_data` where nothing more is to be read."""


def _head_too_large(limits: Limits) -> HeadersTooLarge:
    return HeadersTooLarge(f"request line and headers exceed {limits.header_bytes} bytes; send less")


def _body_too_large(limits: Limits) -> RequestTooLarge:
    return RequestTooLarge(f"the body exceeds {limits.body_bytes} bytes; send a smaller request")
