"""A small language model learns to state how sure one may be: DPO on calibration pairs, or a scored reward.

    python benchmarks/confidence/preference_tuning.py --model DIR --method dpo
    python benchmarks/confidence/preference_tuning.py --model DIR --method reward [--rule log]

Data: the recorded panel that ships with Suffice, greedy answers of its largest candidate, right or wrong.
Templates are split, so that no test question has a near equal among the training ones. The model (a directory
in the format of transformers) reads question and answer and states a digit. Judged on test are the digit
itself ("stated", the likeliest) and the mean over digits. Entropy: of what could be stated, in nats, at most
2.30. "Rate of training" says the same to every question: the share of right training answers. ECE has ten
bins, one for each digit; intervals are 95 %, questions drawn with replacement.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from suffice.datasets.panel import load_runs
from suffice.distillation import LEVELS, Examples, StatedConfidence, learn_by_preference, learn_by_reward
from suffice.metrics import auroc, bootstrap_ci, brier_score, expected_calibration_error
from suffice.routers.frozen import above_frozen
from suffice.routers.tuning import Progress, Schedule
from suffice.types import FloatArray

N_BINS: Final = 10  # one for each digit
HEAD: Final = f"{'':28} entropy  stated   ECE  95 % interval  Brier  AUROC  95 % interval"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="a directory in the format of transformers, or tiny")
    parser.add_argument("--method", choices=("dpo", "reward"), required=True)
    parser.add_argument("--rule", choices=("brier", "log"), default="brier", help="of the reward")
    parser.add_argument("--candidate", default="large")
    parser.add_argument("--train", type=int, default=320)
    parser.add_argument("--test", type=int, default=240)
    parser.add_argument("--layers", type=int, default=4, help="that are trained, from the last")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="directory for what was learnt")
    options = parser.parse_args()
    started = time.process_time()
    train, test = halves(options.candidate, options.train, options.test, options.seed)
    model = StatedConfidence.open(options.model, n_layers=options.layers, max_length=192, seed=options.seed)
    body, read = above_frozen(model.body, model.prompts(test.questions, test.answers))

    def distribution() -> FloatArray:
        return np.asarray(model.digits(body.all_states(read)).exp().cpu().numpy(), np.float64)

    for side, name in ((train, "to learn from"), (test, "to judge on")):
        print(f"{len(side.right)} answers {name}, {side.right.mean():.1%} right")
    print(HEAD)
    show("before", distribution(), test.right)
    best = learn(model, train, options)
    show(f"after {options.method}", distribution(), test.right)
    row("rate of training", 0.0, np.full(len(test.right), train.right.mean()), test.right)
    print(f"best step {best.step} of {best.n_steps}; {time.process_time() - started:.0f} s CPU")
    if options.save:
        model.save(options.save)


def halves(candidate: str, n_train: int, n_test: int, seed: int) -> tuple[Answers, Answers]:
    """What to learn from and what to judge on; a template's questions are all on one side."""
    runs = load_runs().where(strategy="greedy", model=candidate)
    names = ("template", "query", "response", "score")
    rows = list(zip(*(runs.column(name) for name in names), strict=True))
    templates = np.random.default_rng(seed).permutation(sorted({row[0] for row in rows})).tolist()
    rows.sort(key=lambda row: templates.index(row[0]))
    ends = (n_train, n_train + n_test)
    if ends[1] > len(rows) or n_train % (len(rows) // len(templates)):
        raise SystemExit(f"{len(rows)} answers, {len(rows) // len(templates)} of each template")
    first, second = rows[: ends[0]], rows[ends[0] : ends[1]]
    return Answers.of(first), Answers.of(second)


class Answers(NamedTuple):
    questions: list[str]
    answers: list[str]
    right: FloatArray

    @classmethod
    def of(cls, rows: list[Any]) -> Answers:
        return cls([row[1] for row in rows], [row[2] for row in rows], np.array([row[3] for row in rows]))


def learn(model: StatedConfidence, train: Answers, options: argparse.Namespace) -> Progress:
    schedule = Schedule(
        epochs=100,
        max_steps=options.steps,
        batch=8,
        rate=options.rate,
        head_rate=options.rate,
        patience=10,
        seed=options.seed,
    )
    examples = Examples(model.prompts(train.questions, train.answers), train.right)
    if options.method == "dpo":
        return learn_by_preference(model, examples, schedule=schedule, report=tell)
    return learn_by_reward(model, examples, rule=options.rule, schedule=schedule, report=tell)


def tell(look: Progress) -> None:
    print(f"step {look.step}: loss {look.loss:.4f}, held out {look.held_out_loss:.4f}", file=sys.stderr)


def show(name: str, chances: FloatArray, right: FloatArray) -> None:
    entropy = float(-(chances * np.log(np.maximum(chances, 1e-12))).sum(axis=1).mean())
    row(f"{name}, stated", entropy, LEVELS[chances.argmax(axis=1)], right)
    row(f"{name}, mean of digits", entropy, chances @ LEVELS, right)


def row(name: str, entropy: float, confidence: FloatArray, right: FloatArray) -> None:
    ece = expected_calibration_error(confidence, right, n_bins=N_BINS)
    span = bootstrap_ci(expected_calibration_error, confidence, right, n_bins=N_BINS)
    order, around = auroc(confidence, right), bootstrap_ci(auroc, confidence, right)
    print(
        f"{name:28} {entropy:7.2f} {confidence.mean():7.3f} {ece:6.3f}  {span.low:.3f} to {span.high:.3f}"
        f" {brier_score(confidence, right):6.3f} {order:6.3f}  {around.low:.3f} to {around.high:.3f}"
    )


if __name__ == "__main__":
    main()
