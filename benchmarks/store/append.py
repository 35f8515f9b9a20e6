"""What one record costs the store, from `append` to its commit, all threads together.

    python benchmarks/store/append.py [--records 20000] [--per-second 2000 | --burst 500]

Prints CPU microseconds per record: of the thread that appends, and of the whole process. For instructions,
run it twice under a counter, with different numbers of records, and take the difference:

    perf stat -e instructions:u python benchmarks/store/append.py --records 5000
    perf stat -e instructions:u python benchmarks/store/append.py --records 25000
    valgrind --tool=cachegrind --cache-sim=no python benchmarks/store/append.py --records 5000

`--dry` builds the records and appends none: what to subtract.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from suffice.store import SqliteStore
from suffice.types import Attempt, Decision, Record, Usage, Versions

ARMS = ("small", "medium", "large", "local")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--per-second", type=int, default=2_000)
    parser.add_argument("--burst", type=int, help="append so many at once, ten times a second")
    parser.add_argument("--dry", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore(Path(directory) / "bench.db", max_queued=args.records)
        loop_s, all_s = asyncio.run(load(store, args.records, args.burst, args.per_second, is_dry=args.dry))
        stats = store.stats()
        store.close()
    expected = 0 if args.dry else args.records
    if stats["committed"] != expected:
        sys.exit(f"{stats['committed']} of {expected} records were committed: {stats}")
    print(f"{1e6 * loop_s / args.records:.1f} us per record in the loop's thread, building it included")
    print(f"{1e6 * all_s / args.records:.1f} us per record in all threads")
    if stats["bytes"]:
        print(f"{stats['bytes'] / args.records:.0f} bytes per record on disk")


async def load(
    store: SqliteStore, n_records: int, burst: int | None, per_second: int, *, is_dry: bool
) -> tuple[float, float]:
    """CPU seconds of this thread and of the process."""
    at_once, pause_s = (burst, 0.1) if burst else (max(per_second // 100, 1), 0.01)
    loop_start, all_start = time.thread_time(), time.process_time()
    for number in range(n_records):
        made = record(number)
        if not is_dry:
            store.append(made)
        if number % at_once == at_once - 1:
            await asyncio.sleep(pause_s)
    loop_s = time.thread_time() - loop_start
    await store.drain()
    return loop_s, time.process_time() - all_start


def record(number: int) -> Record:
    """As the engine leaves one: four arms, one attempt, no content."""
    cost = Decimal(1200 + number % 700).scaleb(-8)
    return Record(
        id=f"sfc-{int(time.time() * 1000):012x}{os.urandom(8).hex()}",
        created_at=time.time(),
        tenant="acme",
        key_id="key_0011223344556677",
        user=f"user-{number % 50}",
        requested_model="auto",
        decision=Decision(
            plan="single:small",
            candidate="small",
            ranking=ARMS,
            eligible=ARMS,
            arms=ARMS,
            scores=(0.7123456 + number * 1e-7, 0.8123, 0.9345678, 0.5512),
            costs_usd=(1.2e-5, 3.4e-4, 0.0123, 1e-7),
            latencies_s=(0.41, 0.83, 1.92, 2.2),
            propensities=(1.0, 0.0, 0.0, 0.0),
            policy="utility",
            reason="0.02 USD x 0.712 - 0.000012 USD is the highest utility",
            decision_s=0.00034,
            baseline="large",
            versions=Versions(router="knn-1", policy="utility", embedder="hashed-64", prices="2026-08-01"),
        ),
        attempts=(Attempt(candidate="small", latency_s=0.4312, status=200, cost_usd=cost),),
        candidate="small",
        usage=Usage(prompt_tokens=120, completion_tokens=80 + number % 100, cached_tokens=0),
        cost_usd=cost,
        baseline_usd=Decimal("0.0123"),
        latency_s=0.4315,
        finish_reason="stop",
    )


if __name__ == "__main__":
    main()
