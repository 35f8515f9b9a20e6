"""Train the built-in router and write what the package ships.

    python -m scripts.pretrain.train --data FOLDER [--leave-out REGEX] [--out FOLDER]

FOLDER holds one Parquet file per source of `sources.py`. Reading them is the slow part; it is kept in
`build/pretrain/corpus.npz`, from which an interrupted run goes on. Needs `suffice[train]`.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scripts.pretrain.corpus import Corpus, is_from, load, model_of, near_twins
from scripts.pretrain.domains import DOMAINS
from scripts.pretrain.reading import Reading, learn
from scripts.pretrain.sources import SOURCES

from suffice.routers.builtin_text import text_hashes

PANEL: Final = Path("src/suffice/datasets/panel.parquet")
TARGET: Final = Path("src/suffice/routers/pretrained")
CACHE: Final = Path("build/pretrain/corpus.npz")
FORMAT: Final = 1
GSM8K: Final = r"gsm"
MMLU: Final = r"/mmlu(/|$|\b(?!_))|ori_mmlu|/MMLU_(?!pro)"
"""Where the questions of each stand, in any source; near twins come on top."""
_PRICE_PRIOR: Final = 3.0
"""Sum of squared log prices that must speak against no relation at all."""
_LEVEL: Final = 0.6
"""Logit of an average model on an average question: chosen with the penalties."""


def left_out(corpus: Corpus, pattern: str) -> NDArray[np.bool_]:
    """(n,): queries of the sources and tasks that a pattern matches, and their near twins."""
    named = is_from(corpus, pattern)
    stems = [re.split(r"\n\(?A[.)] ", str(text))[0] for text in corpus.texts]
    return np.asarray(named | near_twins(stems, (str(text) for text in corpus.texts[named])))


def artefact(
    corpus: Corpus, reading: Reading, prices: Path
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Manifest and arrays of a built-in router."""
    slope, mean, sd = price_relation(corpus, reading.fit.ability, prices)
    answers = Counter(str(corpus.arms[arm]).partition(":")[0] for arm in corpus.arm.tolist())
    queries = Counter(
        source
        for origin in corpus.origins
        for source in {one.split("/")[0] for one in str(origin).split("|")}
    )
    facts = {
        "format": FORMAT,
        "domains": DOMAINS,
        "level": _LEVEL,
        "price_slope": round(slope, 4),
        "price_mean": round(mean, 4),
        "ability_sd": round(sd, 4),
        "usual_share": round(reading.usual_share, 4),
        "n_queries": len(corpus.texts),
        "sources": [
            {
                "name": one.name,
                "origin": one.origin,
                "licence": one.licence,
                "queries": queries[one.name],
                "answers": answers[one.name],
            }
            for one in SOURCES
            if answers[one.name]
        ],
    }
    hashes = np.unique(text_hashes([str(text) for text in corpus.texts]))
    steps = np.diff(hashes, prepend=np.uint32(0)).astype(np.uint32)
    return facts, {**reading.arrays(), "hash_steps": steps}


def price_relation(corpus: Corpus, ability: NDArray[np.float64], prices: Path) -> tuple[float, float, float]:
    """Logits of ability per factor ten of output price, log price of average ability, what is left (sd)."""
    with prices.open(encoding="utf-8") as lines:
        known = {
            model_of(f":{row['model']}"): float(row["usd_per_mtok_out"]) for row in csv.DictReader(lines)
        }
    models = {model_of(str(arm)): float(one) for arm, one in zip(corpus.arms, ability, strict=True)}
    pairs = [(np.log10(known[model]), one) for model, one in models.items() if known.get(model)]
    x, y = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    x0, y0 = x.mean(), y.mean()
    slope = max(float((x - x0) @ (y - y0) / ((x - x0) @ (x - x0) + _PRICE_PRIOR)), 0.0)
    sd = float(np.std(y - y0 - slope * (x - x0)))
    return slope, float(x0 - y0 / slope) if slope else float(x0), sd


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--leave-out", metavar="REGEX", help="on source/task, such as zeroeval/")
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    corpus = load(options.data, PANEL, CACHE)
    if options.leave_out:
        corpus = corpus.select(~left_out(corpus, options.leave_out))
    facts, arrays = artefact(corpus, learn(corpus), options.data / "prices.csv")
    options.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.out / "builtin.npz", allow_pickle=False, **arrays)
    text = msgspec.json.format(msgspec.json.encode(facts), indent=1)
    (options.out / "builtin.json").write_bytes(text + b"\n")
    print(f"{facts['n_queries']} queries; {sum(p.stat().st_size for p in options.out.iterdir())} bytes")


if __name__ == "__main__":
    main()
