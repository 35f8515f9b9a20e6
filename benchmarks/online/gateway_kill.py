"""A whole gateway under load, killed with signal 9 at random moments: what its books say afterwards.

    python benchmarks/online/gateway_kill.py [--kills 100] [--workers 1]

Clients chat through one hard budget and give feedback on what they get; the provider counts what it
answered, and every answer costs the same. After the last kill and all leases, these must add up: the
ledger (spent and lost) with the provider's count, the records and the counted losses with the answers
that clients have in hand, and the feedback that was acknowledged with the store.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CLIENTS = 16
COST_PICO = 10 * 1_000_000 + 20 * 2_000_000
"""10 tokens in at 1 USD and 20 out at 2 USD per million."""
CHAT = json.dumps({"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]})
ANSWER = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
    }
).encode()
LEASE_S = 62.0
"""Of a call: its time limit of one second and a minute."""


class Provider(BaseHTTPRequestHandler):
    """Answers after a moment, and counts before the answer leaves."""

    protocol_version = "HTTP/1.1"
    count = 0
    lock = threading.Lock()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(random.uniform(0, 0.01))
        with self.lock:
            Provider.count += 1
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A killed gateway leaves its connections open: no news."""


class Client(threading.Thread):
    """Asks and rates, until the gateway is gone."""

    def __init__(self, port: int, answered: list[str], rated: list[str]) -> None:
        super().__init__(daemon=True)
        self.port, self.answered, self.rated = port, answered, rated

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            while True:
                status, reply = self._post(connection, "/v1/chat/completions", CHAT)
                if status != 200:
                    return
                record = reply.headers["x-suffice-id"]
                self.answered.append(record)
                body = json.dumps({"id": record, "value": 1})
                if self._post(connection, "/v1/feedback", body)[0] == 200:
                    self.rated.append(record)
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    @staticmethod
    def _post(connection: http.client.HTTPConnection, path: str, body: str) -> tuple[int, Any]:
        connection.request("POST", path, body, {"content-type": "application/json"})
        reply = connection.getresponse()
        reply.read()
        return reply.status, reply


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    provider = Server(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "suffice.yaml"
        config.write_text(_config(provider.server_address[1]))
        answered: list[str] = []
        rated: list[str] = []
        rng = random.Random(args.seed)
        for _ in range(args.kills):
            _live(config, args.workers, rng, answered, rated)
        print(f"{args.kills} kills of {args.workers} worker(s); waiting {LEASE_S:.0f} s for the leases")
        time.sleep(LEASE_S)
        _live(config, args.workers, rng, answered, rated, is_last=True)
        _print_books(folder / "suffice.db", answered, rated)


def _config(port: int) -> str:
    return f"""
models:
  - name: m
    provider: openai
    model: m
    base_url: http://127.0.0.1:{port}/v1
    api_key: none
    input_usd_per_mtok: 1
    output_usd_per_mtok: 2
budgets:
  - {{name: all, usd: 1000, max_tokens: 50}}
gateway: {{timeout_s: 1, retries: 0}}
"""


def _live(
    config: Path,
    workers: int,
    rng: random.Random,
    answered: list[str],
    rated: list[str],
    is_last: bool = False,
) -> None:
    """One life of the gateway, ended with signal 9, the last one with a good end."""
    port = _free_port()
    command = [sys.executable, "-m", "suffice", "up", "--config", str(config), "--port", str(port)]
    command += ["--workers", str(workers)]
    gateway = subprocess.Popen(
        command,
        cwd=config.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _wait_for(port)
    clients = [Client(port, answered, rated) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    time.sleep(rng.uniform(0.0, 0.6))
    os.killpg(gateway.pid, signal.SIGTERM if is_last else signal.SIGKILL)
    gateway.wait()
    for client in clients:
        client.join()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
        finally:
            connection.close()
    raise TimeoutError("the gateway did not start")


def _print_books(path: Path, answered: list[str], rated: list[str]) -> None:
    database = sqlite3.connect(path)

    def one(question: str) -> tuple[Any, ...]:
        return tuple(database.execute(question).fetchone())

    spent, reserved, lost = one("SELECT sum(spent), sum(reserved), sum(lost) FROM budget_use")
    n_records, cost = one("SELECT count(*), sum(cost_pico) FROM records WHERE status = 200")
    n_lost, cost_lost = one("SELECT coalesce(sum(n_records), 0), coalesce(sum(cost_pico), 0) FROM losses")
    kept = {row[0] for row in database.execute("SELECT id FROM records")}
    noted = {row[0] for row in database.execute("SELECT record_id FROM feedback")}
    (check,) = one("PRAGMA integrity_check")
    booked, counted = spent // COST_PICO, n_records + n_lost
    print(f"database: {check}")
    print(f"provider: {Provider.count} answers")
    print(f"ledger: {booked} calls booked (remainder {spent % COST_PICO}), {reserved} pico-dollars held")
    print(f"  listed as lost with their processes: {lost} pico-dollars")
    print(f"clients: {len(answered)} answers; store: {n_records} records, {n_lost} counted as lost")
    print(f"  in hand and neither: {max(len(answered) - counted, 0)}")
    print(f"cost on record: {cost} pico-dollars, expected {n_records * COST_PICO}")
    print(f"  counted as lost: {cost_lost}, expected {n_lost * COST_PICO}")
    print(f"answers in hand without a record: {len(set(answered) - kept)}")
    print(f"feedback acknowledged: {len(rated)}, missing: {len(set(rated) - noted)}")


if __name__ == "__main__":
    main()
