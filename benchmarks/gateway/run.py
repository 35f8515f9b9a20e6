"""What a gateway costs per request, beside nginx as a reverse proxy in the same run.

    PYTHONPATH=src python benchmarks/gateway/run.py [--gateways nginx,suffice] [--seconds 3] [--rounds 3]

The gateway runs alone on one core; the mock provider and the clients share another. Instructions per request
(perf, user and kernel, all threads) do not depend on what else the machine does; where it counts none, CPU
time does duty, which does. Read the latencies on a quiet machine only.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from gateways import GATEWAYS, Gateway
from meter import counts_instructions, measured, rss_mb

HERE = Path(__file__).parent
PROMPT = "Please explain in a few words why the sky looks blue at noon and red in the evening. " * 3
TARGETS = {"chat": 6.0, "stream": 4.0}
"""Most that suffice may cost, in times nginx."""
TARGET_AUTO_US = 300.0
"""Most that deciding may add to the median latency."""


def request(cell: str, gateway: Gateway) -> str:
    """The bytes that every client sends."""
    model = "auto" if cell == "auto" else gateway.model
    body = {
        "model": model,
        "messages": [{"role": "user", "content": PROMPT}],
        "temperature": 0.5,
        "max_tokens": 100,
    }
    if cell == "stream":
        body["stream"] = True
    text = json.dumps(body, separators=(",", ":"))
    key = f"Authorization: Bearer {gateway.key}\r\n" if gateway.key else ""
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench/1\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\n{key}{gateway.headers}Content-Length: {len(text)}\r\n\r\n{text}"
    )


class OtherSide:
    """The process that holds the provider and the clients."""

    def __init__(self) -> None:
        self.upstream = free_port()
        command = [*pin(0), sys.executable, str(HERE / "other_side.py"), str(self.upstream)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def load(
        self, cell: str, gateway: Gateway, port: int, concurrency: int, seconds: float
    ) -> dict[str, Any]:
        """Run the clients; raises RuntimeError if a request failed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        options = {
            "port": port,
            "request": request(cell, gateway),
            "concurrency": concurrency,
            "seconds": seconds,
        }
        self._process.stdin.write(json.dumps(options) + "\n")
        self._process.stdin.flush()
        result: dict[str, Any] = json.loads(self._process.stdout.readline())
        if result["failed"]:
            raise RuntimeError(
                f"{result['failed']} of {result['n']} requests failed; is the gateway set up right?"
            )
        return result

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def pin(core: int) -> list[str]:
    """The prefix that keeps a command on one core."""
    return ["taskset", "-c", str(core % (os.cpu_count() or 1))]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def start(command: list[str], port: int, core: int) -> "tuple[subprocess.Popen[bytes], float]":
    """The process, and the seconds until it accepts."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    begin = time.perf_counter()
    process = subprocess.Popen([*pin(core), *command], env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process, time.perf_counter() - begin
        except OSError:
            time.sleep(0.005)
    raise RuntimeError(f"{command[0]} ended with {process.returncode}")


def measure(name: str, options: argparse.Namespace, other: OtherSide) -> list[dict[str, Any]]:
    """One round of one gateway: a row for each cell."""
    gateway, port = GATEWAYS[name](), free_port()
    with tempfile.TemporaryDirectory() as folder:
        process, start_s = start(gateway.start(Path(folder), port, other.upstream), port, core=1)
        idle_mb = rss_mb(process.pid)
        rows = []
        try:
            for cell in gateway.cells:
                other.load(cell, gateway, port, 16, 0.5)
                alone = other.load(cell, gateway, port, 1, options.seconds / 2)
                with measured(process.pid, with_perf=options.perf) as spent:
                    full = other.load(cell, gateway, port, 16, options.seconds)
                rows.append(
                    {
                        "gateway": name,
                        "cell": cell,
                        "k_instructions": None
                        if spent.instructions is None
                        else spent.instructions / full["n"] / 1e3,
                        "cpu_us": 1e6 * spent.cpu_s / full["n"],
                        "rps": full["n"] / full["seconds"],
                        "p50_us_c1": alone["p50_us"],
                        "p99_us_c1": alone["p99_us"],
                        "start_s": start_s,
                        "idle_mb": idle_mb,
                        "busy_mb": rss_mb(process.pid),
                    }
                )
        finally:
            process.terminate()
            process.wait(10)
    return rows


def typical(column: str, values: list[float | None]) -> float | None:
    """The median over the rounds; of CPU time the least, since others on the machine can only add to it."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return min(known) if column == "cpu_us" else statistics.median(known)


def table_of(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """cell -> gateway -> column -> typical value."""
    table: dict[str, dict[str, dict[str, float | None]]] = {}
    for cell in dict.fromkeys(row["cell"] for row in rows):
        for gateway in dict.fromkeys(row["gateway"] for row in rows if row["cell"] == cell):
            own = [row for row in rows if row["cell"] == cell and row["gateway"] == gateway]
            table.setdefault(cell, {})[gateway] = {
                column: typical(column, [row[column] for row in own])
                for column in own[0]
                if column not in {"gateway", "cell"}
            }
    return table


def show(table: dict[str, Any], unit: str) -> None:
    label = {"k_instructions": "k instr/req", "cpu_us": "CPU us/req"}[unit]
    print(f"{'cell':<8}{'gateway':<12}{label:>12}{'x first':>9}{'p50 us c1':>11}{'p99 us c1':>11}"
          f"{'req/s c16':>11}{'start s':>9}{'idle MB':>9}{'busy MB':>9}")  # fmt: skip
    for cell, gateways in table.items():
        first = (gateways.get(next(iter(GATEWAYS))) or next(iter(gateways.values())))[unit]
        for name, row in gateways.items():
            print(f"{cell:<8}{name:<12}{row[unit]:>12.1f}{row[unit] / first:>9.2f}{row['p50_us_c1']:>11.0f}"
                  f"{row['p99_us_c1']:>11.0f}{row['rps']:>11.0f}{row['start_s']:>9.2f}{row['idle_mb']:>9.1f}"
                  f"{row['busy_mb']:>9.1f}")  # fmt: skip


def judge(table: dict[str, Any], unit: str) -> bool:
    """Whether suffice keeps its targets; says so."""
    is_kept = True
    for cell, most in TARGETS.items():
        if {"nginx", "suffice"} <= set(table.get(cell, {})):
            times = table[cell]["suffice"][unit] / table[cell]["nginx"][unit]
            is_kept &= times <= most
            print(f"{cell}: {times:.2f} x nginx, target {most:g}: {'kept' if times <= most else 'MISSED'}")
    if "suffice" in table.get("auto", {}):
        added = table["auto"]["suffice"]["p50_us_c1"] - table["chat"]["suffice"]["p50_us_c1"]
        is_kept &= added <= TARGET_AUTO_US
        print(f"auto adds {added:.0f} us at the median, target {TARGET_AUTO_US:g}: "
              f"{'kept' if added <= TARGET_AUTO_US else 'MISSED'}")  # fmt: skip
    return is_kept


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gateways", default="nginx,suffice", help=", ".join(GATEWAYS))
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="write all rows to this file")
    options = parser.parse_args()
    options.perf = counts_instructions()
    other = OtherSide()
    rows: list[dict[str, Any]] = []
    try:
        for _ in range(options.rounds):
            for name in options.gateways.split(","):
                rows += measure(name, options, other)
    finally:
        other.close()
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1))
    table, unit = table_of(rows), "k_instructions" if options.perf else "cpu_us"
    if not options.perf:
        print("this machine counts no instructions: CPU time instead")
    show(table, unit)
    return 0 if judge(table, unit) else 1


if __name__ == "__main__":
    sys.exit(main())
