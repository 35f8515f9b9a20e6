"""Distillation of a local teacher into a head and a tuned 270M model, end to end.

    python benchmarks/distillation/local.py --data frugalgpt_headlines_queries.parquet --out FOLDER \\
        --teacher qwen2.5-coder-1.5b-instruct.gguf [--base GEMMA_FOLDER --gguf gemma-3-270m.gguf]

Qwen2.5-Coder 1.5B labels gold headlines by instruction and 18 examples (one prefix, cached), at temperature
0, the ten likeliest tokens kept. Training rows have no gold: what a student learns is what the teacher said,
after a program has checked that it is a label. Gold stands beside the test rows alone. No test row equals a
training row but for digits and punctuation. The prompt was looked at with 50 training headlines that are not
used otherwise.

Two deferrals, fixed before anything was seen of the test rows: that of the stage `promote`, whose threshold
keeps a promise (mean drop at most 2 points, with 90 %) by 40 % of the test rows; and the surest half, whose
threshold is the median confidence of those rows. Both are judged on the other 60 %.

About 40 CPU minutes for the teacher, 10 for the 270M model; interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from suffice.distillation import flywheel
from suffice.distillation.assessing.answers import STUDENT, TEACHER, Said, column, read_said, table
from suffice.distillation.flywheel import Done, Row, Runner, read_rows
from suffice.distillation.promoting import parted
from suffice.distillation.promoting.stage import held, read_promotion
from suffice.metrics import paired_lower_bound, wilson_interval

LABELS = ("up", "down", "neutral", "none")
ASKED = (
    "You label news headlines about gold. "
    "Say which way the headline says the price of gold moved or is moving:"
    """
up: the price rose, gained, climbed, rallied, hit a high
down: the price fell, lost, slipped, eased, hit a low
neutral: the price is flat, steady, little changed
none: the headline does not say how the price moved (forecasts, advice, imports, mining, other news)
Answer with one word: up, down, neutral or none."""
)
EXAMPLES = {"up": 5, "down": 5, "neutral": 3, "none": 5}
KEPT = ("query_id", "query", "task", "split", "reference")
N_TRAIN, N_TEST, N_TUNED_ON = 620, 880, 100
MARGIN, CALIBRATION = 0.02, 0.4
USD_PER_CPU_HOUR = 0.05


def normalised(text: str) -> str:
    return " ".join(re.sub(r"[\d\W_]+", " ", text.lower()).split())


def drawn(path: str) -> tuple[str, list[dict[str, Any]]]:
    """The instruction with its examples, and the queries."""
    rows = pq.read_table(path).to_pylist()
    shuffled = [row for row in rows if row["split"] == "train"]
    rng = random.Random(7)
    rng.shuffle(shuffled)
    tuned_on, rest = shuffled[:N_TUNED_ON], shuffled[4_000:]
    pick = {name: [row for row in rest if row["reference"] == name][:n] for name, n in EXAMPLES.items()}
    examples = []
    while any(pick.values()):
        examples += [pick[name].pop(0) for name in LABELS if pick[name]]
    instruction = f"{ASKED}\n\n" + "\n".join(f"{row['query']} => {row['reference']}" for row in examples)
    seen = {normalised(row["query"]) for row in (*tuned_on, *examples)}
    rng, found = random.Random(2026), []
    for part, wanted in (("train", N_TRAIN), ("test", N_TEST)):
        pool = [row for row in rows if row["split"] == part]
        rng.shuffle(pool)
        chosen = []
        for row in pool:
            if len(chosen) < wanted and normalised(row["query"]) not in seen:
                seen.add(normalised(row["query"]))
                chosen.append({name: row[name] for name in KEPT})
        found += chosen
    return instruction, found


def write_project(out: Path, asked: argparse.Namespace, train: dict[str, Any]) -> None:
    """`suffice.yaml`, `queries.jsonl` and `distill.yaml`."""
    instruction, queries = drawn(asked.data)
    out.mkdir(parents=True, exist_ok=True)
    for row in queries:
        if row["split"] == "train":
            del row["reference"]
    (out / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    options = {"path": str(Path(asked.teacher).resolve()), "threads": 1, "context": 2048}
    large = {"name": "large", "provider": "local", "model": "large", "usd_per_cpu_hour": USD_PER_CPU_HOUR,
             "may_train_on_output": True, "options": options}  # fmt: skip
    (out / "suffice.yaml").write_text(yaml.safe_dump({"models": [large]}, sort_keys=False))
    project = {
        "name": "headlines",
        "teacher": "large",
        "task": {"kind": "classify", "instruction": instruction, "labels": list(LABELS)},
        "margin": MARGIN,
        "limits": {"usd": 5.0},
        "collect": {"file": "queries.jsonl", "logprobs": 10, "max_tokens": 4, "concurrency": 1,
                    "timeout_s": 600, "fields": {"temperature": 0}},
        "judge": {"pattern": "|".join(LABELS)},
        "curate": {"validation": 0.0, "on_leak": "drop"},
        "baseline": {"heads": ["words"], "stop_if_enough": False},
        "train": train,
        "evaluate": {"gguf": asked.gguf and str(Path(asked.gguf).resolve()), "threads": 1},
        "promote": {"calibration": CALIBRATION, "base": asked.gguf or "base.gguf"},
    }  # fmt: skip
    (out / "distill.yaml").write_text(yaml.safe_dump(project, sort_keys=False, allow_unicode=True))


def run(out: Path) -> dict[str, Done]:
    last = [0]

    def told(done: int, total: int | None, usd: Any) -> None:
        if done >= last[0] + 50 or done < last[0]:
            last[0] = done
            print(f"  {done} of {total or '?'}", flush=True)

    found = {}
    for done in Runner(flywheel.load(out), on_step=told).run_all(past_stops=True):
        found[done.manifest.stage] = done
        print(
            f"{done.manifest.stage}: {'' if done.is_new else 'done before; '}{'; '.join(done.manifest.notes)}"
        )
    return found


def report(name: str, found: dict[str, Done], data: str) -> None:
    """What the teacher was worth, what the student is, and both deferrals."""
    rows = read_rows(found["curate"].folder / "rows.jsonl")
    gold = {row["query_id"]: row["reference"] for row in pq.read_table(data).to_pylist()}
    train = [row for row in rows if row.part == "train"]
    test = [row for row in rows if row.part == "test"]
    said = table(read_said(found["evaluate"].folder / "answers.jsonl"), "test", test)
    right = np.mean([row.label == gold[row.id] for row in train])
    print(f"\n{name}: {len(train)} training records, labels right in {right:.3f}; {len(test)} test rows")
    figures = {who: _figures(own) for who, own in said.items()}
    print("who           gold   95 %             as teacher   USD per 1,000   p50 s    p95 s")
    for who, (quality, low, high, agrees, usd, p50, p95) in figures.items():
        shown = f"{who:<12} {quality:.3f}  {low:.3f} to {high:.3f}  {agrees:>11.3f}"
        print(f"{shown} {usd:>15.6f}   {p50:.4f}   {p95:.4f}")
    mine, dear = figures[STUDENT], figures[TEACHER]
    cheaper, faster = dear[4] / mine[4], dear[5] / mine[5]
    print(f"the student costs 1/{cheaper:.0f} of the teacher and is {faster:.0f} times as fast")
    promotion = read_promotion(found["promote"].folder)
    verdict, served, alone = promotion.verdict, promotion.served, promotion.student
    state = "passes" if verdict.passes else "stopped"
    print(f"promote: {state}, {promotion.serve}, threshold {promotion.threshold}: {verdict.why}")
    print(f"  on {verdict.n} rows {verdict.difference:+.4f}, at least {verdict.low:+.4f}", end="; ")
    print(f"keeps {served.kept:.3f} at {served.cost_share:.3f} of the cost")
    print(f"  the student alone: {alone.difference:+.4f}, at least {alone.low:+.4f}")
    _surest_half(said, test)


def _figures(own: Any) -> tuple[float, ...]:
    quality, latency = column(own, "quality"), column(own, "latency_s")
    low, high = wilson_interval(quality.sum(), len(quality))
    usd = 1000 * float(column(own, "usd").mean())
    return (quality.mean(), low, high, column(own, "agrees").mean(), usd, *np.quantile(latency, (0.5, 0.95)))


def _surest_half(said: Mapping[str, Sequence[Said]], test: Sequence[Row]) -> None:
    """The threshold is the median confidence of the calibration rows: none of their labels is looked at."""
    paired, _ = held(test, [one for own in said.values() for one in own], "test")
    calibrates, judges = parted(paired, CALIBRATION)
    cut = float(np.median(paired.confidence[calibrates]))
    rows = paired.select(judges)
    kept = rows.confidence >= cut
    difference = np.where(kept, rows.student - rows.teacher, 0.0)
    low = paired_lower_bound(difference, clusters=rows.groups())
    paid = (rows.student_usd + np.where(kept, 0.0, rows.teacher_usd)).mean() / rows.teacher_usd.mean()
    quality = np.where(kept, rows.student, rows.teacher).mean()
    print(
        f"the surest half (threshold {cut:.3f} by {calibrates.sum()} rows), {len(rows)} rows: {quality:.3f}, "
        f"the teacher {rows.teacher.mean():.3f}, {difference.mean():+.4f}, at least {low:+.4f} (one-sided "
        f"95 %); keeps {kept.mean():.3f} at {paid:.3f} of the cost"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--teacher", required=True, help="GGUF of the teacher")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", help="folder of Gemma 3 270M for transformers; without it the head alone")
    parser.add_argument("--gguf", help="the same model in GGUF: the student answers by llama.cpp")
    asked = parser.parse_args()
    students: dict[str, dict[str, Any]] = {"head": {"trainer": "head"}}
    if asked.base:
        settings = {"base": str(Path(asked.base).resolve()), "prompt": "{query}\nGold price:"}
        students["lora"] = {"trainer": "lora", "settings": settings}
    for name, train in students.items():
        write_project(asked.out, asked, train)
        report(name, run(asked.out), asked.data)


if __name__ == "__main__":
    main()
