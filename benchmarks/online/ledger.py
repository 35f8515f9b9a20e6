"""Whether budgets hold under concurrency and kill -9, and what a reservation costs.

    python benchmarks/online/ledger.py race  [--ledger sqlite|postgres|redis] [--repeats 50] [--calls 1600]
    python benchmarks/online/ledger.py kill  [--kills 100]
    python benchmarks/online/ledger.py speed

`race`: 4 processes of 200 tasks each ask a model through one budget that is enough for exactly so many
calls, until it refuses them; calls that cost all that was reserved, then calls that cost half of it.
`kill`: a process under load is killed with signal 9 at a random moment, again and again; then the ledger is
compared with what had been acknowledged.
`speed`: time and CPU of a reservation with its settlement, and of a request with and without budgets.
Servers are started from what is installed; a ledger without one is left out, and why.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import select
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from fakes import FakeModel
from servers import Missing, postgres_server, redis_server
from suffice.budgets import Budget, Claim, Ledger, MemoryLedger, Reserve, Settle, Use
from suffice.errors import BudgetExceeded
from suffice.plans.ceilings import ceiling
from suffice.plans.guard import Guard
from suffice.store import SqliteStore, open_ledger
from suffice.store.desk import Desk
from suffice.types import Answer, Caller, Candidate, Options, Price, Query, Usage

KINDS = ("sqlite", "postgres", "redis")
QUERY = Query(text="How many minutes are there in a day?")
OPTIONS = Options(fields={"max_tokens": 100}, timeout_s=60.0)
CANDIDATE = Candidate(
    name="m",
    provider="fake",
    model="m",
    price=Price(input_usd_per_mtok=Decimal("0.15"), output_usd_per_mtok=Decimal("0.60")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("race", "kill", "speed"))
    parser.add_argument("--ledger", choices=KINDS, help="all that there are, where it is left out")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--calls", type=int, default=1600)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    kinds = [args.ledger] if args.ledger else list(KINDS)
    if args.what == "kill":
        print_kills(kill(args.kills, args.seed))
    elif args.what == "speed":
        speed(kinds)
    else:
        for kind in kinds:
            for share in (1.0, 0.5):
                print_race(kind, share, args)


# --- race


class Lap(NamedTuple):
    """One repetition, all processes together."""

    served: int
    affordable: int
    spent: int
    limit: int
    left_over: int
    """Reserved when all was over: nothing should be."""
    seconds: float


class Spender:
    """A model that uses a share of the most it may use, and takes a moment for it."""

    def __init__(self, share: float) -> None:
        bounds = ceiling(CANDIDATE, QUERY, OPTIONS)
        assert bounds.completion_tokens is not None
        self.candidate = CANDIDATE
        self.usage = Usage(
            prompt_tokens=int(bounds.prompt_tokens * share),
            completion_tokens=int(bounds.completion_tokens * share),
        )
        self.cost_usd = CANDIDATE.price.cost_usd(self.usage)
        assert self.cost_usd is not None
        self.pico = int(self.cost_usd * 10**12)
        self.n_calls = 0

    async def answer(self, query: Query, options: Options) -> Answer:
        self.n_calls += 1
        await asyncio.sleep(random.uniform(0, 0.004))
        return Answer(content="1440", candidate="m", usage=self.usage, cost_usd=self.cost_usd)

    async def stream(self, query: Query, options: Options) -> AsyncIterator[Any]:
        """The whole answer in one piece."""
        yield await self.answer(query, options)

    async def close(self) -> None:
        """Has nothing to close."""


def race(url: str, share: float, *, processes: int, tasks: int, repeats: int, calls: int) -> list[Lap]:
    """The laps on a ledger; `url` of a SQLite file, or of a server."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes + 1), context.Queue()
    work = (url, share, calls, tasks, repeats, barrier, results)
    runners = [context.Process(target=_runner, args=work, daemon=True) for _ in range(processes)]
    for runner in runners:
        runner.start()
    laps = []
    for lap in range(repeats):
        barrier.wait()
        start = time.perf_counter()
        served = sum(results.get() for _ in runners)
        seconds = time.perf_counter() - start
        limit = Spender(share).pico * calls
        use = asyncio.run(_use(url, _budget(lap, share, calls)))
        laps.append(Lap(served, calls, use.spent, limit, use.reserved, seconds))
    for runner in runners:
        runner.join()
    return laps


def _budget(lap: int, share: float, calls: int) -> Budget:
    usd = Decimal(Spender(share).pico * calls).scaleb(-12)
    return Budget(name=f"lap-{lap}-{share}", usd=float(usd), wait_s=10.0)


def _runner(url: str, share: float, calls: int, tasks: int, repeats: int, barrier: Any, results: Any) -> None:
    asyncio.run(_laps(url, share, calls, tasks, repeats, barrier, results))


async def _laps(
    url: str, share: float, calls: int, tasks: int, repeats: int, barrier: Any, results: Any
) -> None:
    with ledger_of(url) as ledger:
        for lap in range(repeats):
            guard, model = Guard(ledger, [_budget(lap, share, calls)]), Spender(share)
            barrier.wait()
            await asyncio.gather(*(_until_refused(guard, model) for _ in range(tasks)))
            while guard.desk._queue:
                await asyncio.sleep(0.001)
            await guard.desk.settled(Settle("the last of all"))
            results.put(model.n_calls)
        await ledger.close()


async def _until_refused(guard: Guard, model: Spender) -> None:
    while True:
        purse = await guard.purse(Caller(), QUERY, {"m": model})
        assert purse is not None
        try:
            await purse.models["m"].answer(QUERY, OPTIONS)
        except BudgetExceeded:
            return


async def _use(url: str, budget: Budget) -> Use:
    with ledger_of(url) as ledger:
        uses = await ledger.uses()
        await ledger.close()
    return uses.get((budget.account("all"), 0), Use())


@contextmanager
def ledger_of(url: str) -> Iterator[Ledger]:
    """The ledger of a server, or of a SQLite file."""
    if "://" in url:
        yield open_ledger(url)
        return
    store = SqliteStore(url, busy_timeout_s=30.0)
    try:
        yield store.ledger()
    finally:
        store.close()


@contextmanager
def place(kind: str) -> Iterator[str]:
    """Where a fresh ledger of that kind can be."""
    if kind == "postgres":
        with postgres_server(is_kept=True) as url:
            yield url
    elif kind == "redis":
        with redis_server(is_kept=True) as url:
            yield url
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield f"{folder}/ledger.db"


def print_race(kind: str, share: float, args: argparse.Namespace) -> None:
    try:
        with place(kind) as url:
            laps = race(
                url,
                share,
                processes=args.processes,
                tasks=args.tasks,
                repeats=args.repeats,
                calls=args.calls,
            )
    except Missing as missing:
        print(f"{kind}: left out, {missing}")
        return
    shares = [lap.served / lap.affordable for lap in laps]
    over = sum(lap.spent > lap.limit for lap in laps)
    print(
        f"{kind}, calls at {share:.0%} of what is reserved: {len(laps)} laps of {args.calls} affordable, "
        f"{args.processes} x {args.tasks} tasks: {over} over the cap; served {min(shares):.2%} at least, "
        f"{statistics.mean(shares):.2%} in the mean; {sum(lap.left_over for lap in laps)} left reserved; "
        f"{statistics.median(lap.seconds for lap in laps):.2f} s a lap",
        flush=True,
    )


# --- kill


class Killed(NamedTuple):
    """What was found after all kills."""

    kills: int
    acknowledged: int
    """Reservations and settlements, of all processes together."""
    missing: int
    """Acknowledged, and not in the ledger."""
    difference_pico: int
    """Between the books and the sum of what was settled and lost."""
    reserved: int
    """Still held after all leases had ended."""
    damaged: int
    """Kills after which the database failed its own check."""


class Call:
    """What a process said of one call before it was killed."""

    def __init__(self) -> None:
        self.amount = self.used = 0
        self.said = ""
        """The last of: r (reserves), R (reserved), s (settles), S (settled)."""


def kill(n_kills: int, seed: int = 0) -> Killed:
    """Kill a process under load so many times, then compare the ledger with what was said."""
    rng, calls, damaged = random.Random(seed), {}, 0
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/ledger.db"
        SqliteStore(path).close()
        for number in range(n_kills):
            calls |= _calls(_loaded_and_killed(path, number, rng))
            damaged += not _is_sound(path)
        asyncio.run(_after_all_leases(path))
        held, (spent, reserved, lost) = _books(path)
    settled = {name for name, call in calls.items() if call.said in "sS" and name not in held}
    missing = sum(
        (call.said == "S" and name in held) or (call.said == "R" and name not in held)
        for name, call in calls.items()
    )
    difference = abs(spent - sum(calls[name].used for name in settled))
    difference += abs(lost - sum(calls[name].amount for name in held))
    n_said = sum({"R": 1, "s": 1, "S": 2}.get(call.said, 0) for call in calls.values())
    return Killed(n_kills, n_said, missing, difference, reserved, damaged)


def _loaded_and_killed(path: str, number: int, rng: random.Random) -> str:
    """One process from its start to its end; returns what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            asyncio.run(_load(path, number, writing))
        finally:
            os._exit(1)
    os.close(writing)
    said = bytearray(os.read(reading, 1 << 16))  # it is at work from here on
    end = time.monotonic() + rng.uniform(0.0, 0.25)
    while (left := end - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            said += os.read(reading, 1 << 16)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 1 << 16):
        said += more
    os.close(reading)
    return said.decode()


def _calls(said: str) -> dict[str, Call]:
    calls: dict[str, Call] = {}
    for line in said.split("\n")[:-1]:
        what, name, *amount = line.split(" ")
        call = calls.setdefault(name, Call())
        call.said = what
        if what == "r":
            call.amount = int(amount[0])
        elif what == "s":
            call.used = int(amount[0])
    return calls


async def _load(path: str, number: int, writing: int) -> None:
    """Reserve and settle from many tasks, and say on a pipe what is meant and what was acknowledged."""
    store = SqliteStore(path)
    desk, rng = Desk(store.ledger()), random.Random(number)

    async def task(of: int) -> None:
        turn = 0
        while True:
            name, amount = f"{number}-{of}-{turn}", rng.randrange(1, 10**9)
            os.write(writing, f"r {name} {amount}\n".encode())
            await desk.reserve(Reserve(name, (Claim("a", 0, 0, 0, amount, 10**18),), 1.0))
            os.write(writing, f"R {name}\n".encode())
            await asyncio.sleep(rng.uniform(0, 0.01))
            used = rng.randrange(amount)
            os.write(writing, f"s {name} {used}\n".encode())
            await desk.settled(Settle(name, (used,)))
            os.write(writing, f"S {name}\n".encode())
            turn += 1

    await asyncio.gather(*(task(of) for of in range(50)))


def _books(path: str) -> tuple[set[str], tuple[int, int, int]]:
    """The reservations that are there, and what is spent, reserved and lost."""
    connection = sqlite3.connect(path)
    held = {name for (name,) in connection.execute("SELECT id FROM budget_holds")}
    sums = connection.execute("SELECT sum(spent), sum(reserved), sum(lost) FROM budget_use").fetchone()
    connection.close()
    return held, sums


def _is_sound(path: str) -> bool:
    connection = sqlite3.connect(path)
    (said,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return bool(said == "ok")


async def _after_all_leases(path: str) -> None:
    await asyncio.sleep(1.2)
    with ledger_of(path) as ledger:
        await ledger.apply([Settle("the last of all")])


def print_kills(found: Killed) -> None:
    print(
        f"sqlite: {found.kills} kills, {found.acknowledged} operations acknowledged: {found.missing} lost, "
        f"the books differ by {found.difference_pico} pico-dollars, {found.reserved} still held after "
        f"all leases, damaged {found.damaged} times"
    )


# --- speed


def speed(kinds: list[str]) -> None:
    for kind in ["memory", *kinds]:
        try:
            with place(kind) as url:
                asyncio.run(_reservations(kind, url))
        except Missing as missing:
            print(f"{kind}: left out, {missing}")
    for name, budgets in (
        ("no guard", None),
        ("no budgets", []),
        ("one budget", [Budget(name="b", usd=1e6)]),
        (
            "four budgets",
            [Budget(name=f"b{per}", per=per, usd=1e6) for per in ("key", "team", "model", "global")],
        ),
    ):
        asyncio.run(_requests(name, budgets))


async def _reservations(kind: str, url: str, n: int = 1000, n_tasks: int = 100) -> None:
    """Alone, one after the other; then many at once."""
    claim = Claim("a", 0, 0, 0, 1000, 10**18)

    async def once(desk: Desk, name: str) -> float:
        start = time.perf_counter()
        await desk.reserve(Reserve(name, (claim,), 60.0))
        took = time.perf_counter() - start
        desk.settle(Settle(name, (500,)))
        return took

    async def measure(ledger: Ledger) -> None:
        desk = Desk(ledger)
        alone = []
        for i in range(n // 4):
            alone.append(await once(desk, f"alone-{i}"))
            await asyncio.sleep(0.002)
        start, cpu = time.perf_counter(), time.process_time()

        async def some(task: int) -> None:
            for i in range(n // n_tasks * 10):
                await once(desk, f"{task}-{i}")

        await asyncio.gather(*(some(task) for task in range(n_tasks)))
        await desk.settled(Settle("the last of all"))
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(
            f"{kind}: alone {1e6 * statistics.median(alone):.0f} us until reserved (p50), "
            f"{1e6 * sorted(alone)[-len(alone) // 20]:.0f} us (p95); {n_tasks} at once "
            f"{10 * n / wall:,.0f} calls a second, {1e6 * cpu / (10 * n):.0f} us CPU in this process per "
            "call (reserved and settled)"
        )
        await ledger.close()

    if kind == "memory":
        await measure(MemoryLedger())
        return
    with ledger_of(url) as ledger:
        await measure(ledger)


async def _requests(name: str, budgets: list[Budget] | None, n: int = 2000) -> None:
    """Requests through the engine, one after the other, on a store on disk."""
    from suffice.engine import Request
    from test_engine import make_engine

    model = FakeModel("m", price=CANDIDATE.price, max_output_tokens=100)
    request = Request(query=QUERY, model="m", caller=Caller(key_id="k"))
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(model)
        engine.store.close()
        store = engine.store = SqliteStore(f"{folder}/s.db")
        engine.guard = None if budgets is None else Guard(store.ledger(), budgets)
        laps = []
        for _ in range(5):
            start, cpu = time.perf_counter(), time.process_time()
            for _ in range(n // 5):
                await engine.answer(request)
            laps.append(
                (1e6 * (time.perf_counter() - start) / (n // 5), 1e6 * (time.process_time() - cpu) / (n // 5))
            )
        await engine.close()
    wall, cpu = (statistics.median(lap[i] for lap in laps) for i in (0, 1))
    print(f"a request through the engine, {name}: {wall:.0f} us, {cpu:.0f} us CPU in all threads")


if __name__ == "__main__":
    main()
