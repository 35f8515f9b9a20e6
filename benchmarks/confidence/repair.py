"""What losses, a temperature and training in one domain do to a classifier's confidence.

    python benchmarks/confidence/repair.py losses --data DIR --encoder DIR [--train 1200] [--test 1000]
    python benchmarks/confidence/repair.py domain --data DIR --encoder DIR

The classifier says whether Mixtral answers a question of MMLU rightly (routellm_mmlu).

`losses`: a network with a hidden layer on the vectors of a frozen encoder, with the losses and the head of
the router `bert`; a fifth of the training rows is held out. "To the last step" is training as it is often
done, and what makes classifiers too sure; "stopped early" goes back to the step of the least loss on the rows
held out, as our routers do. Three draws of rows that share none; figures are over all three test parts.

`domain`: the router `bert` itself (all layers frozen but the last), trained on other subjects, then with
`adapt` on some rows of one subject, judged on the rest of it.

p is the chance of being right: its entropy in nats (at most 0.69), its ECE against right or wrong (15 bins;
95 %, questions drawn with replacement), its AUROC.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from suffice import routers
from suffice.metrics import auroc, bootstrap_ci, expected_calibration_error, negative_log_likelihood
from suffice.outcomes import Outcomes
from suffice.routers.encoder import Encoder
from suffice.routers.heads import QualityHead, as_numpy, fitted_temperature
from suffice.routers.losses import LOSSES, Loss
from suffice.routers.pytorch import seeded
from suffice.routers.tuning import Rows, Schedule, tune
from suffice.types import FloatArray

ARM: Final = "mistralai/Mixtral-8x7B-Instruct-v0.1"
SUBJECT: Final = "mmlu/professional_law"
CASES: Final = (*map(Loss, LOSSES), Loss("gatekeeper", 0.5))
HIDDEN: Final = 128
HELD_OUT: Final = 0.2
SEEDS: Final = 3
HEAD: Final = f"{'':34} entropy  accuracy    NLL    ECE  95 % interval  AUROC"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("losses", "domain"))
    parser.add_argument("--data", type=Path, required=True, help="directory with routellm_mmlu.parquet")
    parser.add_argument("--encoder", required=True, help="a directory in the format of transformers, or tiny")
    parser.add_argument("--train", type=int, default=1200)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args()
    started = time.process_time()
    outcomes = Outcomes.read(options.data / "routellm_mmlu.parquet").select(arms=[ARM])
    (losses if options.part == "losses" else domain)(outcomes, options)
    print(f"{time.process_time() - started:.0f} s CPU")


def losses(outcomes: Outcomes, options: argparse.Namespace) -> None:
    size = options.train + options.test
    order = np.random.default_rng(0).permutation(len(outcomes.quality))[: SEEDS * size]
    encoder = Encoder.open(options.encoder, max_length=128)
    states = encoder.all_states(encoder.tokens([outcomes.texts[row] for row in order]))
    right = outcomes.quality[order]
    draws = [np.arange(seed * size, (seed + 1) * size) for seed in range(SEEDS)]
    truth = np.concatenate([right[rows[options.train :], 0] for rows in draws])
    print(f"{SEEDS} x {options.train} rows to learn from, {truth.mean():.1%} of {len(truth)} test rows right")
    for is_stopped, way in ((False, "to the last step"), (True, "stopped early")):
        print(HEAD.replace(" " * len(way), way, 1))
        for loss in CASES:
            parts = [
                classified(states[rows], right[rows], options, loss, seed, is_stopped=is_stopped)
                for seed, rows in enumerate(draws)
            ]
            name = loss.name if loss.strength is None else f"{loss.name}, {loss.strength:g}"
            show(name, np.concatenate([plain for plain, _, _ in parts]), truth)
            heats = "/".join(f"{heat:.2g}" for _, _, heat in parts)
            show(f"  + temperature {heats}", np.concatenate([warm for _, warm, _ in parts]), truth)


def classified(
    states: Any, right: FloatArray, options: argparse.Namespace, loss: Loss, seed: int, *, is_stopped: bool
) -> tuple[FloatArray, FloatArray, float]:
    """Chances of the test rows before and after the temperature, and the temperature."""
    import torch

    n_inside = round((1 - HELD_OUT) * options.train)
    inside, held = np.arange(n_inside), np.arange(n_inside, options.train)
    with seeded(seed):
        body = torch.nn.Sequential(torch.nn.Linear(states.shape[1], HIDDEN), torch.nn.ReLU())
        head = QualityHead(HIDDEN, 1)
        head.teach(right[: options.train], states.device)
        for head.criterion in loss.stages:
            fit(body, head, states, (inside, held), options.epochs, seed, is_stopped=is_stopped)
        with torch.no_grad():
            chances = as_numpy(head.module(body(states)).sigmoid())[:, 0]
    temperature = fitted_temperature(chances[held], right[held, 0])
    test = chances[options.train :]
    return test, temperature.predict(test), temperature.temperature_


def fit(
    body: Any,
    head: QualityHead,
    states: Any,
    parts: tuple[Rows, Rows],
    epochs: int,
    seed: int,
    *,
    is_stopped: bool,
) -> None:
    """Train in place; without a stop the last look counts as the best."""
    import torch

    inside, held = parts
    looks = iter(range(1000))

    def look() -> float:
        with torch.no_grad():
            return float(head.loss(body(states[held]), held)) if is_stopped else -float(next(looks))

    schedule = Schedule(
        epochs=epochs, max_steps=10**6, batch=32, rate=1e-3, head_rate=1e-3, patience=10, seed=seed
    )
    tune(body, head.module, lambda rows: head.loss(body(states[rows]), rows), look, [], inside, schedule)


def domain(outcomes: Outcomes, options: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    is_own = np.array([task == SUBJECT for task in outcomes.tasks])
    own, others = (rng.permutation(np.flatnonzero(mask)) for mask in (is_own, ~is_own))
    few, test = own[: options.train // 3], outcomes.select(own[-options.test // 2 :])
    truth = test.quality[:, 0]

    def made() -> Any:
        return routers.create("bert", encoder=options.encoder, frozen_layers=5, max_length=160)

    print(f"{options.train} rows of other subjects, {len(few)} of {SUBJECT}; {len(truth)} test rows of it, "
          f"{truth.mean():.1%} right")  # fmt: skip
    print(HEAD)
    router = made().fit(outcomes.select(others[: options.train]))
    show("trained on other subjects", router.scores(test.queries)[:, 0], truth)
    show("  then adapted", router.adapt(outcomes.select(few)).scores(test.queries)[:, 0], truth)
    show("trained on the subject alone", made().fit(outcomes.select(few)).scores(test.queries)[:, 0], truth)
    show("rate of the subject's rows", np.full(len(truth), outcomes.quality[few].mean()), truth)


def show(name: str, chances: FloatArray, right: FloatArray) -> None:
    p = np.clip(chances, 1e-12, 1 - 1e-12)
    entropy = float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean())
    span = bootstrap_ci(expected_calibration_error, chances, right)
    print(
        f"{name:34} {entropy:7.3f} {((chances >= 0.5) == right).mean():9.3f}"
        f" {negative_log_likelihood(chances, right):6.3f} {expected_calibration_error(chances, right):6.3f}"
        f"  {span.low:.3f} to {span.high:.3f} {auroc(chances, right):6.3f}"
    )


if __name__ == "__main__":
    main()
