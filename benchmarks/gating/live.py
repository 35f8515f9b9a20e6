"""Gates on a live local model: never, one look-up, several, and gates that choose; accuracy, calls, time.

    python benchmarks/gating/live.py --journal live.jsonl [--model small] [--train 8] [--test 12] [--two]

The corpus is invented, so that no model knows it (`invented.py`); general questions share its words. Gates
are fitted to the training questions, for a look-up that is worth 2 right answers in a hundred. `two` is
`multi` held to at least two look-ups. Every answer is written to the journal at once: a second run goes on
where the first stopped. About 12 CPU-minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from invented import KINDS, Asked, is_right, questions

from suffice import gating
from suffice.build import build
from suffice.confidence.normalised_probability import score as normalised_probability
from suffice.confidence.probability_margin import targ
from suffice.config import load
from suffice.engine import Engine, Request, Result
from suffice.gating import Pay, Strategies
from suffice.metrics import percentile_interval, resampled_means
from suffice.retrieval import Corpus
from suffice.types import Options, Query

ARMS = ("none", "single", "multi")
PAY = Pay(0.02, 0.001)
N_DRAFT = 8
"""Answers are short; a draft of 20 tokens would be all of them."""
CONFIG = """\
models:
  - {{name: local, provider: local, model: {model}, usd_per_cpu_hour: 0.05,
     options: {{threads: 1, max_tokens: 24, system: "Answer with a few words only."}}}}
store: 'sqlite:///{folder}/suffice.db'
gate: {{name: never, corpus: '{folder}/corpus.db', single: {{k: 2}},
  multi: {{k: 2, max_lookups: 3, max_tokens: 40}}}}
pipelines:
{gates}"""
TWO = """\
  two: {{gate: {{name: always, strategy: multi, corpus: '{folder}/corpus.db', single: {{k: 2}},
    multi: {{k: 2, min_lookups: 2, max_lookups: 3, max_tokens: 40}}}}}}
"""
GATE = """\
  {name}: {{gate: {{path: '{folder}/{name}', corpus: '{folder}/corpus.db', single: {{k: 2}},
    multi: {{k: 2, max_lookups: 3, max_tokens: 40}}}}}}
"""


class Row(msgspec.Struct):
    """One answer."""

    way: str
    id: str
    kind: str
    quality: float
    strategy: str
    lookups: int
    lm_calls: int
    tokens: int
    latency_s: float
    cpu_s: float
    answer: str
    sure: float | None = None
    draft: float | None = None


class Journal:
    """Rows on disk, by way and question."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file.exists() else []
        rows = [msgspec.json.decode(line, type=Row) for line in lines]
        self.rows = {(row.way, row.id): row for row in rows}

    def add(self, row: Row) -> None:
        self.rows[row.way, row.id] = row
        with self._file.open("a") as out:
            out.write(msgspec.json.encode(row).decode() + "\n")


async def ask(engine: Engine, way: str, one: Asked, journal: Journal) -> Row:
    """One question in one way: a strategy, or a gate's pipeline."""
    known = journal.rows.get((way, one.id))
    if known is not None:
        return known
    fields: dict[str, Any] = {"temperature": 0}
    if way == "none":
        fields |= {"logprobs": True, "top_logprobs": 5}
    result = await engine.answer(
        Request(
            query=Query(text=one.text),
            model="auto" if way in ARMS else f"auto:{way}",
            retrieval=way if way in ARMS else None,
            options=Options(fields=fields),
        )
    )
    row = _row(way, one, result)
    journal.add(row)
    return row


def _row(way: str, one: Asked, result: Result) -> Row:
    record, answer = result.record, result.answer
    assert record.retrieval is not None
    tokens = answer.logprobs or ()
    top = [[value for _, value in token.top] for token in tokens][:N_DRAFT]
    return Row(
        way=way,
        id=one.id,
        kind=one.kind,
        quality=float(is_right(answer.content, one.reference)),
        strategy=record.retrieval.strategy,
        lookups=record.retrieval.n_lookups,
        lm_calls=len(record.attempts),
        tokens=record.usage.total_tokens or 0,
        latency_s=record.latency_s,
        cpu_s=float(record.usage.compute_s or 0.0),
        answer=answer.content[:200],
        sure=normalised_probability([token.logprob for token in tokens]).confidence if tokens else None,
        draft=targ(top).confidence if tokens else None,
    )


def fit(asked: list[Asked], journal: Journal, folder: Path) -> None:
    """Two gates, from the training questions' rows."""
    rows = [[journal.rows[arm, one.id] for arm in ARMS] for one in asked]
    table = Strategies.of(
        [one.text for one in asked],
        ARMS,
        [[row.quality for row in of] for of in rows],
        [[row.lookups for row in of] for of in rows],
        [[row.lm_calls for row in of] for of in rows],
        readings={
            "normalised_probability": [
                [np.nan if row.sure is None else row.sure for row in of] for of in rows
            ],
            "prefix_margin": [[np.nan if row.draft is None else row.draft for row in of] for of in rows],
        },
    )
    scores = np.full(table.quality.shape, np.nan)
    for name, gate in (
        ("probe", gating.create("confidence_probe", signal="normalised_probability")),
        ("draft", gating.create("prefix_margin", n_tokens=N_DRAFT)),
    ):
        gate.fit(table, scores, PAY).save(folder / name)
        print(f"{name}: threshold {gate.cut_:.3f}, else {table.arms[gate.other_]}")


def show(ways: tuple[str, ...], asked: list[Asked], journal: Journal) -> None:
    heads = (
        ("accuracy", 9),
        ("95 %", 14),
        ("look-ups", 9),
        ("calls", 7),
        ("tokens", 8),
        ("wall s", 8),
        ("CPU s", 7),
    )
    print(" " * 16 + "".join(f"{head:>{width}}" for head, width in heads) + "  by kind")
    for way in ways:
        line(way, [journal.rows[way, one.id] for one in asked])
    best = [
        max((journal.rows[arm, one.id] for arm in ARMS), key=lambda row: (row.quality, -row.lookups))
        for one in asked
    ]
    line("oracle", best)


def line(name: str, rows: list[Row]) -> None:
    right = np.array([row.quality for row in rows])
    low, high = percentile_interval(resampled_means(right[:, None], 2000)[:, 0])
    mean = {what: np.mean([getattr(row, what) for row in rows]) for what in ("lookups", "lm_calls", "tokens")}
    wall, cpu = (np.mean([getattr(row, what) for row in rows]) for what in ("latency_s", "cpu_s"))
    kinds = "  ".join(f"{kind} {np.mean([r.quality for r in rows if r.kind == kind]):.2f}" for kind in KINDS)
    print(
        f"{name:<16}{right.mean():>9.3f}{f'{low:.2f}-{high:.2f}':>14}{mean['lookups']:>9.2f}"
        f"{mean['lm_calls']:>7.2f}{mean['tokens']:>8.0f}{wall:>8.1f}{cpu:>7.1f}  {kinds}"
    )


async def measure(
    model: str, n_train: int, n_test: int, journal: Journal, folder: Path, *, has_two: bool
) -> None:
    documents, train, test = questions(n_train, n_test)
    corpus = Corpus(folder / "corpus.db")
    corpus.add(documents)
    corpus.close()
    (folder / "suffice.yaml").write_text(
        CONFIG.format(model=model, folder=folder, gates=TWO.format(folder=folder))
    )
    engine = build(load(folder / "suffice.yaml"))
    for one in (*train, *test):
        for way in ARMS:
            await ask(engine, way, one, journal)
    for one in test if has_two else ():
        await ask(engine, "two", one, journal)
    await engine.close()
    fit(train, journal, folder)
    gates = "".join(GATE.format(name=name, folder=folder) for name in ("probe", "draft"))
    (folder / "suffice.yaml").write_text(CONFIG.format(model=model, folder=folder, gates=gates))
    engine = build(load(folder / "suffice.yaml"))
    for one in test:
        for way in ("probe", "draft"):
            await ask(engine, way, one, journal)
    await engine.close()
    print(f"{len(documents)} documents; {len(train)} questions to fit on, {len(test)} to judge")
    show((*ARMS, *(("two",) if has_two else ()), "probe", "draft"), test, journal)
    total = sum(row.cpu_s for row in journal.rows.values())
    print(f"{total / 60:.1f} CPU-minutes of the model")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="small")
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--train", type=int, default=8)
    parser.add_argument("--test", type=int, default=12)
    parser.add_argument("--two", action="store_true", help="also `multi` held to at least two look-ups")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(
            measure(wish.model, wish.train, wish.test, Journal(wish.journal), Path(folder), has_two=wish.two)
        )


if __name__ == "__main__":
    main()
