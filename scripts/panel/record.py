"""Ask the local models every question of the panel and keep what they say, one JSON line per call.

    python -m scripts.panel.record small small-steps
    python -m scripts.panel.record large
    python -m scripts.panel.record extras --part 1/2
    python -m scripts.panel.record extras --part 2/2

Stops and starts as often as wanted: a call that stands in the file is not made again, and a question
that was changed or added meanwhile is (re)asked. Several processes may run, each with phases or a part of its
own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import time
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from scripts.panel.plan import ARMS, Arm, Job, extras, greedy, load_templates, questions

from suffice.providers.base import ProviderSettings
from suffice.providers.local import LocalModel
from suffice.types import Answer, Candidate, Options, Price, Query, TokenLogprob

_LOG = logging.getLogger("record")

USD_PER_CPU_HOUR = Decimal("0.05")
"""A stated assumption: about what clouds ask for one core of a shared machine."""
FOLDER = Path("build/panel")
_RESCAN_JOBS = 40


class Recording:
    """The JSONL file of one process, and what it and its neighbours hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, str] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _end_last_line(path)
        self._file: TextIO = path.open("a")
        self._synced = time.monotonic()

    def refresh(self) -> None:
        """Read what every process has recorded so far; a line cut by a kill is asked for again."""
        for path in self.path.parent.glob("*.jsonl"):
            for line in path.read_text().splitlines():
                if line.endswith("}"):
                    row = json.loads(line)
                    self.answers[row["key"]] = row["response"]

    def add(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        self._file.flush()
        self.answers[row["key"]] = row["response"]
        if time.monotonic() - self._synced > 10:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()


def _end_last_line(path: Path) -> None:
    with path.open("rb+") as file:
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) and file.read(1) != b"\n":
            file.write(b"\n")


def _model(arm: Arm, threads: int, strategy: str) -> LocalModel:
    candidate = Candidate(
        name=arm.name, provider="local", model=arm.file, price=Price(usd_per_cpu_hour=USD_PER_CPU_HOUR)
    )
    extra: dict[str, Any] = {"threads": threads}
    if strategy != "verify":
        extra["system"] = arm.system
    return LocalModel.from_config(candidate, ProviderSettings(timeout_s=600, extra=extra))


def _compact(logprobs: tuple[TokenLogprob, ...]) -> list[list[Any]]:
    """[token, logprob, [[token, logprob], ...]] with three decimals."""
    return [
        [one.token, round(one.logprob, 3), [[token, round(lp, 3)] for token, lp in one.top]]
        for one in logprobs
    ]


def _row(job: Job, answer: Answer) -> dict[str, Any]:
    timings = json.loads(answer.body or b"{}")["timings"]
    return {
        "key": job.key,
        "query_id": job.question.id,
        "model": job.arm.name,
        "strategy": job.strategy,
        "sample": job.sample,
        "temperature": job.temperature,
        "seed": job.seed,
        "prompt_hash": job.prompt_hash,
        "prompt": job.prompt,
        "response": answer.content,
        "logprobs": _compact(answer.logprobs or ()),
        "prompt_tokens": answer.usage.prompt_tokens,
        "cached_tokens": answer.usage.cached_tokens,
        "completion_tokens": answer.usage.completion_tokens,
        "cost_usd": float(answer.cost_usd or 0),
        "cpu_s": answer.usage.compute_s,
        **timings,
        "latency_s": answer.latency_s,
        "finish_reason": answer.finish_reason,
    }


def _jobs(phases: list[str], recording: Recording) -> Iterator[Job]:
    asked = questions(load_templates())
    arms = tuple(phase for phase in phases if phase in ARMS)
    yield from greedy(arms, asked)
    if "extras" in phases:
        yield from extras(asked, recording.answers)


def _is_of_part(job: Job, part: str) -> bool:
    """Whether a job falls to part "i/n" of the questions."""
    i, n = map(int, part.split("/"))
    return zlib.crc32(job.question.id.encode()) % n == i - 1


async def _pass(phases: list[str], recording: Recording, threads: int, part: str) -> int:
    """Some jobs that are still to do; the number done."""
    recording.refresh()
    models: dict[tuple[str, bool], LocalModel] = {}
    n_done = 0
    for job in _jobs(phases, recording):
        if job.key in recording.answers or not _is_of_part(job, part):
            continue
        kind = (job.arm.name, job.strategy == "verify")
        model = models.setdefault(kind, _model(job.arm, threads, job.strategy))
        fields = {
            "temperature": job.temperature,
            "seed": job.seed,
            "max_tokens": job.max_tokens,
            "logprobs": True,
            "top_logprobs": 10 if job.strategy == "verify" else 5,
        }
        answer = await model.answer(Query(text=job.prompt), Options(fields=fields))
        recording.add(_row(job, answer))
        n_done += 1
        if n_done >= _RESCAN_JOBS:
            break
    return n_done


def main() -> None:
    """Record until nothing is left and no question was added for `--patience-min`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phases", nargs="+", choices=[*ARMS, "extras"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--part", default="1/1", help="i/n: this share of the questions alone")
    parser.add_argument("--patience-min", type=float, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recording = Recording(FOLDER / f"{args.phases[0]}-{args.part.replace('/', 'of')}.jsonl")
    # Held so that a model file stays loaded from one pass to the next.
    held = [_model(ARMS.get(phase, ARMS["small"]), args.threads, "greedy") for phase in args.phases]
    last = time.monotonic()
    while True:
        if n_done := asyncio.run(_pass(args.phases, recording, args.threads, args.part)):
            last = time.monotonic()
            _LOG.info("%d calls more in %s, %d in all", n_done, recording.path, len(recording.answers))
        elif time.monotonic() - last > args.patience_min * 60:
            break
        else:
            time.sleep(30)
    _LOG.info("done: %d phases in %s", len(held), recording.path)


if __name__ == "__main__":
    main()
