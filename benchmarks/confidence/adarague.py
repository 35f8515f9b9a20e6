"""Perplexity and entropy of recorded answers: does our reading tell right from wrong as published?

    python benchmarks/confidence/adarague.py --data DIR [--resamples 2000]

SeaKR's answers without retrieval (Llama-3.1-8B-Instruct) to NQ, SQuAD and TriviaQA, as AdaRAGUE published
them with perplexity and length-normalised entropy. Right: a gold answer stands in the answer, both in lower
case, without punctuation and articles. Over all 1,500 test questions the columns have AUROC 0.742
(perplexity) and 0.733 (entropy); some are held out from the file, so ours are those of the rest. The file has
no token log-probabilities: the recorded numbers are read, by `perplexity.read` and `base.nats`.
"""

from __future__ import annotations

import argparse
import json
import re
import string
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from suffice.confidence import perplexity
from suffice.confidence.base import nats
from suffice.metrics import auroc, bootstrap_ci

COLUMNS: Final = ["task", "strategy", "reference", "seakr_answer", "perplexity", "ln_entropy"]
READERS: Final[dict[str, Any]] = {"perplexity": perplexity.read, "ln_entropy": nats}
PUBLISHED: Final = {"perplexity": 0.742, "ln_entropy": 0.733}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with adarague.parquet")
    parser.add_argument("--resamples", type=int, default=2_000)
    args = parser.parse_args()
    table = pq.read_table(args.data / "adarague.parquet", columns=COLUMNS).to_pylist()
    rows = [row for row in table if row["perplexity"] is not None and row["strategy"] == "none"]
    correct = np.array([is_right(row) for row in rows])
    print(f"{len(rows)} questions, {correct.mean():.1%} right")
    print(f"{'signal':<12}{'AUROC':>8}  {'95 % CI':<14}{'all 1,500':>10}")
    for column, read in READERS.items():
        confidence = np.array([read(row[column]).confidence for row in rows])
        low, high = bootstrap_ci(auroc, confidence, correct, n=args.resamples)
        found = auroc(confidence, correct)
        print(f"{column:<12}{found:>8.3f}  {low:.3f}-{high:.3f}   {PUBLISHED[column]:>10.3f}")


def is_right(row: dict[str, Any]) -> bool:
    answer = plain(row["seakr_answer"])
    return any(plain(gold) in answer for gold in json.loads(row["reference"]))


def plain(text: str) -> str:
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


if __name__ == "__main__":
    main()
