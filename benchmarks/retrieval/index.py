"""A corpus of 100,000 passages: how long the index takes, and a query.

    python benchmarks/retrieval/index.py [--passages 100000] [--retrievers fts5,bm25s,vector]

Passages of 60 words drawn from a Zipf law over 50,000 made-up words, led by the English stop words; each
query is a question's stop words and three to six words of one passage. `found` is the share of queries
whose passage is among the first five; for fts5 also with no word left out (`fts5, exact`).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from suffice.embedders import HashedNgrams
from suffice.protocols import Retriever
from suffice.retrieval import Corpus, Document, Fts5, create
from suffice.retrieval.words import STOP_WORDS

N_WORDS, N_EACH = 50_000, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--retrievers", default="fts5,bm25s,vector")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    texts = passages(rng, args.passages)
    asked = [
        (row, question(rng, texts[row])) for row in rng.integers(args.passages, size=args.queries).tolist()
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.db"
        corpus = Corpus(path)
        begin, cpu = time.perf_counter(), time.process_time()
        corpus.add(Document(str(row), text) for row, text in enumerate(texts))
        spent, cpu = time.perf_counter() - begin, time.process_time() - cpu
        size = path.stat().st_size / 1e6
        print(f"{args.passages:,} passages indexed in {spent:.1f} s ({cpu:.1f} s CPU), {size:.0f} MB")
        print(f"{'retriever':14}{'first query':>12}{'p50 ms':>9}{'p95 ms':>9}{'found':>8}")
        for name in args.retrievers.split(","):
            measure(name, create(name, corpus, embedder=HashedNgrams()), asked)
            if name == "fts5":
                measure("fts5, exact", Fts5(corpus, max_rows=None), asked[:60])
        corpus.close()


def passages(rng: np.random.Generator, n: int) -> list[str]:
    made = [
        "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), size)) for size in rng.integers(4, 10, N_WORDS)
    ]
    known = np.array([*sorted(STOP_WORDS), *made][:N_WORDS])
    share = 1 / np.arange(1, N_WORDS + 1)
    drawn = rng.choice(known, (n, N_EACH), p=share / share.sum())
    return [" ".join(row) for row in drawn.tolist()]


def question(rng: np.random.Generator, text: str) -> str:
    content = sorted(set(text.split()) - STOP_WORDS)
    words = rng.choice(content, min(int(rng.integers(3, 7)), len(content)), replace=False)
    return f"What is the {' of the '.join(words)} and why?"


def measure(name: str, retriever: Retriever, asked: list[tuple[int, str]]) -> None:
    begin = time.perf_counter()
    retriever.search("first", 5)
    first_s = time.perf_counter() - begin
    times, n_found = [], 0
    for row, query in asked:
        begin = time.perf_counter()
        found = retriever.search(query, 5)
        times.append(1e3 * (time.perf_counter() - begin))
        n_found += any(one.source == str(row) for one in found)
    p50, p95 = np.quantile(times, [0.5, 0.95])
    print(f"{name:14}{first_s:10.2f} s{p50:9.2f}{p95:9.2f}{n_found / len(asked):8.3f}")


if __name__ == "__main__":
    main()
