"""Does llama.cpp say what transformers says, and can two adapters take turns on one base?

    python benchmarks/distillation/headlines.py lora --data ... --base FOLDER --out STUDENTS
    python benchmarks/distillation/adapter.py --data ... --gguf BASE.gguf --students STUDENTS

Both adapters and the bare base are candidates of one server: the quantised base is in memory once. The
prompts go to the three in turn, so that every call swaps the adapter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
from headlines import LABELS, N_TEST, drawn, read

from suffice.distillation.gguf_adapter import write_gguf
from suffice.providers.base import ProviderSettings
from suffice.providers.local import LocalModel
from suffice.types import Candidate, Options, Price, Query

N_PROMPTS = 200
_OPTIONS = Options(fields={"logprobs": True})


def candidate(name: str, gguf: Path, **extra: object) -> LocalModel:
    price = Price(usd_per_cpu_hour=Decimal("0.05"))
    settings = ProviderSettings(extra={"path": str(gguf), "threads": 1, "context": 1024, **extra})
    return LocalModel.from_config(Candidate(name=name, provider="local", model=name, price=price), settings)


async def run(texts: list[str], gguf: Path, folders: list[Path]) -> dict[str, list[object]]:
    models = {folder.name: candidate(folder.name, gguf, adapter=str(folder)) for folder in folders}
    models["base"] = candidate("base", gguf, max_tokens=1)
    found: dict[str, list[object]] = {name: [] for name in models}
    for text in texts:
        for name, model in models.items():
            found[name].append(await model.answer(Query(text=text), _OPTIONS))
    servers = {id(model.server) for model in models.values()}
    print(f"{len(models)} candidates on {len(servers)} server")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--students", type=Path, required=True)
    asked = parser.parse_args()
    held = drawn(read(asked.data)[1], N_TEST, 12345)[:N_PROMPTS]
    folders = [asked.students / f"seed-{seed}" for seed in (0, 1)]
    for folder in folders:
        if not (folder / "adapter.gguf").is_file():
            card = json.loads((folder / "student.json").read_text())
            config = json.loads((Path(card["base"]) / "config.json").read_text())
            write_gguf(folder / "adapter", config, folder / "adapter.gguf")
    start = time.perf_counter()
    found = asyncio.run(run([row.query for row in held], asked.gguf, folders))
    print(f"{time.perf_counter() - start:.0f} s for {3 * len(held)} calls, every one another adapter's")
    gold = [row.label for row in held]
    for folder in folders:
        theirs = np.load(folder / "test.npy")[: len(held)]
        said = [LABELS[place] for place in theirs.argmax(axis=1)]
        answers = found[folder.name]
        texts = [answer.content for answer in answers]
        sure = np.exp([answer.logprobs[0].logprob for answer in answers])
        p = np.exp(theirs)
        same = np.mean([a == b for a, b in zip(texts, said, strict=True)])
        right = [np.mean([a == b for a, b in zip(one, gold, strict=True)]) for one in (texts, said)]
        gap = np.abs(sure - p.max(axis=1) / p.sum(axis=1)).mean()
        cpu = np.median([answer.usage.compute_s for answer in answers])
        print(
            f"{folder.name}: same answer {same:.1%} of {len(held)}; accuracy {right[0]:.3f} llama.cpp (Q4), "
            f"{right[1]:.3f} transformers; confidence differs by {gap:.3f}; {cpu:.2f} CPU-s a query"
        )
    same = np.mean([a.content == b.content for a, b in zip(*(found[f.name] for f in folders), strict=True)])
    print(f"the two adapters agree with each other on {same:.1%}")


if __name__ == "__main__":
    main()
