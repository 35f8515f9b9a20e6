"""Pairs of requests that one answer serves, and pairs that it does not, from written families of sentences.

    python benchmarks/caching/pairs.py [--seed 0] [--part test] [--show 20]

A family (one `== name` of `pairs/PART.txt`) holds slots and meanings; each meaning holds ways to say it. A
paraphrase is two ways of one meaning with the same fillings. A near miss has another filling of one slot
(a number, a name, a unit, a day), or another meaning of the same family: negated, turned round, the
opposite, another question, verb or attribute. Unrelated pairs come from two families. Parts share no family.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent / "pairs"
PARTS = ("training", "development", "calibration", "growth", "test", "held")
"""The first two train what ships, the third calibrates it; the rest was written blind to it."""


class Written(NamedTuple):
    """A pair, where it is from, and what sets its texts apart."""

    a: str
    b: str
    same: bool
    kind: str
    """`paraphrase`, `slot:NAME`, the other meaning's name, or `unrelated`."""
    family: str


class Family(NamedTuple):
    name: str
    slots: dict[str, list[str]]
    meanings: list[tuple[str, list[str]]]


def families(part: str) -> list[Family]:
    """What `pairs/PART.txt` holds."""
    found: list[Family] = []
    for line in (HERE / f"{part}.txt").read_text().splitlines():
        if line.startswith("== "):
            found.append(Family(line[3:], {}, []))
        elif line.startswith("- "):
            found[-1].meanings.append((line[2:], []))
        elif " = " in line and not found[-1].meanings:
            name, values = line.split(" = ")
            found[-1].slots[name] = values.split(" | ")
        elif line.strip():
            found[-1].meanings[-1][1].append(line)
    return found


def pairs(part: str, *, seed: int = 0, per_family: int = 100) -> list[Written]:
    """A reproducible sample: about 45 % paraphrases, 45 % near misses, 10 % unrelated."""
    rng = random.Random(f"{part}-{seed}")
    all_families = families(part)
    found: dict[tuple[str, str], Written] = {}
    for family in all_families:
        for _ in range(per_family):
            draw = rng.random()
            if draw < 0.45:
                one = _paraphrase(family, rng)
            elif draw < 0.65:
                one = _other_slot(family, rng)
            elif draw < 0.9:
                one = _other_meaning(family, rng)
            else:
                one = _unrelated(family, all_families, rng)
            if one is not None and one.a != one.b:
                found.setdefault((min(one.a, one.b), max(one.a, one.b)), one)
    return list(found.values())


def fill(way: str, fillings: dict[str, str]) -> str:
    """A sentence with its slots filled, beginning as the template does."""
    text = way.format(**fillings)
    return text[:1].upper() + text[1:] if way.startswith("{") and text[0].isalpha() else text


def draw_fillings(family: Family, rng: random.Random) -> dict[str, str]:
    return {name: rng.choice(values) for name, values in family.slots.items()}


def _paraphrase(family: Family, rng: random.Random) -> Written | None:
    several = [ways for _, ways in family.meanings if len(ways) > 1]
    weights = [len(list(combinations(ways, 2))) for ways in several]
    one, other = rng.sample(rng.choices(several, weights)[0], 2)
    fillings = draw_fillings(family, rng)
    return Written(fill(one, fillings), fill(other, fillings), True, "paraphrase", family.name)


def _other_slot(family: Family, rng: random.Random) -> Written | None:
    _, ways = rng.choices(family.meanings, [len(ways) for _, ways in family.meanings])[0]
    one, other = rng.choice(ways), rng.choice(ways)
    slot = rng.choice(
        [name for name in family.slots if f"{{{name}}}" in one and f"{{{name}}}" in other] or [""]
    )
    if not slot:
        return None
    fillings = draw_fillings(family, rng)
    changed = rng.choice([value for value in family.slots[slot] if value != fillings[slot]])
    return Written(
        fill(one, fillings), fill(other, {**fillings, slot: changed}), False, f"slot:{slot}", family.name
    )


def _other_meaning(family: Family, rng: random.Random) -> Written | None:
    (tag, ways), (other_tag, other_ways) = rng.sample(family.meanings, 2)
    fillings = draw_fillings(family, rng)
    kind = other_tag if tag == "base" else tag
    return Written(
        fill(rng.choice(ways), fillings), fill(rng.choice(other_ways), fillings), False, kind, family.name
    )


def _unrelated(family: Family, everyone: list[Family], rng: random.Random) -> Written | None:
    other = rng.choice([one for one in everyone if one.name != family.name])
    texts = [
        fill(rng.choice(rng.choice(one.meanings)[1]), draw_fillings(one, rng)) for one in (family, other)
    ]
    return Written(texts[0], texts[1], False, "unrelated", family.name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=PARTS, default="test")
    parser.add_argument("--show", type=int, default=0)
    options = parser.parse_args()
    for part in PARTS:
        made = pairs(part, seed=options.seed)
        same = sum(one.same for one in made)
        print(f"{part}: {len(families(part))} families, {len(made)} pairs, {same} of them paraphrases")
        print("   ", dict(Counter(one.kind for one in made).most_common()))
    for one in pairs(options.part, seed=options.seed)[: options.show]:
        print(f"{'same' if one.same else one.kind:12} {one.a!r} / {one.b!r}")


if __name__ == "__main__":
    main()
