"""A closed loop of clients: each sends its next request when the last one is answered."""

import asyncio
import time
from typing import Any

import httptools


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, loop: asyncio.AbstractEventLoop, until: float) -> None:
        self._request, self._until = request, until
        self.latencies: list[float] = []
        self.n_failed = 0
        self.done = loop.create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)
        self._ask()

    def _ask(self) -> None:
        self._start = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self.latencies.append(now - self._start)
        self.n_failed += self._parser.get_status_code() != 200
        if now < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, request: str, concurrency: int, seconds: float) -> dict[str, Any]:
    """{"n", "failed", "seconds", "p50_us", "p99_us"} of so many clients for so long."""
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    clients = []
    for _ in range(concurrency):
        _, client = await loop.create_connection(
            lambda: Client(request.encode(), loop, start + seconds), "127.0.0.1", port
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    took = time.perf_counter() - start
    latencies = sorted(latency for client in clients for latency in client.latencies)
    if not latencies:
        return {"n": 0, "failed": 1, "seconds": took, "p50_us": 0.0, "p99_us": 0.0}
    return {
        "n": len(latencies),
        "failed": sum(client.n_failed for client in clients),
        "seconds": took,
        "p50_us": 1e6 * latencies[len(latencies) // 2],
        "p99_us": 1e6 * latencies[int(len(latencies) * 0.99)],
    }
