"""A Zipf-like stream of recorded queries, in their own and in other words, through the caches.

    python benchmarks/caching/replay.py --data zeroeval.parquet [--model gpt-4o-2024-08-06] [--requests 3000]
        [--vectors DIR] [--embedder hashed|minilm]

Half of the items are queries of the file, at what the model took for them; half are questions of the written
test families, at the mean price of those. Popularity falls as 1 / rank. A request is its item as written
(0.3), in other words (0.5), or a sibling: the same with another number or another filling (0.2), which is an
item of its own. A hit is wrong if what is served was kept for another item.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pairs import draw_fillings, families, fill
from vectors import Vectors

from suffice.caching import Asked, ExactCache, Kept, SemanticCache, asked, why_not
from suffice.types import Answer, Options, Query

FRAMES = (
    "{}",
    "Please help me with this: {}",
    "{} Thanks!",
    "Could you answer the following question for me? {}",
    "I need the answer to this. {}",
    "Hi! {}",
)
SWAPS = (
    ("How many", "What number of"),
    ("how many", "what number of"),
    ("in total", "altogether"),
    ("each day", "every day"),
    ("buys", "purchases"),
    ("is able to", "can"),
    ("What is", "What's"),
    ("what is", "what's"),
    ("twice as", "two times as"),
    ("Find", "Determine"),
    ("Compute", "Calculate"),
)
DAY_S = 86_400.0


class Item(NamedTuple):
    written: str
    ways: Callable[[random.Random], str]
    sibling: Callable[[random.Random], tuple[str, str]]
    """The item that it is, and its text."""
    cost_usd: float


class Request(NamedTuple):
    item: str
    """What is asked for; equal for all its wordings."""
    text: str
    cost_usd: float
    cluster: int
    """The popular item that it belongs to, siblings included."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="gpt-4o-2024-08-06")
    parser.add_argument("--requests", type=int, default=3_000)
    parser.add_argument("--items", type=int, default=600)
    parser.add_argument("--embedder", choices=("hashed", "minilm"), default="hashed")
    parser.add_argument("--vectors", type=Path)
    options = parser.parse_args()
    stream = list(_stream(_items(options.data, options.model, options.items), options.requests))
    vectors = Vectors(options.embedder, options.vectors)
    rows = vectors([request.text for request in stream])
    print(
        f"{len(stream)} requests, {len({r.item for r in stream})} things asked; "
        f"USD {_usd(stream):.4f} without a cache"
    )
    print(f"{'':30}{'hits':>6} [95 %]          {'wrong hits':>10} [95 %]          {'saved':>6} [95 %]")
    _report("exact", stream, _exact(stream))
    _report("exact + semantic", stream, _semantic(stream, rows, vectors))
    for cut in (0.8, 0.9, 0.95):
        _report(f"bare cosine >= {cut}", stream, _bare(stream, rows, cut))


def _items(path: Path, model: str, n: int) -> list[Item]:
    table = pq.read_table(path, columns=["query", "model", "cost_usd"])
    table = table.filter(pc.equal(table["model"], model))
    pairs = zip(table["query"].to_pylist(), table["cost_usd"].to_pylist(), strict=True)
    recorded = [
        (query, cost) for query, cost in pairs if cost and re.search(r"\d", query) and len(query) < 2_000
    ]
    rng = random.Random(0)
    rng.shuffle(recorded)
    mean = float(np.mean([cost for _, cost in recorded]))
    items = [_recorded(query, cost) for query, cost in recorded[: n // 2]]
    all_families = families("test")
    items += [_written(rng.choice(all_families), mean, rng) for _ in range(n - len(items))]
    rng.shuffle(items)
    return items


def _recorded(query: str, cost: float) -> Item:
    def other_words(rng: random.Random) -> str:
        text = query
        for old, new in SWAPS:
            if rng.random() < 0.5:
                text = text.replace(old, new)
        return rng.choice(FRAMES).format(text)

    def other_number(rng: random.Random) -> tuple[str, str]:
        match = rng.choice(list(re.finditer(r"\d+", query)))
        changed = str(int(match.group()) + rng.randrange(1, 9))
        text = query[: match.start()] + changed + query[match.end() :]
        return text, text

    return Item(query, other_words, other_number, cost)


def _written(family, cost: float, rng: random.Random) -> Item:  # type: ignore[no-untyped-def]
    _, ways = rng.choice([meaning for meaning in family.meanings if len(meaning[1]) > 1])
    fillings = draw_fillings(family, rng)

    def other_filling(rng: random.Random) -> tuple[str, str]:
        way = rng.choice(ways)
        slot = rng.choice([name for name in fillings if f"{{{name}}}" in way])
        other = rng.choice([value for value in family.slots[slot] if value != fillings[slot]])
        changed = {**fillings, slot: other}
        return fill(ways[0], changed), fill(way, changed)

    return Item(fill(ways[0], fillings), lambda rng: fill(rng.choice(ways), fillings), other_filling, cost)


def _stream(items: list[Item], n: int) -> Iterator[Request]:
    rng = random.Random(1)
    weights = [1 / rank for rank in range(1, len(items) + 1)]
    for cluster in rng.choices(range(len(items)), weights, k=n):
        item, draw = items[cluster], rng.random()
        if draw < 0.3:
            yield Request(item.written, item.written, item.cost_usd, cluster)
        elif draw < 0.8:
            yield Request(item.written, item.ways(rng), item.cost_usd, cluster)
        else:
            yield Request(*item.sibling(rng), item.cost_usd, cluster)


def _ask(request: Request) -> Asked | None:
    query = Query(text=request.text)
    return None if why_not(query, Options()) else asked(query, Options(), tenant="a")


def _entry(request: Request, known: Asked, now: float) -> Kept:
    answer = Answer(content=request.item, candidate="large", finish_reason="stop")
    return Kept(asked=known, answer=answer, candidate="large", at=now, expires_at=now + 30 * DAY_S)


def _exact(stream: list[Request]) -> list[str | None]:
    """What was served for each request: the item that it was kept for; None: nothing."""
    cache, served = ExactCache(), []
    for i, request in enumerate(stream):
        known = _ask(request)
        found = cache.get(known, None, float(i)) if known else None
        served.append(found.kept.answer.content if found else None)
        if known and not found:
            cache.put(_entry(request, known, float(i)), None, float(i))
    return served


def _semantic(stream: list[Request], rows: np.ndarray, vectors: Vectors) -> list[str | None]:
    exact, served = ExactCache(), []
    cache = SemanticCache(vectors.embedder.name, rows.shape[1])
    for i, (request, row) in enumerate(zip(stream, rows, strict=True)):
        known, now = _ask(request), float(i)
        found = (exact.get(known, None, now) or cache.get(known, row, now)) if known else None
        served.append(found.kept.answer.content if found else None)
        if known and not found:
            exact.put(_entry(request, known, now), None, now)
            cache.put(_entry(request, known, now), row, now)
    return served


def _bare(stream: list[Request], rows: np.ndarray, cut: float) -> list[str | None]:
    """The nearest kept text's answer, from that cosine on."""
    kept: list[int] = []
    served: list[str | None] = []
    for i in range(len(stream)):
        cosines = rows[kept] @ rows[i] if kept else np.zeros(1)
        is_hit = bool(kept) and cosines.max() >= cut
        served.append(stream[kept[int(cosines.argmax())]].item if is_hit else None)
        if not is_hit:
            kept.append(i)
    return served


def _usd(stream: list[Request]) -> float:
    return sum(request.cost_usd for request in stream)


def _report(label: str, stream: list[Request], served: list[str | None]) -> None:
    """Shares of all requests (hits), of hits (wrong) and of dollars (saved by right hits); over clusters."""
    clusters = np.array([request.cluster for request in stream])
    hit = np.array([one is not None for one in served], float)
    wrong = np.array(
        [one is not None and one != r.item for one, r in zip(served, stream, strict=True)], float
    )
    cost = np.array([request.cost_usd for request in stream])
    sums = [
        np.bincount(clusters, values)
        for values in (np.ones(len(stream)), hit, wrong, cost, cost * (hit - wrong))
    ]
    draws = np.random.default_rng(0).choice(np.unique(clusters), (1_000, len(np.unique(clusters))))
    shown = []
    for top, bottom in ((1, 0), (2, 1), (4, 3)):
        with np.errstate(invalid="ignore"):
            spread = sums[top][draws].sum(1) / sums[bottom][draws].sum(1)
        low, high = np.nanpercentile(spread, (2.5, 97.5))
        shown.append(f"{sums[top].sum() / max(sums[bottom].sum(), 1e-12):8.4f} [{low:.3f}, {high:.3f}]")
    print(f"{label:26}" + "  ".join(shown))


if __name__ == "__main__":
    main()
