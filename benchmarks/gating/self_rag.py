"""A small language model taught to say [Retrieval], as a gate on AdaRAGUE's recorded runs.

    python benchmarks/gating/self_rag.py --data adarague.parquet --model DIR

The model (a directory in the format of transformers, or tiny) learns which strategy is the simplest that
answered right, from --train questions of the 70 % that `adarague.py` fits on; at which price of a look-up its
signals are followed is chosen on --choose others of them. Judged are --test questions of the other 30 %.
Beside it a linear router on the query's words, taught from the same questions and from all.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from adarague import cut

from suffice import embedders, gating
from suffice.distillation import SelfRag, learn_signals, signal_labels
from suffice.evaluation.gating import (
    PRICES,
    GateFigures,
    Predictor,
    Recordings,
    baselines,
    figures,
    read_recordings,
)
from suffice.gating import Pay
from suffice.routers.tuning import Progress, Schedule
from suffice.types import FloatArray


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", type=int, default=500)
    parser.add_argument("--choose", type=int, default=150)
    parser.add_argument("--test", type=int, default=420)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    wish = parser.parse_args()
    whole, rest = cut(read_recordings(wish.data), wish.seed)
    rng = np.random.default_rng(wish.seed)
    order = rng.permutation(whole.table.n_queries)
    train = whole.select(order[: wish.train])
    choose = whole.select(order[wish.train : wish.train + wish.choose])
    test = rest.select(rng.permutation(rest.table.n_queries)[: wish.test])
    started = time.process_time()
    model = SelfRag.open(wish.model, n_layers=wish.layers, max_length=128, seed=wish.seed)
    schedule = Schedule(
        epochs=10.0, max_steps=wish.steps, batch=8, rate=5e-4, head_rate=5e-4, patience=4, seed=wish.seed
    )

    def told(one: Progress) -> None:
        print(f"step {one.step}: {one.held_out_loss:.3f} on rows held out", flush=True)

    wanted = signal_labels(train.table)
    print(f"{len(wanted)} questions to learn from: {np.bincount(wanted)} want none, one, several", flush=True)
    best = learn_signals(model, train.table.texts, wanted, schedule=schedule, report=told)
    print(f"best step {best.step}; {time.process_time() - started:.0f} s CPU")
    shown = {"[Retrieval] of the tuned model": [model.signals(part.table.texts) for part in (choose, test)]}
    parts = {f"words, the same {wish.train}": train, "words, all of the 70 %": _without(whole, choose)}
    for name, part in parts.items():
        predictor = Predictor(embedder=embedders.create("hashed"))
        predictor.fit(part, gating.create("classifier").targets(part.table))
        shown[name] = [predictor.scores(other.table.queries) for other in (choose, test)]
    print(f"judged on {test.table.n_queries}; {time.process_time() - started:.0f} s CPU")
    print(f"{'':<32}{'accuracy':>9}{'95 %':>14}{'look-ups':>9}{'price':>7}  AUROC")
    for name, found in baselines(test.table).items():
        _row(name, found)
    for name, (first, second) in shown.items():
        price = _price(choose, first)
        gate = gating.create("classifier").fit(test.table, second, Pay(price, 0.05 * price))
        gate.calls_ = np.stack([whole.table.retrieval_calls.mean(axis=0), whole.table.lm_calls.mean(axis=0)])
        _row(name, figures(name, gate, test.table, second, price))


def _without(whole: Recordings, some: Recordings) -> Recordings:
    kept = set(some.table.texts)
    return whole.select(np.array([text not in kept for text in whole.table.texts]))


def _price(part: Recordings, scores: FloatArray) -> float:
    """The fewest look-ups without loss against the best fixed strategy, else the highest accuracy."""
    target = float(part.table.quality.mean(axis=0).max())
    points = []
    for price in PRICES:
        gate = gating.create("classifier").fit(part.table, scores, Pay(price, 0.05 * price))
        walked = gate.walk(part.table, scores)
        points.append((walked.quality.mean(), walked.retrieval_calls.mean(), price))
    enough = [point for point in points if point[0] >= target]
    return min(enough, key=lambda p: p[1])[2] if enough else max(points, key=lambda p: p[0])[2]


def _row(name: str, one: GateFigures) -> None:
    low, high = one.in_accuracy_ci
    price = "" if one.retrieval_price is None else f"{one.retrieval_price:g}"
    area = "" if one.auroc_needs_retrieval is None else f"{one.auroc_needs_retrieval:7.2f}"
    between = f"{low:.2f}-{high:.2f}"
    print(f"{name:<32}{one.in_accuracy:>9.3f}{between:>14}{one.retrieval_calls:>9.2f}{price:>7}{area}")


if __name__ == "__main__":
    main()
