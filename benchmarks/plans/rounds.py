"""Plans of several rounds on a local model: what each did, what it cost, and that caps hold.

    PYTHONPATH=src python benchmarks/plans/rounds.py [--model small] [--queries 2]

One local model (`suffice pull small` first) stands behind two candidates, `first` and `second`, priced by the
hour of a core. Half a billion parameters do not speak the language of the plans well: this shows what happens
then.
"""

import argparse
import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from suffice.build import build
from suffice.config import load
from suffice.engine import Engine, Request
from suffice.types import Options, Query, Record

QUESTIONS = (
    "Name the capital of France, and say which river flows through it.",
    "What is 12 * 3, and is the result even?",
    "How do bees find flowers, and why do they need them?",
)
MAX_STEPS, MAX_PARTS = 3, 3
CONFIG = """\
models:
  - {{name: first, provider: local, model: {model}, usd_per_cpu_hour: 0.05, strength: 0.3,
     options: {{threads: 1, max_tokens: 80}}}}
  - {{name: second, provider: local, model: {model}, usd_per_cpu_hour: 0.05, strength: 0.6,
     options: {{threads: 1, max_tokens: 80}}}}
router: {{name: strongest}}
store: 'sqlite:///{folder}/suffice.db'
pipelines:
  decompose: {{plan: {{name: decompose, max_parts: {parts}}}}}
  router_r1:
    plan: {{name: router_r1, policy: second, models: [first], max_steps: {steps}, max_tokens: 80}}
  broke: {{plan: {{name: router_r1, policy: second, models: [first], max_cost_usd: 0.0}}}}
  speculative: {{plan: {{name: speculative, draft: first, verifier: second, max_edit_tokens: 60}}}}
"""


def line(name: str, record: Record) -> str:
    """The calls by role, and what the plan said of itself."""
    roles = Counter(one.role or "whole" for one in record.attempts)
    check_caps(name, roles)
    calls = " ".join(f"{role}:{n}" for role, n in roles.items())
    told = record.decision.reason.partition("; ")[2]
    cost = 0.0 if record.cost_usd is None else 1e6 * float(record.cost_usd)
    return f"{name:>12} {record.latency_s:7.1f} {cost:7.0f}  {calls}\n{'':12}   {told[:150]}"


def check_caps(name: str, roles: Counter[str]) -> None:
    """No plan went beyond its caps."""
    assert roles["think"] <= MAX_STEPS
    assert roles["search"] < MAX_STEPS
    assert roles["part"] <= MAX_PARTS
    if name == "broke":
        assert set(roles) == {"whole"}


async def measure(engine: Engine, n: int) -> None:
    print("        plan  wall s  micro-USD  calls")
    for text in QUESTIONS[:n]:
        print(text)
        for name in ("decompose", "router_r1", "broke", "speculative"):
            request = Request(
                query=Query(text=text),
                options=Options(fields={"temperature": 0, "max_tokens": 80}),
                model=f"auto:{name}",
            )
            print(line(name, (await engine.answer(request)).record), flush=True)
    await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="small")
    parser.add_argument("--queries", type=int, default=2)
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "suffice.yaml"
        config.write_text(CONFIG.format(model=wish.model, folder=folder, parts=MAX_PARTS, steps=MAX_STEPS))
        asyncio.run(measure(build(load(config)), wish.queries))


if __name__ == "__main__":
    main()
