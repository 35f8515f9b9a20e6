"""Pairs whose one side a local model wrote: its paraphrases of test queries, checked by rule.

    python benchmarks/caching/reworded.py --model large.gguf --n 100 --out pairs.json [--seed 0]

A paraphrase is kept if it holds every filling of the query's slots word for word (articles aside) and is no
copy. It makes three pairs: with the query (same), with the query under another filling (not), and with
another meaning under the same fillings (not). That the model kept the question is not checked: a drifted
paraphrase counts as the same.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from pairs import draw_fillings, families, fill

from suffice.providers.llama import LlamaServer, LlamaSettings

ASK = (
    "Rewrite the user's question in other words so that it asks exactly the same thing. Keep all names, "
    "numbers and units. Reply with the rewritten question only."
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    server = LlamaServer(LlamaSettings(path=options.model, threads=1, context=1024))
    made, n_kept, seconds = [], 0, 0.0
    for i in range(options.n):
        family = families("test")[i % len(families("test"))]
        (_, ways), (_, other_ways) = family.meanings[0], rng.choice(family.meanings[1:])
        fillings = draw_fillings(family, rng)
        way = rng.choice(ways)
        query = fill(way, fillings)
        reworded, took = _reworded(server, query, seed=options.seed + i)
        seconds += took
        used = {name: value for name, value in fillings.items() if f"{{{name}}}" in way}
        if reworded.lower() == query.lower() or any(
            _bare(value) not in reworded.lower() for value in used.values()
        ):
            continue
        n_kept += 1
        slot = rng.choice(list(used))
        changed = rng.choice([value for value in family.slots[slot] if value != fillings[slot]])
        made.append((query, reworded, 1))
        made.append((fill(way, {**fillings, slot: changed}), reworded, 0))
        made.append((fill(rng.choice(other_ways), fillings), reworded, 0))
    rows = [{"text_a": a, "text_b": b, "label": label} for a, b, label in made]
    options.out.write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    print(f"{n_kept} of {options.n} paraphrases kept, {len(made)} pairs, {seconds:.0f} CPU seconds")


def _bare(value: str) -> str:
    return value.lower().removeprefix("a ").removeprefix("an ").removeprefix("the ")


def _reworded(server: LlamaServer, query: str, seed: int) -> tuple[str, float]:
    pieces: list[str] = []

    def sink(delta: object) -> bool:
        for choice in delta.get("choices", ()):  # type: ignore[attr-defined]
            pieces.append(choice.get("delta", {}).get("content") or "")
        return False

    messages = [{"role": "system", "content": ASK}, {"role": "user", "content": query}]
    body = {"messages": messages, "temperature": 0.8, "seed": seed, "max_tokens": 60, "stream": True}
    took = server.submit(body, sink).result()
    return "".join(pieces).strip().splitlines()[0].strip().strip('"') if "".join(pieces).strip() else "", took


if __name__ == "__main__":
    main()
