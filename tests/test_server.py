"""The HTTP server on real sockets: framing, limits, time, and what ends a connection."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suffice.errors import ConfigError
from suffice.gateway import Limits, Server
from suffice.gateway.exchange import Application, Receive, Scope, Send
from suffice.gateway.requests import CANCELS
from suffice.gateway.server import bind, loop_factory
from suffice.gateway.wire import date_line, header_block

QUICK = Limits(header_s=0.15, body_s=0.15, idle_s=0.15, write_s=0.15, linger_s=0.1, grace_s=0.3)
HOST = b"Host: test\r\n"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


async def whole_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request", message
        body += message["body"]
        more = message["more_body"]
    return body


async def reply(send: Send, body: bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it was asked."""
    body = await whole_body(receive)
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "version": scope["http_version"],
        "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": body.decode("latin-1"),
    }
    await reply(send, json.dumps(seen).encode(), 200, (b"content-type", b"application/json"))


def http_only(application: Application) -> Application:
    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await application(scope, receive, send)

    return guarded


@contextlib.asynccontextmanager
async def serving(
    application: Application = echo,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
    *,
    has_lifespan: bool = False,
) -> AsyncIterator[tuple[Server, int]]:
    application = application if has_lifespan else http_only(application)
    server = Server(application, limits or Limits(grace_s=0.2), tls)
    with bind("127.0.0.1", 0) as sock:
        await server.start([sock])
        try:
            yield server, sock.getsockname()[1]
        finally:
            await server.close()
    assert not server.tasks
    assert not server.connections


def run(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def response(self, *, is_head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body), whatever the framing."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        if is_head or status in {100, 204, 304}:
            return status, headers, b""
        if "content-length" in headers:
            return status, headers, await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return status, headers, await self.reader.read()
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return status, headers, body

    async def is_closed(self, within_s: float = 3.0) -> bool:
        """Whether the server ends the connection, having sent nothing more."""
        try:
            async with asyncio.timeout(within_s):
                return await self.reader.read() == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


@contextlib.asynccontextmanager
async def connected(port: int, **options: Any) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(Exception):
            await writer.wait_closed()


def exchange(
    data: bytes, application: Application = echo, limits: Limits | None = None, **options: Any
) -> Any:
    """The first response to some bytes, and whether the connection ends after it."""

    async def main() -> Any:
        async with serving(application, limits, **options) as (_, port), connected(port) as client:
            await client.send(data)
            status, headers, body = await client.response()
            ends = headers.get("connection") == "close"
            if ends:
                assert await client.is_closed()
            return status, headers, body, ends

    return run(main())


def post(body: bytes, *headers: bytes, version: bytes = b"1.1") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST /p HTTP/%b\r\n%bContent-Length: %d\r\n%b\r\n%b" % (version, HOST, len(body), lines, body)


def test_a_request_and_its_answer() -> None:
    status, headers, body, ends = exchange(b"GET /a%20b?c=d HTTP/1.1\r\nHost: h\r\nX-Thing: 1\r\n\r\n")
    assert (status, ends) == (200, False)
    assert headers["content-type"] == "application/json"
    assert "date" in headers
    assert json.loads(body) == {
        "method": "GET",
        "path": "/a b",
        "query": "c=d",
        "version": "1.1",
        "headers": [["host", "h"], ["x-thing", "1"]],
        "body": "",
    }


def test_keep_alive_serves_many_requests() -> None:
    async def main() -> None:
        async with serving() as (server, port), connected(port) as client:
            for number in range(5):
                await client.send(post(b"%d" % number))
                _, headers, body = await client.response()
                assert json.loads(body)["body"] == str(number)
                assert "connection" not in headers
            assert len(server.connections) == 1

    run(main())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def slow_first(scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        await asyncio.sleep(0.05 if body == b"0" else 0)
        await reply(send, body)

    async def main() -> None:
        async with serving(slow_first) as (_, port), connected(port) as client:
            await client.send(b"".join(post(b"%d" % number) for number in range(20)))
            await asyncio.sleep(0.01)
            await client.send(b"".join(post(b"%d" % number) for number in range(20, 40)))
            for number in range(40):
                assert (await client.response())[2] == b"%d" % number

    run(main())


def test_more_pipelined_requests_than_may_wait_end_the_connection() -> None:
    async def main() -> None:
        async with serving(limits=Limits(pipelined=3, grace_s=0.1)) as (_, port), connected(port) as client:
            await client.send(b"".join(post(b"%d" % number) for number in range(20)))
            answered = 0
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    assert json.loads((await client.response())[2])["body"] == str(answered)
                    answered += 1
            assert answered == 4

    run(main())


def test_bodies_in_chunks_and_answers_in_chunks() -> None:
    async def shout(scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        await send({"type": "http.response.start", "status": 200})
        for letter in body.decode().upper():
            await send({"type": "http.response.body", "body": letter.encode(), "more_body": True})
        await send({"type": "http.response.body"})

    chunked = CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: r\r\n\r\n"
    status, headers, body, ends = exchange(chunked, shout)
    assert (status, body, ends) == (200, b"ABCDE", False)
    assert headers["transfer-encoding"] == "chunked"
    assert "content-length" not in headers


def test_http_1_0() -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        await send({"type": "http.response.body", "body": b"c"})

    status, headers, body, _ = exchange(b"GET / HTTP/1.0\r\n\r\n", stream)
    assert (status, body) == (200, b"abc")
    assert "transfer-encoding" not in headers

    status, headers, _, ends = exchange(b"GET / HTTP/1.0\r\n\r\n")
    assert (status, ends) == (200, True)
    status, headers, _, ends = exchange(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (status, ends, headers["connection"]) == (200, False, "keep-alive")


def test_head_and_no_content_have_no_body() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"x" * 10, 204 if scope["path"] == "/204" else 200)

    async def main() -> None:
        async with serving(application) as (_, port), connected(port) as client:
            await client.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert (await client.response(is_head=True))[1]["content-length"] == "10"
            await client.send(b"GET /204 HTTP/1.1\r\nHost: h\r\n\r\n")
            status, headers, _ = await client.response()
            assert status == 204
            assert "content-length" not in headers
            await client.send(GET + b"\r\n")
            assert (await client.response())[2] == b"x" * 10

    run(main())


def test_expect_continue() -> None:
    async def main() -> None:
        async with serving() as (_, port), connected(port) as client:
            await client.send(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            assert (await client.response())[0] == 100
            await client.send(b"hi")
            assert json.loads((await client.response())[2])["body"] == "hi"

    run(main())


def test_expect_continue_is_not_said_to_a_refused_request() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"no", 401)

    status, _, _, ends = exchange(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n", refuse)
    assert (status, ends) == (401, True)


def test_an_answer_before_the_body_reaches_a_client_that_is_still_sending() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"no", 401)

    async def main() -> None:
        async with serving(refuse) as (_, port), connected(port) as client:
            await client.send(POST + b"Content-Length: 500000\r\n\r\n")
            for _ in range(5):
                with contextlib.suppress(ConnectionError):
                    await client.send(b"x" * 100_000)
            status, headers, _ = await client.response()
            assert (status, headers["connection"]) == (401, "close")
            assert await client.is_closed()

    run(main())


def test_an_upgrade_is_not_taken_and_does_no_harm() -> None:
    async def main() -> None:
        async with serving() as (_, port), connected(port) as client:
            upgrade = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: x")
            await client.send(post(b"abc", *upgrade) + post(b"next"))
            assert json.loads((await client.response())[2])["body"] == "abc"
            assert json.loads((await client.response())[2])["body"] == "next"

    run(main())


SMUGGLING = {
    "both lengths": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both, other order": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "the same length twice": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "length with a sign": POST + b"Content-Length: +3\r\n\r\nabc",
    "negative length": POST + b"Content-Length: -3\r\n\r\nabc",
    "hexadecimal length": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "empty length": POST + b"Content-Length:\r\n\r\nabc",
    "length with a space": POST + b"Content-Length: 3 4\r\n\r\nabc",
    "overflowing length": POST + b"Content-Length: 99999999999999999999\r\n\r\nabc",
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding with a tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "coding twice": CHUNKED[:-2] + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded header": GET + b"X: a\r\n b\r\n\r\n",
    "folded length": POST + b"Content-Length:\r\n 3\r\n\r\nabc",
    "space before the colon": POST + b"Content-Length : 3\r\n\r\nabc",
    "bare line feeds": b"GET / HTTP/1.1\nHost: h\n\n",
    "one bare line feed": b"GET / HTTP/1.1\r\nHost: h\nX: b\r\n\r\n",
    "bare carriage return": b"GET / HTTP/1.1\r\nHost: h\rX: b\r\n\r\n",
    "nul in a value": GET + b"X: a\x00b\r\n\r\n",
    "header without a name": GET + b": b\r\n\r\n",
    "chunk size with a prefix": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk size with a space": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "overflowing chunk size": CHUNKED + b"fffffffffffffffff\r\na",
    "chunk longer than said": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "line feed in chunks": CHUNKED + b"3\nabc\n0\n\n",
    "line feed in an extension": CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "length in a trailer": CHUNKED + b"0\r\nContent-Length: 4\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two keys": b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
    "version 2": b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
    "version 0.9": b"GET /\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown method": b"FOO / HTTP/1.1\r\nHost: h\r\n\r\n",
    "method of another protocol": b"DESCRIBE / RTSP/1.0\r\nHost: h\r\n\r\n",
    "small letters": b"get / HTTP/1.1\r\nHost: h\r\n\r\n",
    "connect": b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    "control in the target": b"GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
    "not UTF-8 in the target": b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
    "another scheme": b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "nothing known": b"\x00\x01\x02\x03\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", SMUGGLING)
def test_what_two_readers_could_understand_differently_is_refused(name: str) -> None:
    hidden = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    reached = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope["path"])
        await echo(scope, receive, send)

    status, _, body, ends = exchange(SMUGGLING[name] + hidden, application)
    assert (status, ends) == (400, True)
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert "/smuggled" not in reached


def test_header_limits() -> None:
    small = Limits(header_bytes=2000, headers=10, grace_s=0.1)
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(20))
    long = b"X: " + b"a" * 3000 + b"\r\n"
    for headers in (many, long):
        status, _, body, ends = exchange(b"GET / HTTP/1.1\r\n" + HOST + headers + b"\r\n", limits=small)
        assert (status, ends) == (431, True)
        assert json.loads(body)["error"]["code"] == "headers_too_large"
    assert exchange(b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", limits=small)[0] == 431


def test_a_header_that_never_ends_is_refused() -> None:
    async def main() -> None:
        async with (
            serving(limits=Limits(header_bytes=10_000, grace_s=0.1)) as (_, port),
            connected(port) as client,
        ):
            await client.send(b"GET / HTTP/1.1\r\nX: ")
            with contextlib.suppress(ConnectionError):
                for _ in range(40):
                    await client.send(b"a" * 1000)
                    await asyncio.sleep(0.001)
            assert (await client.response())[0] == 431

    run(main())


def test_body_limits() -> None:
    small = Limits(body_bytes=1000, grace_s=0.1)
    assert exchange(post(b"x" * 1000), limits=small)[0] == 200
    status, _, body, ends = exchange(post(b"x" * 1001), limits=small)
    assert (status, ends) == (413, True)
    assert json.loads(body)["error"]["code"] == "request_too_large"
    chunks = b"1f4\r\n" + b"x" * 500 + b"\r\n"
    head = CHUNKED
    assert exchange(head + 2 * chunks + b"0\r\n\r\n", limits=small)[0] == 200
    assert exchange(head + 3 * chunks + b"0\r\n\r\n", limits=small)[0] == 413


def test_chunks_that_are_mostly_framing_are_refused() -> None:
    async def main() -> None:
        async with (
            serving(limits=Limits(header_bytes=5000, grace_s=0.1)) as (_, port),
            connected(port) as client,
        ):
            await client.send(CHUNKED)
            await asyncio.sleep(0.01)
            with contextlib.suppress(ConnectionError):
                for _ in range(30):
                    await client.send(b"1;" + b"a" * 1000 + b"\r\nx\r\n")
                    await asyncio.sleep(0.001)
            assert (await client.response())[0] == 413

    run(main())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost", 408),
        (POST + b"Content-Length: 9\r\n\r\nabc", 408),
        (CHUNKED + b"3\r\na", 408),
    ],
)
def test_a_slow_request_is_told_so(sent: bytes, status: int) -> None:
    start = time.monotonic()
    found, _, body, ends = exchange(sent, limits=QUICK)
    assert (found, ends) == (status, True)
    assert json.loads(body)["error"]["code"] == "request_timeout"
    assert time.monotonic() - start < 1.5


def test_slow_loris_bytes_buy_no_time_for_headers() -> None:
    async def main() -> None:
        async with serving(limits=QUICK) as (_, port), connected(port) as client:
            start = time.monotonic()
            await client.send(GET)
            answer = asyncio.ensure_future(client.response())
            while not answer.done():
                await client.send(b"X: a\r\n")
                await asyncio.sleep(0.02)
            assert (await answer)[0] == 408
            assert time.monotonic() - start < 1.0

    run(main())


def test_silent_and_idle_connections_are_closed() -> None:
    async def main() -> None:
        async with serving(limits=QUICK) as (server, port):
            async with connected(port) as silent, connected(port) as idle:
                await idle.send(post(b""))
                await idle.response()
                assert await silent.is_closed(1.0)
                assert await idle.is_closed(1.0)
            assert not server.connections

    run(main())


def test_a_client_that_does_not_read_is_cut() -> None:
    ended = asyncio.Event()

    async def flood(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        finally:
            ended.set()

    async def main() -> None:
        async with serving(flood, QUICK) as (server, port):
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(GET + b"\r\n")
                async with asyncio.timeout(3):
                    await ended.wait()
                await asyncio.sleep(0.01)
                assert not server.connections

    run(main())


def test_back_pressure_on_a_body_that_is_not_read() -> None:
    go = asyncio.Event()

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await reply(send, b"%d" % len(await whole_body(receive)))

    async def main() -> None:
        body = b"x" * 8_000_000
        async with serving(late, Limits(body_s=0.1, grace_s=0.1)) as (_, port), connected(port) as client:
            sending = asyncio.ensure_future(client.send(post(body)))
            await asyncio.sleep(0.3)
            assert not sending.done()  # and the wait was not the client's fault
            go.set()
            await sending
            assert (await client.response())[2] == b"%d" % len(body)

    run(main())


def test_the_application_is_cancelled_when_the_client_goes() -> None:
    seen = []

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        assert CANCELS in scope["extensions"]
        if scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append((scope["path"], (await receive())["type"]))
            raise

    async def main() -> None:
        async with serving(wait) as (server, port):
            for path in (b"/whole", b"/stream"):
                async with connected(port) as client:
                    await client.send(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path)
                    await asyncio.sleep(0.02)
                start = time.monotonic()
                while server.tasks:
                    await asyncio.sleep(0.001)
                assert time.monotonic() - start < 1.0

    run(main())
    assert seen == [("/whole", "http.disconnect"), ("/stream", "http.disconnect")]


def test_an_application_may_wait_for_the_end_itself() -> None:
    async def watch(scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await reply(send, b"done")
        assert (await waiting)["type"] == "http.disconnect"

    assert exchange(post(b""), watch)[2] == b"done"


@pytest.mark.parametrize("path", ["/raises", "/says nothing", "/headers", "/order", "/status"])
def test_a_failing_application_gives_500_and_no_secret(path: str, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/raises":
            raise ValueError("sk-secret-canary")
        if scope["path"] == "/headers":
            await reply(send, b"", 200, (b"x", b"a\r\nset-cookie: sk-secret-canary"))
        if scope["path"] == "/order":
            await send({"type": "http.response.body", "body": b"sk-secret-canary"})
        if scope["path"] == "/status":
            await reply(send, b"abc", 200, (b"content-length", b"9"))

    with caplog.at_level(logging.DEBUG):
        status, _, body, ends = exchange(
            b"GET " + path.replace(" ", "-").encode() + b" HTTP/1.1\r\nHost: h\r\n\r\n", fail
        )
    assert (status, ends) == (500, True)
    assert json.loads(body)["error"]["type"] == "internal_error"
    assert "canary" not in caplog.text + body.decode()


def test_a_broken_stream_is_cut_so_that_it_does_not_look_whole(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise KeyError

    async def main() -> bytes:
        async with serving(breaks) as (_, port), connected(port) as client:
            await client.send(GET + b"\r\n")
            with contextlib.suppress(ConnectionError):
                return await client.reader.read()
            return b""

    assert not run(main()).endswith(b"0\r\n\r\n")
    assert "KeyError at test_server.py:" in caplog.text


def test_too_many_connections() -> None:
    async def main() -> None:
        async with (
            serving(limits=Limits(connections=2, grace_s=0.1)) as (_, port),
            connected(port) as first,
            connected(port),
            connected(port) as third,
        ):
            status, _, body = await third.response()
            assert (status, json.loads(body)["error"]["code"]) == (503, "overloaded")
            await first.send(post(b"x"))
            assert (await first.response())[0] == 200

    run(main())


def test_draining_finishes_what_is_being_answered() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.15)
        await reply(send, b"done")

    async def main() -> None:
        async with (
            serving(slow, Limits(grace_s=5)) as (server, port),
            connected(port) as busy,
            connected(port) as idle,
        ):
            await busy.send(GET + b"\r\n")
            await asyncio.sleep(0.05)
            closing = asyncio.ensure_future(server.close())
            await asyncio.sleep(0.02)
            with pytest.raises(ConnectionError):
                await asyncio.open_connection("127.0.0.1", port)
            await idle.send(GET + b"\r\n")  # it was on its way
            for client in (busy, idle):
                _, headers, body = await client.response()
                assert (body, headers["connection"]) == (b"done", "close")
            await closing
            await asyncio.sleep(0)

    run(main())


def test_after_the_grace_requests_are_cancelled() -> None:
    async def forever(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(100)

    async def main() -> None:
        async with serving(forever, Limits(grace_s=0.1)) as (server, port), connected(port) as client:
            await client.send(GET + b"\r\n")
            await asyncio.sleep(0.05)
            start = time.monotonic()
            closing = asyncio.ensure_future(server.close())
            assert (await client.response())[0] == 503
            await closing
            assert time.monotonic() - start < 1.0

    run(main())


def test_lifespan() -> None:
    told = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await reply(send, scope["state"]["name"].encode())
            return
        scope["state"]["name"] = "set at start"
        for phase in ("startup", "shutdown"):
            told.append((await receive())["type"])
            await send({"type": f"lifespan.{phase}.complete"})

    assert exchange(post(b""), application, has_lifespan=True)[2] == b"set at start"
    assert told == ["lifespan.startup", "lifespan.shutdown"]


def test_an_application_that_cannot_start() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no models"})

    with pytest.raises(ConfigError, match="no models"):
        exchange(post(b""), application, has_lifespan=True)


def test_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl makes no certificate here")
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(certificate, key)
    ours = ssl.create_default_context(cafile=str(certificate))

    async def scheme(scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await reply(send, scope["scheme"].encode())

    async def main() -> None:
        async with (
            serving(scheme, tls=theirs) as (_, port),
            connected(port, ssl=ours, server_hostname="localhost") as client,
        ):
            for _ in range(2):
                await client.send(post(b"x" * 100_000))
                assert (await client.response())[2] == b"https"
            await client.send(b"rubbish\r\n\r\n")
            assert (await client.response())[0] == 400

    run(main())


REQUESTS = (
    post(b"hello"),
    CHUNKED + b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
    b"GET /x?y=z HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nX-Long: " + b"v" * 300 + b"\r\n\r\n",
    POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    GET + b"X : b\r\n\r\n",
)


def test_any_cut_of_the_bytes_gives_the_same_answer() -> None:
    sent = [(number, request) for number, request in enumerate(REQUESTS)]
    expected = {number: exchange(request)[::2] for number, request in sent}

    async def cut(port: int, number: int, cuts: list[int]) -> Any:
        request = REQUESTS[number]
        places = sorted({place % len(request) for place in cuts})
        pieces = [request[a:b] for a, b in zip([0, *places], [*places, len(request)], strict=True)]
        async with connected(port) as client:
            for piece in pieces:
                client.writer.write(piece)
                await asyncio.sleep(0)
                await asyncio.sleep(0.0005)
            status, _, body = await client.response()
            return status, body

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        server = Server(http_only(echo), Limits(grace_s=0.1))
        with bind("127.0.0.1", 0) as sock:
            runner.run(server.start([sock]))
            port = sock.getsockname()[1]

            @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
            @given(st.sampled_from(range(len(REQUESTS))), st.lists(st.integers(0, 10_000), max_size=12))
            def check(number: int, cuts: list[int]) -> None:
                assert runner.run(cut(port, number, cuts)) == expected[number]

            check()
            runner.run(server.close())


HEADS = (
    b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\nX: y\r\n\r\n",
    b"POST /a HTTP/1.1\r\ncontent-length:%d\r\nHost: h\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: h\r\nX: \r\ncontent-length: %d\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: h\r\nX: content-length: 3\r\nContent-Length: %d\r\n\r\n",
)


def test_repeated_heads_are_read_like_new_ones() -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        server = Server(http_only(echo), Limits(grace_s=0.1))
        with bind("127.0.0.1", 0) as sock:
            runner.run(server.start([sock]))
            port = sock.getsockname()[1]

            @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
            @given(
                st.sampled_from(HEADS),
                st.lists(
                    st.tuples(st.binary(max_size=30), st.lists(st.integers(0, 120), max_size=2)), max_size=8
                ),
            )
            def check(head: bytes, requests: list[tuple[bytes, list[int]]]) -> None:
                runner.run(repeat(port, head, requests))

            check()
            runner.run(server.close())


async def repeat(port: int, head: bytes, requests: list[tuple[bytes, list[int]]]) -> None:
    async with connected(port) as client:
        for body, cuts in requests:
            request = head % len(body) + body
            places = sorted({place % len(request) for place in cuts})
            for start, end in zip([0, *places], [*places, len(request)], strict=True):
                client.writer.write(request[start:end])
                await asyncio.sleep(0.0005 if places else 0)
            _, _, answered = await client.response()
            seen = json.loads(answered)
            assert seen["body"] == body.decode("latin-1")
            assert dict(seen["headers"])["content-length"] == str(len(body))


@pytest.mark.parametrize(
    "last",
    [
        b"Content-Length: +3\r\n\r\nabc",
        b"Content-Length: 3 \r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
        b"Content-Length: 0x3\r\n\r\nabc",
        b"Content-Length: \r\n\r\nabc",
        b"Content-Length: 3\n\r\n\r\nabc",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_head_that_only_resembles_the_last_one_is_checked(last: bytes) -> None:
    async def main() -> None:
        async with serving() as (_, port), connected(port) as client:
            for _ in range(3):
                await client.send(POST + b"Content-Length: 3\r\n\r\nabc")
                assert (await client.response())[0] == 200
            await client.send(POST + last)
            status, _, body = await client.response()
            if status == 200:  # spaces after a value mean nothing
                assert json.loads(body)["body"] == "abc"
                status, _, _ = await client.response()
            assert status == 400
            assert await client.is_closed()

    run(main())


def test_half_a_request_line_does_not_hide_behind_a_repeated_head() -> None:
    async def main() -> None:
        async with serving() as (_, port), connected(port) as client:
            for _ in range(2):
                await client.send(POST + b"Content-Length: 3\r\n\r\nabc")
                assert (await client.response())[0] == 200
            await client.send(b"PO")
            await asyncio.sleep(0.02)
            await client.send(POST + b"Content-Length: 3\r\n\r\nabc")
            assert (await client.response())[0] == 400

    run(main())


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=400))
def test_garbage_never_breaks_the_server(data: bytes) -> None:
    async def main() -> None:
        limits = Limits(header_s=0.08, body_s=0.08, linger_s=0.05, grace_s=0.05)
        async with serving(limits=limits) as (_, port), connected(port) as client:
            await client.send(data + b"\r\n\r\n")
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                status, _, _ = await client.response()
                assert status in {200, 400, 408, 413, 431}

    run(main())


def test_header_blocks_hold_one_line_each() -> None:
    assert header_block([(b"a", b"b"), (b"c", b"d")]) == b"a: b\r\nc: d\r\n"
    for value in (b"a\nb", b"a\rb", b"a\r\nb"):
        with pytest.raises(ValueError, match="line break"):
            header_block([(b"a", value)])


def test_dates_are_those_of_rfc_9110() -> None:
    assert date_line(784111777) == b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def test_an_address_in_use_is_explained() -> None:
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ConfigError, match=f"{port}.*in use"):
            bind("127.0.0.1", port)
    with pytest.raises(ConfigError, match="no address"):
        bind("256.1.1.1", 0)


SCRIPT = """
import os, sys
from suffice.gateway import Limits, serve
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        if "fails" in sys.argv:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no models"})
            return
        raise NotImplementedError
    if scope["path"] == "/die":
        os._exit(3)
    if scope["path"] == "/slow":
        import asyncio
        await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"%d" % os.getpid()})
serve(application, "127.0.0.1", 0, workers=int(sys.argv[1]), limits=Limits(grace_s=2),
      on_ready=lambda port: print(port, flush=True))
"""


@contextlib.contextmanager
def started(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    source = Path(__file__).parent.parent / "src"
    environment = {**os.environ, "PYTHONPATH": str(source)}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def fetch(port: int, path: str = "/") -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while piece := sock.recv(65_536):
            data += piece
    return data.partition(b"\r\n\r\n")[2]


def test_a_signal_ends_the_server_after_what_is_in_flight() -> None:
    with started("1") as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        answers: list[bytes] = []
        asking = threading.Thread(target=lambda: answers.append(fetch(port, "/slow")))
        asking.start()
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        asking.join(5)
        assert process.wait(5) == 0
        assert answers == [b"%d" % process.pid]


def test_workers_share_the_port_and_are_replaced() -> None:
    with started("2") as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        first = {fetch(port) for _ in range(30)}
        assert b"%d" % process.pid not in first
        with contextlib.suppress(ConnectionError):
            fetch(port, "/die")
        deadline = time.monotonic() + 5
        while not {fetch(port) for _ in range(10)} - first and time.monotonic() < deadline:
            time.sleep(0.05)
        assert {fetch(port) for _ in range(30)} - first
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert "ended with 3" in process.communicate()[1]


def test_workers_that_cannot_start_end_the_command() -> None:
    with started("2", "fails") as process:
        assert process.wait(5) == 1
        assert "no models" in process.communicate()[1]


def test_workers_do_not_outlive_their_parent() -> None:
    with started("2") as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert fetch(port)
        process.kill()
        process.wait(5)
        deadline = time.monotonic() + 5
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline:
                fetch(port)
                time.sleep(0.02)
        assert time.monotonic() < deadline
