"""The HTTP client against a server that misbehaves in every way, on both event loops."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import scenes
from leaks import LOOPS, run_clean
from suffice.errors import (
    ConfigError,
    ProviderError,
    ProviderGarbage,
    ProviderTimeout,
    ProviderUnavailable,
)
from suffice.providers.connection import Limits
from suffice.providers.http import HttpClient, Response
from suffice.providers.target import Target, Timeouts
from upstream import Upstream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return request.param


async def until(condition: Callable[[], bool], within_s: float = 2.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


def target_of(upstream: Upstream) -> Target:
    return Target.parse(upstream.url + "/x", {"Content-Type": "application/json"}, label="small")


def ask(
    *plays: scenes.Scene,
    loop: str = "asyncio",
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
) -> tuple[list[Response | ProviderError], Upstream, float]:
    """One request per scene through one client."""
    results: list[Response | ProviderError] = []
    upstream = Upstream()
    took_s = 0.0

    async def main() -> None:
        nonlocal took_s
        upstream.plays(*plays)
        async with upstream, HttpClient(limits=limits or Limits()) as http:
            target = target_of(upstream)
            started_s = time.perf_counter()
            for _ in plays:
                try:
                    results.append(await http.request(target, b'{"a": 1}', timeouts or Timeouts()))
                except ProviderError as error:
                    results.append(error)
            took_s = time.perf_counter() - started_s

    run_clean(main, loop=loop)
    return results, upstream, took_s


def test_good_responses_share_one_connection(loop: str) -> None:
    chunked = CHUNKED + b"1\r\no\r\n1;x=y\r\nk\r\n0\r\nT: 1\r\n\r\n"
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
    results, upstream, _ = ask(
        *(scenes.raw(data) for data in (OK, chunked, early)),
        scenes.raw(*(chunked[i : i + 1] for i in range(len(chunked)))),
        loop=loop,
    )
    assert [(r.status, r.body) for r in results if isinstance(r, Response)] == [(200, b"ok")] * 4
    assert upstream.n_connections == 1
    request = upstream.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/v1/x", b'{"a": 1}')
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["host"] == f"127.0.0.1:{upstream.port}"


def test_headers_are_lower_case_and_redirects_are_not_followed() -> None:
    (response,), upstream, _ = ask(
        scenes.raw(b"HTTP/1.1 302 Found\r\nLOCATION: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
    )
    assert isinstance(response, Response)
    assert response.status == 302
    assert response.headers[b"location"] == b"http://169.254.169.254/"
    assert len(upstream.requests) == 1


def test_body_until_close(loop: str) -> None:
    (response, _), upstream, _ = ask(
        scenes.hang_up(b"HTTP/1.1 200 OK\r\n\r\nuntil the end"), scenes.raw(OK), loop=loop
    )
    assert isinstance(response, Response)
    assert response.body == b"until the end"
    assert upstream.n_connections == 2


def test_connection_close_is_honoured(loop: str) -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    results, upstream, _ = ask(scenes.raw(closing), scenes.raw(OK), loop=loop)
    assert all(isinstance(result, Response) for result in results)
    assert upstream.n_connections == 2


GARBAGE = {
    "not http": b"SSH-2.0-OpenSSH\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "length and chunked": CHUNKED.replace(b"\r\n", b"\r\nContent-Length: 2\r\n", 1) + b"0\r\n\r\n",
    "bad chunk size": CHUNKED + b"zz\r\nok\r\n",
    "switching protocols": b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nxx",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    "long header": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 80_000,
    "long body": b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000,
    "long trailers": CHUNKED + b"0\r\n" + b"X: y\r\n" * 30_000,
    "compressed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(name: str, loop: str) -> None:
    limits = Limits(max_body_bytes=100_000)
    (result, after), _, _ = ask(scenes.raw(GARBAGE[name]), scenes.raw(OK), loop=loop, limits=limits)
    assert isinstance(result, ProviderGarbage), result
    assert str(result).startswith("small: ")
    assert isinstance(after, Response)


def test_more_than_was_asked_for_is_not_the_next_answer(loop: str) -> None:
    """Bytes after a response must never be read as the next caller's response."""
    for extra in (OK, b"HTTP/1.1 200", b"\x00garbage"):
        results, upstream, _ = ask(scenes.raw(OK + extra), scenes.raw(OK.replace(b"ok", b"me")), loop=loop)
        assert [r.body for r in results if isinstance(r, Response)] == [b"ok", b"me"]
        assert upstream.n_connections == 2


def test_late_unasked_bytes_close_a_kept_connection() -> None:
    async def main() -> None:
        upstream = Upstream()
        upstream.plays(scenes.raw(OK, OK, delay_s=0.03), scenes.raw(OK.replace(b"ok", b"me")))
        async with upstream, HttpClient() as http:
            assert (await http.request(target_of(upstream), b"", Timeouts())).body == b"ok"
            await until(lambda: http.n_open == 0)
            assert (await http.request(target_of(upstream), b"", Timeouts())).body == b"me"

    run_clean(main)


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        (scenes.hang_up(), ProviderUnavailable),
        (scenes.hang_up(reset=True), ProviderUnavailable),
        (scenes.hang_up(b"HTTP/1.1 200 OK\r\nContent-"), ProviderUnavailable),
        (scenes.hang_up(OK[:-1]), ProviderGarbage),
        (
            scenes.hang_up(CHUNKED + b"2\r\nok\r\n"),
            ProviderGarbage,
        ),
        (scenes.reset_after_headers(), ProviderUnavailable),
    ],
)
def test_lost_connections(scene: scenes.Scene, kind: type[ProviderError], loop: str) -> None:
    (result,), upstream, _ = ask(scene, loop=loop)
    assert type(result) is kind
    assert len(upstream.requests) == 1


def test_refused_and_unknown_host(loop: str) -> None:
    async def main() -> None:
        async with HttpClient() as http:
            for url in (scenes.refused_url(), "http://no-such-host.invalid/"):
                with pytest.raises(ProviderUnavailable, match="no connection to"):
                    await http.request(Target.parse(url), b"", Timeouts())

    run_clean(main, loop=loop)


@pytest.mark.parametrize(
    ("scene", "timeouts", "limit_s"),
    [
        (scenes.stall(), Timeouts(total_s=0.3), 0.3),
        (scenes.stall(), Timeouts(first_byte_s=0.2), 0.2),
        (scenes.stall(OK[:-1]), Timeouts(chunk_s=0.2), 0.2),
        (scenes.drip(delay_s=0.02), Timeouts(total_s=0.4, chunk_s=0.2), 0.4),
    ],
)
def test_deadlines(scene: scenes.Scene, timeouts: Timeouts, limit_s: float, loop: str) -> None:
    (result,), upstream, took_s = ask(scene, timeouts=timeouts, loop=loop)
    assert type(result) is ProviderTimeout
    assert limit_s <= took_s + 0.01
    assert took_s <= limit_s + 0.25
    assert upstream.n_open == 0


def test_a_silent_handshake_is_a_connect_timeout() -> None:
    async def main() -> None:
        async with Upstream() as upstream, HttpClient() as http:
            target = Target.parse(f"https://127.0.0.1:{upstream.port}/")
            http.tls()
            started_s = time.perf_counter()
            with pytest.raises(ProviderTimeout, match="no connection to"):
                await http.request(target, b"", Timeouts(connect_s=0.2))
            assert time.perf_counter() - started_s < 0.45

    run_clean(main)


def test_speaking_plain_text_to_tls_is_unavailable() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, HttpClient() as http:
            with pytest.raises(ProviderUnavailable):
                await http.request(Target.parse(f"https://127.0.0.1:{port}/"), b"", Timeouts())

    run_clean(main)


def test_a_stale_connection_is_replaced_once(loop: str) -> None:
    async def main() -> None:
        upstream = Upstream()
        upstream.plays(scenes.raw(OK), scenes.hang_up(), scenes.raw(OK), scenes.hang_up())
        async with upstream, HttpClient() as http:
            assert (await http.request(target_of(upstream), b"", Timeouts())).status == 200
            # The kept connection closes as the request arrives: sent again on a new one.
            assert (await http.request(target_of(upstream), b"", Timeouts())).status == 200
            assert (upstream.n_connections, len(upstream.requests)) == (2, 3)
            # ... but only once.
            with pytest.raises(ProviderUnavailable):
                await http.request(target_of(upstream), b"", Timeouts())
            assert (upstream.n_connections, len(upstream.requests)) == (3, 5)

    run_clean(main, loop=loop)


def test_no_second_try_once_a_byte_has_come(loop: str) -> None:
    (_, result), upstream, _ = ask(scenes.raw(OK), scenes.hang_up(b"H"), loop=loop)
    assert type(result) is ProviderUnavailable
    assert len(upstream.requests) == 2


def test_a_cancelled_request_closes_its_connection(loop: str) -> None:
    async def main() -> None:
        upstream = Upstream()
        upstream.plays(scenes.stall())
        async with upstream, HttpClient() as http:
            task = asyncio.ensure_future(http.request(target_of(upstream), b"", Timeouts()))
            await asyncio.sleep(0.05)
            task.cancel()
            assert await upstream.hangups(1, within_s=1.0)
            with pytest.raises(asyncio.CancelledError):
                await task

    run_clean(main, loop=loop)


def test_cancelling_while_connecting_leaves_nothing(loop: str) -> None:
    async def main() -> None:
        async with Upstream() as upstream, HttpClient() as http:
            for n_steps in range(6):
                task = asyncio.ensure_future(http.request(target_of(upstream), b"{}", Timeouts()))
                for _ in range(n_steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    run_clean(main, loop=loop)


def test_streams_give_bytes_as_they_come(loop: str) -> None:
    async def main() -> None:
        upstream = Upstream()
        upstream.plays(scenes.sse([b"one", b"two", b"three"], delay_s=0.03, done=False))
        async with upstream, HttpClient() as http:
            for _ in range(2):
                stream = await http.open(target_of(upstream), b"", Timeouts())
                assert stream.status == 200
                assert [data async for data in stream] == [b"one", b"two", b"three"]
                assert await stream.read() == b""
            assert upstream.n_connections == 1

    run_clean(main, loop=loop)


def test_what_came_before_a_cut_is_still_read(loop: str) -> None:
    async def main() -> None:
        upstream = Upstream()
        upstream.plays(scenes.sse([b"one"], done=False, cut=True))
        async with upstream, HttpClient() as http:
            stream = await http.open(target_of(upstream), b"", Timeouts())
            assert await stream.read() == b"one"
            for _ in range(2):
                with pytest.raises(ProviderGarbage, match="closed in the middle"):
                    await stream.read()
            stream.close()

    run_clean(main, loop=loop)


def test_closing_a_stream_stops_the_server(loop: str) -> None:
    async def main() -> None:
        upstream = Upstream()
        upstream.plays(scenes.sse([b"x"] * 1000, delay_s=0.01))
        async with upstream, HttpClient() as http:
            stream = await http.open(target_of(upstream), b"", Timeouts())
            await stream.read()
            stream.close()
            assert await upstream.hangups(1, within_s=1.0)
            assert await stream.read() == b""

    run_clean(main, loop=loop)


def test_finish_keeps_a_connection_whose_body_is_about_to_end(loop: str) -> None:
    async def main() -> None:
        upstream = Upstream()
        upstream.plays(
            scenes.sse([b"x"], delay_s=0.02), scenes.raw(OK), scenes.sse([b"x", b"y"], delay_s=5.0)
        )
        async with upstream, HttpClient() as http:
            stream = await http.open(target_of(upstream), b"", Timeouts())
            await stream.read()
            stream.finish()
            stream.close()
            await until(lambda: http.n_busy == 0)
            assert (await http.request(target_of(upstream), b"", Timeouts())).body == b"ok"
            assert upstream.n_connections == 1
            endless = await http.open(target_of(upstream), b"", Timeouts())
            await endless.read()
            endless.finish()
            assert await upstream.hangups(1, within_s=1.5)

    run_clean(main, loop=loop)


def test_finish_after_a_loss_leaves_nothing_to_watch(loop: str) -> None:
    async def main() -> None:
        upstream = Upstream()
        upstream.plays(scenes.sse([b"x"], done=False, cut=True))
        async with upstream, HttpClient() as http:
            stream = await http.open(target_of(upstream), b"", Timeouts())
            await stream.read()
            await until(lambda: http.n_open == 0)
            stream.finish()
            await asyncio.sleep(0.1)
            assert http.n_busy == 0

    run_clean(main, loop=loop)


def test_a_slow_reader_holds_the_server_back_and_does_not_time_out(loop: str) -> None:
    async def main() -> None:
        n_sent = 0

        async def flood(_: scenes.Received, writer: asyncio.StreamWriter) -> None:
            nonlocal n_sent
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n")
            for _ in range(300):
                writer.write(b"x" * 100_000)
                await writer.drain()
                n_sent += 100_000

        upstream = Upstream()
        upstream.plays(flood)
        async with upstream, HttpClient() as http:
            stream = await http.open(target_of(upstream), b"", Timeouts(chunk_s=0.2))
            await asyncio.sleep(0.5)
            assert n_sent < 15_000_000  # the rest waits in the server
            assert sum([len(data) async for data in stream]) == 30_000_000

    run_clean(main, loop=loop)


def test_large_request_bodies(loop: str) -> None:
    async def main() -> None:
        async with Upstream() as upstream, HttpClient() as http:
            upstream.plays(scenes.raw(OK))
            body = bytes(range(256)) * 40_000
            await http.request(target_of(upstream), body, Timeouts())
            assert upstream.requests[0].body == body

    run_clean(main, loop=loop)


def test_many_at_once(loop: str) -> None:
    async def main() -> None:
        upstream = Upstream()
        upstream.plays(scenes.raw(OK))
        async with upstream, HttpClient(max_idle=8) as http:
            target = target_of(upstream)
            for _ in range(3):
                responses = await asyncio.gather(*(http.request(target, b"", Timeouts()) for _ in range(40)))
                assert {response.body for response in responses} == {b"ok"}
            assert http.n_open <= 40
            await until(lambda: http.n_open == 8)

    run_clean(main, loop=loop)


def test_idle_connections_are_closed_in_time() -> None:
    async def main() -> None:
        async with Upstream() as upstream, HttpClient(keep_alive_s=0.1) as http:
            upstream.plays(scenes.raw(OK))
            await http.request(target_of(upstream), b"", Timeouts())
            assert http.n_open == 1
            await until(lambda: http.n_open == 0)

    run_clean(main)


def test_one_client_may_serve_one_loop_after_another() -> None:
    http = HttpClient()

    async def main() -> None:
        async with Upstream() as upstream:
            upstream.plays(scenes.raw(OK))
            assert (await http.request(target_of(upstream), b"", Timeouts())).body == b"ok"
            await http.close()

    for loop in LOOPS:
        run_clean(main, loop=loop)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Target.parse("http://h/", {"x": "a\r\nevil: 1"}),
        lambda: Target.parse("http://h/", {"x": "a\nb"}),
        lambda: Target.parse("http://h/", {"x": "a\x00b"}),
        lambda: Target.parse("http://h/", {"x y": "a"}),
        lambda: Target.parse("http://h/", {"": "a"}),
        lambda: Target.parse("http://h/", {"x\r\ny": "a"}),
        lambda: Target.parse("http://h/", {"Content-Length": "1"}),
        lambda: Target.parse("http://h/", {"transfer-encoding": "chunked"}),
        lambda: Target.parse("http://h/", {"x": "snowman \u2603"}),
        lambda: Target.parse("http://h/a b"),
        lambda: Target.parse("http://h/é"),
        lambda: Target.parse("http://user:pass@h/"),
        lambda: Target.parse("ftp://h/"),
        lambda: Target.parse("file:///etc/passwd"),
        lambda: Target.parse("http:///x"),
        lambda: Target.parse("http://h:0/"),
        lambda: Target.parse("http://h:99999/"),
        lambda: Target.parse("http://[::1/"),
        lambda: Target.parse(f"http://{'a' * 70}.com/"),
        lambda: Target.parse("http://a\u2100b/"),
    ],
)
def test_what_cannot_be_sent_safely_is_refused(make: Callable[[], Target]) -> None:
    with pytest.raises(ConfigError):
        make()


def test_no_header_value_is_quoted_in_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        Target.parse("http://h/", {"authorization": "Bearer sk-secret\n"})
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(Target.parse("http://h/", {"authorization": "Bearer sk-secret"}))


def test_authorities() -> None:
    for url, host in {
        "http://[::1]:80/": b"host: [::1]\r\n",
        "https://example.com:443/": b"host: example.com\r\n",
        "https://example.com:80/": b"host: example.com:80\r\n",
        "http://bücher.example/": b"host: xn--bcher-kva.example\r\n",
    }.items():
        assert host in Target.parse(url).head


def test_fuzzed_responses_never_hang_or_escape() -> None:
    """Cuts and flips of a good response: an answer or a ProviderError, and a clean client."""
    good = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    flips = [
        good[:i] + bytes([byte]) + good[i + 1 :]
        for i, byte in itertools.product(range(0, len(good), 3), (0, 10, 13, 32, 58, 255))
    ]
    cuts = [good[:i] for i in range(len(good))]

    async def main() -> None:
        upstream = Upstream()
        async with upstream, HttpClient() as http:
            target = target_of(upstream)
            for data in flips + cuts:
                upstream.plays(scenes.hang_up(data))
                (result,) = await asyncio.gather(
                    http.request(target, b"", Timeouts(total_s=2.0)), return_exceptions=True
                )
                assert isinstance(result, (Response, ProviderGarbage, ProviderUnavailable)), data

    run_clean(main, loop="uvloop")


def test_tls(tmp_path: Path, loop: str) -> None:
    """An unknown certificate is refused; a known one carries requests and streams."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes its certificate with the openssl command")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    of_server.load_cert_chain(certificate, key)

    async def main() -> None:
        upstream = Upstream(ssl_context=of_server)
        upstream.plays(scenes.raw(OK), scenes.raw(OK), scenes.sse([b"one", b"two"], delay_s=0.02, done=False))
        async with upstream:
            target = Target.parse(f"https://localhost:{upstream.port}/")
            async with HttpClient() as strict:
                with pytest.raises(ProviderUnavailable, match=r"(?i)certificate"):
                    await strict.request(target, b"", Timeouts())
            known = ssl.create_default_context(cafile=str(certificate))
            async with HttpClient(ssl_context=known) as http:
                for _ in range(2):
                    assert (await http.request(target, b"", Timeouts())).body == b"ok"
                stream = await http.open(target, b"", Timeouts())
                assert [data async for data in stream] == [b"one", b"two"]
                assert len(upstream.requests) == 3
                assert upstream.n_connections == 1

    run_clean(main, loop=loop)
