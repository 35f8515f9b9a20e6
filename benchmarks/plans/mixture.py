"""A mixture on local models: three proposers and an aggregator, each a process; one is killed mid-run.

    PYTHONPATH=src python benchmarks/plans/mixture.py [--model small] [--queries 4]

Every candidate is a gateway of its own with one local model and one thread (`suffice pull small` first). For
each query: the wall time, the slowest proposer and the aggregator, and what one after the other would
have taken. In the middle of the second last query a proposer is killed; both last queries must be answered.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from suffice.build import build
from suffice.config import load
from suffice.engine import Engine, Request
from suffice.types import Options, Query, Record

NAMES = ("first", "second", "third", "writer")
QUESTIONS = (
    "Name three uses of salt in a household, in one sentence.",
    "Why is the sky blue? Two short sentences.",
    "What is a good gift for a gardener? One sentence.",
    "How do bees find flowers? Two short sentences.",
)
KILL_AFTER_S = 0.5


def serve(folder: Path, model: str) -> tuple[subprocess.Popen[str], str]:
    """A gateway process with one local model, and its address."""
    folder.mkdir()
    config = folder / "suffice.yaml"
    config.write_text(
        f"models: [{{name: it, provider: local, model: {model}, options: {{threads: 1, max_tokens: 60}}}}]\n"
        f"router: {{name: strongest}}\nstore: 'sqlite:///{folder}/suffice.db'\n"
    )
    command = [sys.executable, "-m", "suffice.gateway", "--config", str(config), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
    assert found is not None
    return process, f"{found[0]}/v1"


def front(folder: Path, urls: dict[str, str]) -> Engine:
    """The engine with the mixture over them."""
    models = "\n".join(
        f"  - {{name: {name}, provider: openai, model: it, base_url: '{url}', timeout_s: 120}}"
        for name, url in urls.items()
    )
    config = folder / "suffice.yaml"
    config.write_text(
        f"models:\n{models}\nrouter: {{name: strongest}}\nstore: 'sqlite:///{folder}/front.db'\n"
        "plan: {name: mixture, proposers: [first, second, third], aggregator: writer}\n"
        "gateway: {retries: 0}\n"
    )
    return build(load(config))


def line(number: int, record: Record) -> str:
    proposed = [one.latency_s for one in record.attempts if one.role == "propose"]
    written = sum(one.latency_s for one in record.attempts if one.role == "aggregate")
    failed = [one.candidate for one in record.attempts if one.error]
    together = max(proposed) + written
    return (
        f"{number:>5} {record.candidate or 'nobody':>8} {record.latency_s:8.2f} {together:18.2f} "
        f"{sum(proposed) + written:16.2f}  {', '.join(failed)}"
    )


async def ask(engine: Engine, text: str, model: str = "auto") -> Record:
    options = Options(fields={"temperature": 0.7, "max_tokens": 60})
    return (await engine.answer(Request(query=Query(text=text), options=options, model=model))).record


async def measure(engine: Engine, victim: subprocess.Popen[str], n: int) -> None:
    for name in NAMES:  # so that no query waits for a model file
        await ask(engine, "Hi", name)
    print("query  answers   wall s  slowest + writer s  one by one s    failed")
    for number in range(n):
        task = asyncio.ensure_future(ask(engine, QUESTIONS[number % len(QUESTIONS)]))
        if number == n - 2:
            await asyncio.sleep(KILL_AFTER_S)
            victim.kill()
        print(line(number + 1, await task), flush=True)
    await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="small")
    parser.add_argument("--queries", type=int, default=4)
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        served = {one: serve(folder / one, wish.model) for one in NAMES}
        try:
            engine = front(folder, {one: url for one, (_, url) in served.items()})
            asyncio.run(measure(engine, served["third"][0], wish.queries))
        finally:
            for process, _ in served.values():
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
