"""Gates on AdaRAGUE's recorded runs: none, single (BM25, 15 passages) and multi (IRCoT) of Llama-3.1-8B.

    python benchmarks/gating/adarague.py --data adarague.parquet [--seeds 5] [--part splits|sets|signals]

splits: 70 % to fit and to choose on, 30 % to judge, several times. sets: fitted to five of the six question
sets, judged on the sixth. signals: SeaKR's readings of the closed-book answer and Adaptive-RAG's T5
classifier, on the questions that have them, beside the stepwise gate on the same ones.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
from pathlib import Path

import numpy as np

from suffice.evaluation.gating import (
    DEFAULT_GATES,
    GateFigures,
    GateReport,
    Recordings,
    compare,
    read_recordings,
)
from suffice.outcomes import Runs

SIGNALS = {"perplexity": False, "ln_entropy": False, "eigen_score": False}
"""SeaKR's, and whether higher is surer."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--part", choices=("splits", "sets", "signals"), default="splits")
    options = parser.parse_args()
    {"splits": splits, "sets": sets, "signals": signals}[options.part](options.data, options.seeds)


def splits(path: Path, seeds: int) -> None:
    whole = read_recordings(path)
    for what, value in whole.assumed.items():
        print(f"{what}: {value}")
    reports = [
        compare(*cut(whole, seed), gates={name: {} for name in DEFAULT_GATES}, seed=seed)
        for seed in range(seeds)
    ]
    print(f"{reports[0].n_train} to fit, {reports[0].n_test} to judge, means over {seeds} splits")
    show(reports)


def sets(path: Path, seeds: int) -> None:
    whole = read_recordings(path)
    print("fitted to the others   accuracy: never single  multi  oracle   gate  look-ups of multi's")
    for name in sorted({task for task in whole.tasks if task}):
        inside = np.array([task == name for task in whole.tasks])
        found = compare(whole.select(~inside), whole.select(inside), gates={"stepwise": {}})
        base, best = found.baselines, found.recommended
        share = best.retrieval_calls / base["multi"].retrieval_calls
        fixed = "".join(f"{base[one].in_accuracy:>7.3f}" for one in ("never", "single", "multi", "oracle"))
        print(f"{name:<31}{fixed}{best.in_accuracy:>8.3f}{share:>8.2f}", flush=True)


def signals(path: Path, seeds: int) -> None:
    whole = read_recordings(path, signals=tuple(SIGNALS))
    known = ~np.isnan(whole.table.readings["perplexity"][:, 0])
    part = whole.select(known)
    print(f"{known.sum()} questions with SeaKR's readings")
    gates = {
        f"confidence_probe({one})": {"signal": one, "higher_is_surer": up} for one, up in SIGNALS.items()
    }
    reports = [compare(*cut(part, seed), gates={"stepwise": {}, **gates}, seed=seed) for seed in range(seeds)]
    show(reports)
    t5(path)


def t5(path: Path) -> None:
    """Adaptive-RAG's classifier: the strategy with the highest of its three probabilities."""
    names = ("none", "single", "multi")
    rows = Runs.read(path)
    wanted = {f"t5_p_{name}": rows.column(f"t5_p_{name}") for name in names}
    ids, strategies, scores = rows.column("query_id"), rows.column("strategy"), rows.column("score")
    chosen = {}
    for row, one in enumerate(ids):
        chances = [wanted[f"t5_p_{name}"][row] for name in names]
        if None not in chances:
            chosen[one] = names[int(np.argmax(chances))]
    quality = {(one, name): score for one, name, score in zip(ids, strategies, scores, strict=True)}
    accuracy = np.mean([quality[one, name] for one, name in chosen.items()])
    multi = np.mean([quality[one, "multi"] for one in chosen])
    calls = np.mean([{"none": 0.0, "single": 1.0, "multi": 3.33}[name] for name in chosen.values()])
    print(
        f"T5, {len(chosen)} questions: {accuracy:.3f} with {calls:.2f} look-ups; multi {multi:.3f} with 3.33"
    )


def cut(whole: Recordings, seed: int) -> tuple[Recordings, Recordings]:
    order = np.random.default_rng(seed).permutation(whole.table.n_queries)
    n = int(0.7 * len(order))
    return whole.select(np.sort(order[:n])), whole.select(np.sort(order[n:]))


def show(reports: list[GateReport]) -> None:
    multi = np.mean([one.baselines["multi"].retrieval_calls for one in reports])

    def row(name: str, found: list[GateFigures]) -> None:
        accuracy, calls, lm = (
            np.mean([getattr(one, what) for one in found])
            for what in ("in_accuracy", "retrieval_calls", "lm_calls")
        )
        areas = [one.auroc_needs_retrieval for one in found if one.auroc_needs_retrieval is not None]
        area = f"{np.mean(areas):>7.2f}" if areas else ""
        print(f"{name:<32}{accuracy:>9.3f}{calls:>9.2f}{calls / multi:>9.2f}{lm:>9.2f}{area}")

    print(f"{'':<32}{'accuracy':>9}{'look-ups':>9}{'of multi':>9}{'lm calls':>9}  AUROC")
    for name in reports[0].baselines:
        row(name, [one.baselines[name] for one in reports])
    for name in reports[0].gates:
        row(name, [one.gates[name] for one in reports])
    row("recommended", [one.recommended for one in reports])
    if all(one.recommended.gate == "stepwise" for one in reports):
        print("stepwise at every price")
        for place, first in enumerate(reports[0].frontier):
            row(f"  {first.retrieval_price:g}", [one.frontier[place] for one in reports])


if __name__ == "__main__":
    main()
