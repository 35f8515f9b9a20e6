"""A database server under the ledger killed with signal 9, under load, and started again.

    python benchmarks/online/server_kill.py [--ledger postgres|redis-always|redis-everysec] [--kills 20]

Two gateways' desks reserve and settle from 30 tasks each, half of them on a budget that is soon full and
begins anew with every kill. Between kills the server is away for up to two seconds, longer than a lease. At
the end every call is compared with the books: each has an account of its own beside the budget's. All
processes of the server are killed, the machine goes on: what the kernel took is kept, as it is not when
power fails.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import re
import statistics
import sys
import time
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from servers import Missing, Server, postgres_process, redis_process
from suffice.budgets import Claim, Reserve, Settle, Use
from suffice.errors import StoreError
from suffice.store import open_ledger
from suffice.store.desk import Desk

KINDS: Final = ("postgres", "redis-always", "redis-everysec")
LIMIT: Final = 3 * 10**9
"""Pico-dollars, of the budget of one kill; a call reserves up to 10^9."""
LEASE_S: Final = 1.0
N_TASKS: Final = 30


class Call:
    """What was said of it."""

    def __init__(self, amount: int, round_: int | None) -> None:
        self.amount, self.round = amount, round_
        self.used = 0
        self.said = "r"
        """The last of: r (reserves), R (reserved), no, failed, s (settles), S (settled)."""


class Load:
    """Two desks, their tasks, and all that they were told."""

    def __init__(self, url: str, seed: int) -> None:
        self.ledgers = [open_ledger(url) for _ in range(2)]
        self.desks = [Desk(ledger) for ledger in self.ledgers]
        self.rng = random.Random(seed)
        self.calls: list[Call] = []
        self.round = 0
        self.ends = False
        self.errors: Counter[str] = Counter()
        self.up_at: float | None = None
        self.recovered_s: list[float] = []
        self._waits: set[Desk] = set()

    def comes_back(self) -> None:
        """The server was started: from now on it is waited for the first grant of each desk."""
        self.up_at, self._waits = time.monotonic(), set(self.desks)

    async def task(self, desk: Desk, is_capped: bool) -> None:
        while not self.ends:
            call = Call(self.rng.randrange(1, 10**9), self.round if is_capped else None)
            number = len(self.calls)
            self.calls.append(call)
            own = Claim("each", number, number, number, call.amount, call.amount)
            shared = Claim("free", 0, 0, 0, call.amount, 10**18)
            if call.round is not None:
                shared = Claim("capped", call.round, call.round, call.round, call.amount, LIMIT)
            try:
                outcome = await desk.reserve(Reserve(f"call-{number}", (shared, own), LEASE_S))
            except StoreError as error:
                call.said = "failed"
                self.errors[_kind(error)] += 1
                await asyncio.sleep(0.05)
                continue
            if outcome.refused is not None:
                call.said = "no"
                await asyncio.sleep(0.01)
                continue
            call.said = "R"
            if desk in self._waits and self.up_at is not None:
                self._waits.remove(desk)
                self.recovered_s.append(time.monotonic() - self.up_at)
            await asyncio.sleep(self.rng.uniform(0, 0.01))
            call.used, call.said = self.rng.randrange(call.amount), "s"
            try:
                await desk.settled(Settle(f"call-{number}", (call.used, call.used)))
            except StoreError as error:  # it is tried again
                self.errors[_kind(error)] += 1
                continue
            call.said = "S"


def _kind(error: StoreError) -> str:
    """The message, without what differs from time to time."""
    return re.sub(r'"?/\S+|\d+', "...", str(error).splitlines()[0])[:90]


class Found(NamedTuple):
    """What was seen, after all kills."""

    kills: int
    acknowledged: int
    """Reservations and settlements."""
    lost: int
    """Settled calls that are not on the books as they were."""
    ghosts: int
    """Calls that were refused or failed, with something on the books."""
    over_cap: int
    """Kills after which a budget's spent and reserved, or what its calls really took, were over its limit."""
    full: int
    """Kills before which the budget had been full: the test means something."""
    reserved: int
    """Still held when all was over."""
    away_s: float
    recovered_s: list[float]
    errors: Counter[str]


async def kill(server: Server, n_kills: int, seed: int = 0) -> Found:
    """Load, kill, start again, so many times; then compare."""
    load, rng = Load(server.url, seed), random.Random(seed)
    tasks = [
        asyncio.create_task(load.task(desk, is_capped=of % 2 == 0))
        for desk in load.desks
        for of in range(N_TASKS)
    ]
    away_s = 0.0
    for number in range(n_kills):
        load.round = number
        await asyncio.sleep(rng.uniform(0.02, 0.4))
        server.kill()
        down_at = time.monotonic()
        await asyncio.sleep(rng.uniform(0.0, 2.0))
        await asyncio.to_thread(server.start)
        away_s += time.monotonic() - down_at
        load.comes_back()
        await asyncio.sleep(rng.uniform(0.0, 1.0))  # the calls of before settle into the full budget
    await asyncio.sleep(2.5)  # the longest pause of a desk
    load.ends = True
    await asyncio.gather(*tasks)
    for desk in load.desks:
        while desk._queue:
            await asyncio.sleep(0.05)
        await desk.settled(Settle("the last of all"))
    uses = await load.ledgers[0].uses()
    for ledger in load.ledgers:
        await ledger.close()
    return _compared(load, dict(uses), n_kills, away_s)


def _compared(load: Load, uses: dict[tuple[str, int], Use], n_kills: int, away_s: float) -> Found:
    lost = ghosts = 0
    really: Counter[int] = Counter()
    for number, call in enumerate(load.calls):
        use = uses.get(("each", number), Use())
        if call.said in "sS":
            lost += use.spent != call.used
            if call.round is not None:
                really[call.round] += call.used
        elif use.spent or use.reserved:
            ghosts += 1
    books = {period: use for (account, period), use in uses.items() if account == "capped"}
    over = sum(use.spent + use.reserved > LIMIT or really[period] > LIMIT for period, use in books.items())
    refused = {call.round for call in load.calls if call.said == "no"}
    held = sum(use.reserved for use in uses.values())
    n_said = sum({"R": 1, "s": 1, "S": 2}.get(call.said, 0) for call in load.calls)
    return Found(
        n_kills, n_said, lost, ghosts, over, len(refused), held, away_s, load.recovered_s, load.errors
    )


def started(kind: str) -> AbstractContextManager[Server]:
    """A server of that kind, whose writes are kept as it says."""
    if kind == "postgres":
        return postgres_process(is_kept=True)
    return redis_process(kind.removeprefix("redis-"))


def print_found(kind: str, found: Found) -> None:
    waits = found.recovered_s
    print(
        f"{kind}: {found.kills} kills, away for {found.away_s:.0f} s, {found.acknowledged} operations "
        f"acknowledged: {found.lost} settled calls lost, {found.ghosts} ghosts, {found.over_cap} over the "
        f"cap (full {found.full} times), {found.reserved} left reserved; "
        f"first grant {statistics.median(waits):.2f} s after the start, {max(waits):.2f} s at most"
    )
    for said, n in found.errors.most_common(6):
        print(f"    {n:>6}  {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ledger", choices=KINDS)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.disable()  # of every kill
    for kind in [args.ledger] if args.ledger else KINDS:
        try:
            with started(kind) as server:
                print_found(kind, asyncio.run(kill(server, args.kills, args.seed)))
        except Missing as missing:
            print(f"{kind}: left out, {missing}")


if __name__ == "__main__":
    main()
