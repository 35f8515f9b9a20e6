"""Grade what was recorded and write it as one Parquet file into the package.

    python -m scripts.panel.assemble

Left out, and counted: rows whose question has changed or gone since they were recorded, and questions that
not every candidate has answered yet (a half-asked question would favour whoever was asked).
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.panel.plan import ARMS, Job, Question, extras, greedy, load_templates, questions

from suffice.datasets.grading import grade
from suffice.outcomes import Runs

_LOG = logging.getLogger("assemble")

FOLDER = Path("build/panel")
TARGET = Path("src/suffice/datasets/panel.parquet")
_ORDER = {"greedy": 0, "sample": 1, "paraphrase": 2, "verify": 3}
_FROM_ROW = (
    "response",
    "logprobs",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "cost_usd",
    "cpu_s",
    "finish_reason",
)


def recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """Key -> row of every JSONL file; the first of two wins."""
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            if line.endswith("}"):
                row = json.loads(line)
                rows.setdefault(row["key"], row)
    return rows


def wanted(
    asked: list[Question], rows: Mapping[str, Mapping[str, Any]], arms: tuple[str, ...]
) -> Iterator[Job]:
    """Every call of the plan, in the order of the file: by query, then model, then strategy."""
    answers = {key: str(row["response"]) for key, row in rows.items()}
    jobs = [*greedy(arms, asked), *extras(asked, answers)]
    place = {question.id: i for i, question in enumerate(asked)}
    yield from sorted(
        jobs, key=lambda j: (place[j.question.id], arms.index(j.arm.name), _ORDER[j.strategy], j.sample)
    )


def complete(jobs: list[Job], rows: Mapping[str, Any]) -> list[Job]:
    """The recorded jobs of questions whose every greedy job is recorded."""
    missing = {job.question.id for job in jobs if job.strategy == "greedy" and job.key not in rows}
    return [job for job in jobs if job.key in rows and job.question.id not in missing]


def score(job: Job, response: str) -> float | None:
    """Of an answer; a self-verification is a word about an answer, and has none."""
    if job.strategy == "verify":
        return None
    return grade(job.question.template.check, response, job.question.case.reference)


def full_row(job: Job, row: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the file."""
    question = job.question
    return {
        "query_id": question.id,
        "task": question.template.task,
        "template": question.template.name,
        "query": question.prompt,
        "prompt": job.prompt,
        "check": question.template.check,
        "reference": question.case.reference,
        "model": job.arm.name,
        "strategy": job.strategy,
        "sample": job.sample,
        "temperature": job.temperature,
        "seed": job.seed,
        "prompt_hash": job.prompt_hash,
        "score": score(job, row["response"]),
        **{name: row[name] for name in _FROM_ROW},
        **times(row),
    }


def times(row: Mapping[str, Any]) -> dict[str, float]:
    """Seconds as on an idle core: one thread takes there as long as it keeps the core busy.

    The recording shares its machine, so wall time says little; it is kept as `wall_s`. CPU time is split
    into prefill and decoding as the wall time was.
    """
    cpu_s, wall_s = row["cpu_s"], row["prefill_s"] + row["decode_s"]
    prefill_s = cpu_s * row["prefill_s"] / wall_s if wall_s else 0.0
    return {
        "latency_s": cpu_s,
        "prefill_s": prefill_s,
        "decode_s": cpu_s - prefill_s,
        "wall_s": row["latency_s"],
    }


def table(rows: list[dict[str, Any]]) -> Any:
    """Arrow table; logprobs as lists of (token, logprob, top) with two decimals, seconds with four."""
    import pyarrow as pa

    top = pa.struct([("token", pa.string()), ("logprob", pa.float32())])
    token = pa.struct([("token", pa.string()), ("logprob", pa.float32()), ("top", pa.list_(top))])
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    columns["logprobs"] = pa.array([_tokens(one) for one in columns["logprobs"]], pa.list_(token))
    for name in ("cpu_s", "prefill_s", "decode_s", "latency_s", "wall_s"):
        columns[name] = [round(value, 4) for value in columns[name]]
    columns["cost_usd"] = [round(value, 10) for value in columns["cost_usd"]]
    return pa.table(columns)


def _tokens(compact: list[list[Any]]) -> list[dict[str, Any]]:
    return [
        {
            "token": token,
            "logprob": round(logprob, 2),
            "top": [{"token": other, "logprob": round(lp, 2)} for other, lp in top],
        }
        for token, logprob, top in compact
    ]


def main() -> None:
    """Write the file, and say how right, dear and complete each candidate is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=["small", "small-steps", "large"])
    parser.add_argument("--out", type=Path, default=TARGET)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    import pyarrow.parquet as pq

    found = recorded(args.folder)
    jobs = list(wanted(questions(load_templates()), found, tuple(args.arms)))
    rows = [full_row(job, found[job.key]) for job in complete(jobs, found)]
    if not rows:
        raise SystemExit(f"no question has an answer of all of {', '.join(args.arms)} in {args.folder}")
    pq.write_table(table(rows), args.out, compression="zstd", compression_level=19)
    planned = Counter((job.arm.name, job.strategy) for job in jobs)
    for (model, strategy), n in planned.items():
        scores = [r["score"] for r in rows if (r["model"], r["strategy"]) == (model, strategy)]
        graded = [one for one in scores if one is not None]
        mean = f"{sum(graded) / len(graded):.3f}" if graded else "-"
        _LOG.info("%-12s %-10s %5d of %5d, mean score %s", model, strategy, len(scores), n, mean)
    n_old = len(found.keys() - {job.key for job in jobs})
    _LOG.info(
        "%d recorded rows wait for other candidates, %d are out of the plan",
        len(found) - len(rows) - n_old,
        n_old,
    )
    _LOG.info("%s: %d rows, %.2f MB", args.out, len(Runs.read(args.out)), args.out.stat().st_size / 1e6)


if __name__ == "__main__":
    main()
