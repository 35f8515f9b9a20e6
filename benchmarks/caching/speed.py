"""Look-ups in a full semantic cache with the default embedder, embedding included.

    python benchmarks/caching/speed.py [--entries 100000] [--lookups 2000]

The entries are the written families under as many fillings as it takes, all of one tenant and scope; half of
them hold a number of their own, half differ in names only, which are all in one index. A third
of the look-ups ask for a kept text in other words, a third for a near miss of one, a third for something
else; which kept text is drawn by Zipf's law, so popular ones come again. Wall time, and the CPU time of the
thread, which other work on the machine disturbs less.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import random
import time
from collections import defaultdict
from typing import NamedTuple

import numpy as np
from pairs import PARTS, Family, draw_fillings, families, fill

from suffice.caching import Kept, SemanticCache, asked
from suffice.embedders import create
from suffice.types import Answer, Options, Query

NOW = 1_000_000.0
PLACES = (
    "Oslo",
    "Rome",
    "Cairo",
    "Lima",
    "Quito",
    "Accra",
    "Dakar",
    "Hanoi",
    "Seoul",
    "Tunis",
    "Turin",
    "Porto",
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--lookups", type=int, default=2_000)
    options = parser.parse_args()
    rng = random.Random(0)
    embedder = create("hashed")
    cache = SemanticCache(embedder.name, embedder.dimensions, entries=options.entries, max_bytes=1 << 34)
    entries = _fill(cache, options.entries, rng)
    lookups = _lookups(entries, 2 * options.lookups, rng)
    for _, text in lookups[options.lookups :]:
        cache.get(asked(Query(text=text), Options(), tenant="a"), embedder.embed([text])[0], NOW)
    lookups = lookups[: options.lookups]
    took: dict[str, list[tuple[float, float]]] = defaultdict(list)
    found_by: dict[str, int] = defaultdict(int)
    for kind, text in lookups:
        request = asked(Query(text=text), Options(), tenant="a")
        start, cpu = time.perf_counter(), time.thread_time()
        found = cache.get(request, embedder.embed([text])[0], NOW)
        took[kind].append((time.perf_counter() - start, time.thread_time() - cpu))
        found_by[kind] += found is not None
    took["all"] = [one for kind in list(took) for one in took[kind]]
    for kind, seconds in took.items():
        (p50, cpu), (p95, cpu95) = np.percentile(seconds, (50, 95), axis=0) * 1e3
        served = f", {found_by[kind]} served" if kind in found_by else ""
        print(
            f"{kind:10} {len(seconds):5} look-ups: p50 {p50:.3f} ms ({cpu:.3f} CPU), p95 {p95:.3f} ms "
            f"({cpu95:.3f} CPU){served}"
        )
    alone = [_timed(embedder, text) for _, text in lookups]
    print(f"of which the embedding: p50 {np.median(alone) * 1e3:.3f} ms CPU; {len(cache)} entries")


class Entry(NamedTuple):
    family: Family
    ways: list[str]
    fillings: dict[str, str]
    tail: str

    def said(self, rng: random.Random) -> str:
        return fill(rng.choice(self.ways), self.fillings) + self.tail


def _fill(cache: SemanticCache, n: int, rng: random.Random) -> list[Entry]:
    embedder = create("hashed")
    all_families = [family for part in PARTS for family in families(part)]
    entries: dict[str, Entry] = {}
    while len(entries) < n:
        family = rng.choice(all_families)
        _, ways = rng.choice(family.meanings)
        tail = _tail(rng)
        entry = Entry(family, ways, draw_fillings(family, rng), tail)
        entries[entry.said(rng)] = entry
    start = time.thread_time()
    texts = list(entries)
    for at in range(0, n, 1_000):
        some = texts[at : at + 1_000]
        for text, vector in zip(some, embedder.embed(some), strict=True):
            request = asked(Query(text=text), Options(), tenant="a")
            answer = Answer(content="an answer", candidate="small", finish_reason="stop")
            kept = Kept(asked=request, answer=answer, candidate="small", at=NOW, expires_at=NOW + 60)
            cache.put(kept, vector, NOW)
    print(f"{n} entries put in {time.thread_time() - start:.0f} CPU seconds")
    return list(entries.values())


def _lookups(entries: list[Entry], n: int, rng: random.Random) -> list[tuple[str, str]]:
    popular = np.random.default_rng(0).permutation(len(entries))
    weights = 1 / np.arange(1, len(entries) + 1)
    drawn = np.random.default_rng(1).choice(popular, n, p=weights / weights.sum())
    found = []
    for i, at in enumerate(drawn):
        entry = entries[at]
        if i % 3 == 0:
            found.append(("reworded", entry.said(rng)))
        elif i % 3 == 1:
            found.append(("near miss", entry._replace(tail=_tail(rng)).said(rng)))
        else:
            way = rng.choice(entry.family.meanings[0][1])
            found.append(("new", f"{way.format_map(_Blank())}{_tail(rng, 'at')}"))
    return found


def _tail(rng: random.Random, word: str = "for") -> str:
    if rng.random() < 0.5:
        return f" ({word} {rng.choice(PLACES)} {rng.randrange(10_000)})"
    return f" ({word} {' and '.join(rng.sample(PLACES, 4))})"


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "it"


def _timed(embedder: object, text: str) -> float:
    start = time.thread_time()
    embedder.embed([text])  # type: ignore[attr-defined]
    return time.thread_time() - start


if __name__ == "__main__":
    main()
