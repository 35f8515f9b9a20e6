"""GPT-4's recorded answers to GSM8K as a teacher's: the data step on all, a small training step on some.

    python benchmarks/distillation/gsm8k.py --data routellm_gsm8k.parquet --out FOLDER
    python benchmarks/distillation/gsm8k.py --data ... --out OTHER --limit 80 --base GEMMA_FOLDER --gguf FILE

RouteLLM's file has one answer of gpt-4-1106-preview for each of GSM8K's 1,319 test questions, 1,307 of which
are not contaminated. Answers are judged by the number that they end with, so that wrong ones are not learnt.
With `--base` Gemma 3 270M learns the answers that are left as texts, and is asked the held questions. Whether
the terms of a recorded model let you train on its answers is yours to read; here it is a measurement.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import yaml

from suffice.distillation import flywheel
from suffice.distillation.flywheel import Runner, read_rows, write_lines

TEACHER = "gpt-4-1106-preview"
FIELDS = ("query_id", "query", "model", "response", "reference", "completion_tokens", "prompt_tokens")
IN_USD, OUT_USD = 10 / 1e6, 30 / 1e6
"""Per token, the model's list price."""


def write_project(asked: argparse.Namespace) -> None:
    rows = [row for row in pq.read_table(asked.data).to_pylist() if row["model"] == TEACHER]
    kept = [row for row in rows if not row["contaminated"]]
    print(f"{len(rows)} answers of {TEACHER}, {len(rows) - len(kept)} contaminated ones left out")
    lines = [
        {name: row[name] for name in FIELDS}
        | {"cost_usd": row["prompt_tokens"] * IN_USD + row["completion_tokens"] * OUT_USD}
        for row in kept[: asked.limit]
    ]
    asked.out.mkdir(parents=True, exist_ok=True)
    write_lines(lines, asked.out / "answers.jsonl")
    (asked.out / "suffice.yaml").write_text("models: []\n")
    project: dict[str, Any] = {
        "name": "sums",
        "teacher": TEACHER,
        "task": {"kind": "generate", "metric": "gsm8k"},
        "collect": {"source": "outcomes", "file": "answers.jsonl", "may_train_on_output": True},
        "curate": {"validation": 0.05, "test": 0.2, "on_leak": "drop"},
        "limits": {"min_rows": 300},
    }
    if asked.base:
        settings = {"base": str(Path(asked.base).resolve()), "max_length": 320, "prompt": "{query}\nAnswer:"}
        project |= {
            "baseline": {"stop_if_enough": False},
            "train": {"trainer": "lora", "settings": settings},
            "evaluate": {"gguf": str(Path(asked.gguf).resolve()), "threads": 1},
        }
    (asked.out / "distill.yaml").write_text(yaml.safe_dump(project, sort_keys=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument(
        "--base", help="folder of Gemma 3 270M for transformers; without it the data step alone"
    )
    parser.add_argument("--gguf", help="the same model in GGUF")
    asked = parser.parse_args()
    write_project(asked)
    runner = Runner(flywheel.load(asked.out))
    for done in runner.run_all(upto="evaluate" if asked.base else "curate"):
        print(f"{done.manifest.stage}: {msgspec.json.encode(done.manifest.counts).decode()}", flush=True)
        for note in done.manifest.notes:
            print(f"  {note}")
    curated = runner.done("curate")
    assert curated is not None
    train = [row for row in read_rows(curated.folder / "rows.jsonl") if row.part == "train"]
    wrong = sum(row.score == 0 for row in train)
    print(f"{len(train)} training records, {wrong} of them wrong by the number they end with")


if __name__ == "__main__":
    main()
