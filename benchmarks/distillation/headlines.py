"""Students of gold labels on HEADLINES: words and a linear head against a tuned 270M language model.

    python benchmarks/distillation/headlines.py --data frugalgpt_headlines_queries.parquet heads
    python benchmarks/distillation/headlines.py --data ... --base FOLDER --out FOLDER lora

    python benchmarks/distillation/headlines.py --data ... --out FOLDER compare

`lora` takes about 300 CPU seconds a seed; what is done is kept in `--out`, an interrupted run goes on.
The settings are those of the method's first measurement (one epoch, rank 8, step size 5e-4); nothing was
chosen by test rows.
"""

from __future__ import annotations

import argparse
import re
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq

from suffice.distillation.assessing.figures import mcnemar
from suffice.distillation.curating.leaks import leak_report
from suffice.distillation.flywheel import Row, Task
from suffice.distillation.students import open_student
from suffice.distillation.trainers import Course, Progress
from suffice.distillation.trainers.head import HeadSettings, HeadTrainer
from suffice.distillation.trainers.lora import Lora, LoraSettings, class_log_probs
from suffice.distillation.trainers.lora import open_student as open_lora
from suffice.metrics import (
    expected_calibration_error,
    percentile_interval,
    resampled_means,
    two_sided_p,
    wilson_interval,
)
from suffice.providers.student_card import read_card

LABELS = ("up", "down", "neutral", "none")
TASK = Task(kind="classify", labels=LABELS)
PROMPT = "{query}\nGold price:"
N_RECORDS, N_TEST, SEEDS, TEST_SEED = 400, 500, (0, 1, 2), 12345
_CHUNK = 50


def read(path: str) -> tuple[list[Row], list[Row]]:
    """Training and test rows, in the file's order."""
    table = pq.read_table(path, columns=["query_id", "split", "query", "reference"]).to_pylist()
    parts: dict[str, list[Row]] = {"train": [], "test": []}
    for one in table:
        row = Row(id=one["query_id"], query=one["query"], label=one["reference"], reference=one["reference"])
        parts[one["split"]].append(row)
    return parts["train"], parts["test"]


def normalised(text: str) -> str:
    """Lower case, without digits and punctuation: "gold up 1%" and "Gold up 2 %" are twins."""
    return " ".join(re.sub(r"[\d\W_]+", " ", text.lower()).split())


def drawn(rows: list[Row], n: int, seed: int) -> list[Row]:
    order = np.random.default_rng(seed).permutation(len(rows))[:n]
    return [rows[i] for i in order.tolist()]


def lora(train: list[Row], test: list[Row], base: str, out: Path) -> None:
    """One adapter and the log-probabilities (n, 4) of the test rows for every seed."""
    held = drawn(test, N_TEST, TEST_SEED)
    for seed in SEEDS:
        folder = out / f"seed-{seed}"
        if (folder / "test.npy").is_file():
            continue
        start = time.process_time()
        if not (folder / "student.json").is_file():
            trained = Lora(LoraSettings(base=base, prompt=PROMPT, seed=seed)).train(
                Course(drawn(train, N_RECORDS, seed), [], TASK, folder, print, partial(_shown, seed))
            )
            seconds = time.process_time() - start
            print(f"seed {seed}: {trained.facts['n_steps']} steps in {seconds:.0f} CPU-s", flush=True)
        start = time.process_time()
        np.save(folder / "test.npy", scored(folder, [row.query for row in held]))
        print(f"seed {seed}: {len(held)} rows scored in {time.process_time() - start:.0f} CPU-s", flush=True)


def _shown(seed: int, one: Progress) -> None:
    if one.step % 10 == 0:
        print(f"seed {seed}: step {one.step} of {one.n_steps}, loss {one.loss:.3f}", flush=True)


def scored(folder: Path, texts: list[str]) -> np.ndarray:
    card = read_card(folder)
    model, parts = None, []
    for start in range(0, len(texts), _CHUNK):
        kept = folder / f"chunk-{start}.npy"
        if not kept.is_file():
            model = model or open_lora(folder, card)
            np.save(kept, class_log_probs(model, card, texts[start : start + _CHUNK]))
        parts.append(np.load(kept))
    return np.concatenate(parts)


def head(train: list[Row], test: list[Row], features: str = "both") -> tuple[np.ndarray, float, float]:
    """Whether each test row is right, and CPU seconds of training and of answering."""
    with TemporaryDirectory() as folder:
        start = time.process_time()
        HeadTrainer(HeadSettings(features=features)).train(Course(train, [], TASK, Path(folder)))
        middle = time.process_time()
        said = open_student(folder).answer([row.query for row in test])
        end = time.process_time()
    right = np.array([text == row.label for text, row in zip(said.texts, test, strict=True)])
    return right, middle - start, end - middle


def heads(train: list[Row], test: list[Row]) -> None:
    """Accuracy over the number of training rows, on all test rows and on those without a twin."""
    leaks = leak_report([row.query for row in test], [row.query for row in train])
    kinds = ", ".join(f"{name} {leak.n}" for name, leak in leaks.kinds.items())
    print(f"leak report: {leaks.n_any} of {len(test)} test rows were seen ({kinds})")
    seen = {normalised(row.query) for row in train}
    clean = np.array([normalised(row.query) not in seen for row in test])
    print(f"rows without a normalised twin: {clean.sum()}")
    print("n      features  all    95 %            no twin  95 %            train   answer (CPU-s)")
    for features in ("words", "both"):
        for n in (200, 400, 1_000, 2_000, 5_000):
            right, fit, ask = head(drawn(train, n, 0), test, features)
            cells = [f"{n:<6} {features:<9}"]
            for chosen in (np.ones(len(test), bool), clean):
                low, high = wilson_interval(right[chosen].sum(), chosen.sum())
                cells.append(f"{right[chosen].mean():.4f} {low:.3f} to {high:.3f}  ")
            print(" ".join([*cells, f"{fit:6.1f}  {ask:6.2f}"]), flush=True)


def compare(train: list[Row], test: list[Row], out: Path) -> None:
    """LoRA against the head on the same records, on the same test rows."""
    held = drawn(test, N_TEST, TEST_SEED)
    gold = np.array([LABELS.index(row.label or "") for row in held])
    totals = np.zeros(2, int)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for seed in SEEDS:
        records = drawn(train, N_RECORDS, seed)
        logs = np.load(out / f"seed-{seed}" / "test.npy")
        tuned, words = logs.argmax(axis=1) == gold, head(records, held)[0]
        only = int((tuned & ~words).sum()), int((words & ~tuned).sum())
        seen = {normalised(row.query) for row in records}
        clean = np.array([normalised(row.query) not in seen for row in held])
        p = np.exp(logs - logs.max(axis=1, keepdims=True))
        sure = p.max(axis=1) / p.sum(axis=1)
        quarters = np.array_split(tuned[np.argsort(-sure, kind="stable")], 4)
        low, high = wilson_interval(tuned.sum(), len(tuned))
        ece = expected_calibration_error(sure, tuned)
        shares = " ".join(f"{part.mean():.2f}" for part in quarters)
        print(f"seed {seed}: LoRA {tuned.mean():.3f} ({low:.3f} to {high:.3f}), head {words.mean():.3f}")
        print(f"  only one right {only[0]} to {only[1]}, McNemar p = {mcnemar(*only):.1e}")
        print(f"  {clean.sum()} rows without a twin: {tuned[clean].mean():.3f} to {words[clean].mean():.3f}")
        print(f"  ECE {ece:.3f}; accuracy by quarter of confidence {shares}", flush=True)
        totals += only
        found.append((tuned, words))
    both = [np.mean([one[side] for one in found], axis=0) for side in (0, 1)]
    difference = both[0] - both[1]
    drawn_means = resampled_means(difference[:, None], 20_000)[:, 0]
    low, high = percentile_interval(drawn_means)
    print(
        f"over {len(SEEDS)} seeds: LoRA {both[0].mean():.3f}, head {both[1].mean():.3f}; difference "
        f"{difference.mean():+.3f} (paired bootstrap over rows {low:+.3f} to {high:+.3f}, p = "
        f"{two_sided_p(drawn_means):.1e}); all discordant pairs {totals[0]} to {totals[1]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["heads", "lora", "compare"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--base", help="folder of the base in the format of transformers")
    parser.add_argument("--out", type=Path, default=Path("headlines-students"))
    asked = parser.parse_args()
    train, test = read(asked.data)
    if asked.part == "heads":
        heads(train, test)
    elif asked.part == "lora":
        lora(train, test, asked.base, asked.out)
    else:
        compare(train, test, asked.out)


if __name__ == "__main__":
    main()
