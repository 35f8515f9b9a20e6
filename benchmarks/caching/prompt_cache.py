"""What a provider's prompt cache saves: on, off, and on with a prefix that changes with every request.

    python benchmarks/caching/prompt_cache.py [--model small] [--turns 4] [--json FILE]

One conversation about a text of rules, and single questions about the same text, are put to a local model
through the engine: its prefix cache is real, and so are the tokens read from it and the CPU seconds. The same
counts of tokens are then priced by the catalogue for models of other providers (what one charges for writing
to its cache is not in the catalogue, nor here). With the cache off llama.cpp reads every prompt anew; in the
round between, the time stands before the rules, as some frameworks put it.
"""

import argparse
import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from suffice.build import build
from suffice.catalogue import Catalogue
from suffice.config import Config, ModelConfig
from suffice.engine import Engine, Request
from suffice.types import Answer, Options, Query, Usage

PRICED = (
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-5-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("gemini", "gemini-2.5-flash"),
    ("deepseek", "deepseek-chat"),
)
THINGS = ("kayaks", "tents", "sleds", "stoves", "lamps", "maps", "ropes", "saws", "heaters", "chairs")
QUESTIONS = (
    "For how many days may I keep kayaks?",
    "And what is the deposit for them?",
    "What does a day late cost for lamps?",
    "Which weekday are ropes handed out?",
    "For how many days may I keep heaters?",
    "And what is the deposit for those?",
    "What does a day late cost for chairs?",
    "Which weekday are maps handed out?",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


def rules() -> str:
    """About 370 tokens that every request begins with."""
    lines = [
        f"Rule {i + 1}. {thing.capitalize()}: kept for {3 + 7 * i % 11} days, deposit {10 + 5 * i} euros, "
        f"{1 + i % 4} euros for a day late, handed out on {DAYS[i % 5]}."
        for i, thing in enumerate(THINGS)
    ]
    return "You answer for a lending library of things, in one short sentence.\n" + "\n".join(lines)


def panel(model: str) -> Config:
    return Config(
        models=[ModelConfig(name=model, provider="local", options={"max_tokens": 24, "threads": 1})],
        store="sqlite:///:memory:",
    )


def uncached(engine: Engine, model: str) -> None:
    """Have llama.cpp read every prompt anew."""
    server = engine.models[model].server  # type: ignore[attr-defined]
    submit = server.submit
    server.submit = lambda body, *rest: submit({**body, "cache_prompt": False}, *rest)


async def round_(kind: str, model: str, turns: int) -> list[Answer]:
    """All requests of one round, on a model that has seen nothing."""
    engine = build(panel(model))
    if kind == "off":
        uncached(engine, model)
    answers: list[Answer] = []

    async def ask(messages: list[dict[str, str]]) -> str:
        stamp = f"It is 2026-11-26 10:{len(answers):02d}.\n" if kind == "on, prefix changes" else ""
        system = {"role": "system", "content": stamp + rules()}
        request = Request(
            query=Query.from_messages([system, *messages]),
            model=model,
            options=Options(fields={"temperature": 0}),
        )
        answers.append((await engine.answer(request)).answer)
        return answers[-1].content

    try:
        chat: list[dict[str, str]] = []
        for question in QUESTIONS[:turns]:
            chat.append({"role": "user", "content": question})
            chat.append({"role": "assistant", "content": await ask(chat)})
        for question in QUESTIONS[:turns]:
            await ask([{"role": "user", "content": question}])
    finally:
        await engine.close()
    return answers


def summed(answers: list[Answer]) -> dict[str, Any]:
    usages = [answer.usage for answer in answers]
    return {
        "requests": len(answers),
        "prompt_tokens": sum(usage.prompt_tokens or 0 for usage in usages),
        "cached_tokens": sum(usage.cached_tokens or 0 for usage in usages),
        "completion_tokens": sum(usage.completion_tokens or 0 for usage in usages),
        "cpu_s": round(sum(usage.compute_s or 0.0 for usage in usages), 2),
        "usd_local": float(sum(answer.cost_usd or Decimal(0) for answer in answers)),
        "usd": {f"{provider}/{name}": priced(usages, provider, name) for provider, name in PRICED},
    }


def priced(usages: list[Usage], provider: str, name: str) -> float:
    price = Catalogue.load().candidate(name, provider, name).price
    return float(sum(price.cost_usd(usage) or Decimal(0) for usage in usages))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="small")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rounds = {
        kind: summed(asyncio.run(round_(kind, options.model, options.turns)))
        for kind in ("off", "on, prefix changes", "on")
    }
    for kind, found in rounds.items():
        print(
            f"{kind:<20} {found['requests']} requests, {found['prompt_tokens']:,} prompt tokens, of which "
            f"{found['cached_tokens']:,} cached; {found['completion_tokens']} written; {found['cpu_s']} CPU s"
        )
    off = rounds["off"]
    print("\nUSD per 1,000 requests; in brackets the share of what it costs without the cache")
    for name in off["usd"]:
        shown = []
        for kind, found in rounds.items():
            usd = found["usd"][name]
            shown.append(f"{kind} {1000 * usd / found['requests']:.4f} ({usd / off['usd'][name]:.0%})")
        print(f"  {name:<28} {'   '.join(shown)}")
    local = [f"{kind} {1000 * f['usd_local'] / f['requests']:.4f}" for kind, f in rounds.items()]
    print(f"  {'local, 0.05 per CPU hour':<28} {'   '.join(local)}")
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=2) + "\n")


if __name__ == "__main__":
    main()
