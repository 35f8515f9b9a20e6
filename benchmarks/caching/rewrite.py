"""Near answers rewritten by a small local model, beside fresh ones of a small and of a larger one.

    python benchmarks/caching/rewrite.py [--small small] [--large large] [--json FILE] [--fresh FILE]

Forty pairs of an answered question and a near one, with answers that can be checked: the same question in
other words, one whose answer the old one shows how to find, or one that needs another fact. The engine
answers the near one from a cache that has the old answer, with no bound on the confidence; then both models
are asked afresh. What any bound would have given is counted from that. The gateway's default of 0.8 was set
before any of these pairs was asked.
"""

import argparse
import asyncio
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from suffice.build import build
from suffice.caching.base import Found, Kept
from suffice.caching.canonical import asked
from suffice.config import Config, ModelConfig
from suffice.embedders import HashedNgrams
from suffice.engine import Engine, Request
from suffice.plans.confidence import AnswerConfidence
from suffice.plans.reuse import keepable
from suffice.plans.reuse.rewriting import Rewriting
from suffice.plans.reuse.stage import Reusing, Scope, Settings, Stage
from suffice.types import Answer, Options, Query

BOUNDS = (0.0, 0.6, 0.7, 0.8, 0.9, 0.95)
OPTIONS = Options(fields={"temperature": 0, "max_tokens": 40})


class Pair(NamedTuple):
    kind: str
    old: str
    answer: str
    new: str
    wanted: str
    """A pattern that a right answer holds."""


SAME = "same"
CHANGED = "changed"
OTHER = "other"
PAIRS = tuple(
    Pair(**json.loads(line))
    for line in Path(__file__).with_name("rewrite_pairs.jsonl").read_text(encoding="utf-8").splitlines()
)


class OneNear:
    """A cache that holds one answer, near to everything."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def get(self, asked: Any, vector: Any, now: float) -> Found:
        return Found(kept=self._kept, way="near", probability=0.5, reason="by the benchmark")

    def put(self, *_: Any) -> None: ...

    def forget(self, **_: Any) -> int:
        return 0

    def __len__(self) -> int:
        return 1


def is_right(pair: Pair, text: str) -> bool:
    flags = 0 if pair.wanted.isupper() else re.IGNORECASE
    return re.search(pair.wanted, text, flags) is not None


def holding(engine: Engine, pair: Pair, small: str) -> Reusing:
    """A cache in front of the engine that holds the pair's old answer."""
    old = Answer(content=pair.answer, candidate="before", finish_reason="stop")
    key = asked(Query(text=pair.old), OPTIONS, tenant="default")
    kept = Kept(asked=key, answer=keepable(old), candidate="before", at=0.0, expires_at=1e12)
    rewriting = Rewriting(
        small, AnswerConfidence("normalised_probability"), min_confidence=0.0, timeout_s=300
    )
    stage = Stage(
        "", dict.fromkeys(engine.names, Scope(words=())), Settings(), semantic=OneNear(kept),
        embedder=HashedNgrams(), rewriting=rewriting,
    )  # fmt: skip
    return Reusing(dict.fromkeys(engine.names, stage), default=stage)


async def measured(small: str, large: str, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of pairs; `known` ones bring the fresh answers of an earlier run."""
    names = dict.fromkeys((small, large))
    local = [
        ModelConfig(name=name, provider="local", options={"threads": 1}, timeout_s=600) for name in names
    ]
    engine = build(Config(models=local, store="sqlite:///:memory:"))
    try:
        rows = [await rewritten(engine, pair, small) for pair in PAIRS]
        for name in names:
            for place, (pair, row) in enumerate(zip(PAIRS, rows, strict=True)):
                row[name] = known[place][name] if known else await fresh(engine, pair, name)
    finally:
        await engine.close()
    return rows


async def rewritten(engine: Engine, pair: Pair, small: str) -> dict[str, Any]:
    """What the small model made of the old answer; what it gives where it makes nothing is left out."""
    engine.reusing = holding(engine, pair, small)
    found = await engine.answer(Request(query=Query(text=pair.new), model=small, options=OPTIONS))
    tried = next(one for one in found.record.attempts if one.role == "rewrite")
    is_given = found.record.decision.plan == "rewrite"
    return {
        "kind": pair.kind,
        "new": pair.new,
        "rewritten": found.answer.content if is_given else None,
        "is_right": is_given and is_right(pair, found.answer.content),
        "confidence": found.record.confidence if is_given else 0.0,
        "usd": float(tried.cost_usd or 0),
    }


async def fresh(engine: Engine, pair: Pair, name: str) -> dict[str, Any]:
    asks = Request(query=Query(text=pair.new), model=name, options=OPTIONS, cache="bypass")
    answer = (await engine.answer(asks)).answer
    said = answer.content
    return {"said": said, "is_right": is_right(pair, said), "usd": float(answer.cost_usd or 0)}


def line(title: str, rows: list[dict[str, Any]], right: list[bool], usd: list[float]) -> str:
    by_kind = {
        kind: [ok for row, ok in zip(rows, right, strict=True) if row["kind"] == kind]
        for kind in (SAME, CHANGED, OTHER)
    }
    shares = "   ".join(f"{kind} {sum(oks)}/{len(oks)}" for kind, oks in by_kind.items())
    cost = 1000 * sum(usd) / len(usd)
    return f"{title:<34} right {sum(right)}/{len(right)}   {shares}   {cost:.4f} USD per 1,000"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", default="small")
    parser.add_argument("--large", default="large")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--fresh", type=Path, help="the --json of an earlier run: its fresh answers")
    options = parser.parse_args()
    known = json.loads(options.fresh.read_text()) if options.fresh else []
    rows = asyncio.run(measured(options.small, options.large, known))
    for name in dict.fromkeys((options.small, options.large)):
        right, usd = [row[name]["is_right"] for row in rows], [row[name]["usd"] for row in rows]
        print(line(f"fresh, {name}", rows, right, usd))
    large = options.large
    for bound in BOUNDS:
        given = [row["rewritten"] is not None and row["confidence"] >= bound for row in rows]
        right = [
            row["is_right"] if ok else row[large]["is_right"] for row, ok in zip(rows, given, strict=True)
        ]
        usd = [row["usd"] + (0 if ok else row[large]["usd"]) for row, ok in zip(rows, given, strict=True)]
        print(line(f"rewritten from {bound:g} on, else {large}", rows, right, usd))
        own = [row["is_right"] for row, ok in zip(rows, given, strict=True) if ok]
        print(f"{'':<34} of {len(rows)} {len(own)} rewritten answers were given, {sum(own)} of them right")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
