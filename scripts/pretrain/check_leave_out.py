"""Does the built-in router route a benchmark that it never met?

    python -m scripts.pretrain.check_leave_out --data FOLDER

For GSM8K, then MMLU: all sources' questions of it and their near twins are left out, the router is trained
on the rest, and routes RouteLLM's pair knowing two names and two prices. Contaminated rows are dropped.
"""

from __future__ import annotations

import argparse
import csv
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow.parquet as pq
from scripts.pretrain.corpus import load
from scripts.pretrain.reading import learn
from scripts.pretrain.train import CACHE, GSM8K, MMLU, PANEL, artefact, left_out

from suffice.metrics.pairwise import apgr
from suffice.routers import builtin, prior
from suffice.routers.builtin_data import Facts, Pretrained
from suffice.types import Candidate, Price, Query

STRONG: Final = "gpt-4-1106-preview"
WEAK: Final = "mistralai/Mixtral-8x7B-Instruct-v0.1"
_N_RESAMPLES: Final = 1000


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    corpus = load(folder, PANEL, CACHE)
    for name, pattern in (("gsm8k", GSM8K), ("mmlu", MMLU)):
        rest = corpus.select(~left_out(corpus, pattern))
        facts, arrays = artefact(rest, learn(rest), folder / "prices.csv")
        shipped = Pretrained(msgspec.convert(facts, Facts), arrays)
        texts, strong, weak = _tested(folder / f"routellm_{name}.parquet")
        assert not shipped.seen(texts).any() or shipped.seen(texts).mean() < 1e-3  # four bytes may collide
        gain = _gains(shipped, _panel(folder / "prices.csv"), texts)
        rng = np.random.default_rng(0)
        draws = [rng.integers(len(texts), size=len(texts)) for _ in range(_N_RESAMPLES)]
        low, high = np.percentile([apgr(gain[d], strong[d], weak[d]) for d in draws], (2.5, 97.5))
        point = apgr(gain, strong, weak)
        print(f"{name}: trained on {len(rest.texts)} queries, tested on {len(texts)}; ", end="")
        print(f"APGR {point:.3f}, 95 % interval {low:.3f} to {high:.3f}", flush=True)


def _gains(shipped: Pretrained, panel: list[Candidate], texts: list[str]) -> Any:
    """(n,): what the strong model is expected to gain over the weak one."""
    builtin.pretrained = lambda: shipped  # the variant instead of what the package ships
    prior.facts = lambda: shipped.facts
    scores = builtin.Builtin().from_candidates(panel).scores([Query(text=text) for text in texts])
    return scores[:, 0] - scores[:, 1]


def _panel(prices: Path) -> list[Candidate]:
    with prices.open(encoding="utf-8") as lines:
        rows = {row["model"]: row for row in csv.DictReader(lines)}
    return [
        Candidate(
            name=name,
            provider="recorded",
            model=name,
            price=Price(
                input_usd_per_mtok=Decimal(rows[name]["usd_per_mtok_in"]),
                output_usd_per_mtok=Decimal(rows[name]["usd_per_mtok_out"]),
            ),
        )
        for name in (STRONG, WEAK)
    ]


def _tested(path: Path) -> tuple[list[str], Any, Any]:
    """Texts, and what the strong and the weak model scored."""
    table = pq.read_table(path, columns=["query_id", "query", "model", "score", "contaminated"])
    texts: dict[str, str] = {}
    scores: dict[str, dict[str, float]] = {STRONG: {}, WEAK: {}}
    for row in table.to_pylist():
        if not row["contaminated"]:
            texts[row["query_id"]] = row["query"]
            scores[row["model"]][row["query_id"]] = row["score"]
    strong, weak = (np.array([scores[model][one] for one in texts]) for model in (STRONG, WEAK))
    return list(texts.values()), strong, weak


if __name__ == "__main__":
    main()
