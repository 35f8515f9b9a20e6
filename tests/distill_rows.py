"""Rows of a made-up task that a few words decide."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from suffice.distillation.flywheel import Row, Sample

LABELS = ("up", "down", "flat")
_WORDS = {
    "up": ("rises", "gains", "climbs", "jumps"),
    "down": ("falls", "drops", "slides", "sinks"),
    "flat": ("steady", "unchanged", "still", "level"),
}
_NOUNS = ("gold", "silver", "oil", "copper", "wheat", "corn", "tin", "zinc")


def rows(n: int, *, seed: int = 0, part: str = "train", errors: float = 0.0, gold: bool = True) -> list[Row]:
    """The teacher errs in a share of them; what it says costs 0.001 USD and takes a second."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        label = LABELS[rng.integers(3)]
        words = [_NOUNS[k] for k in rng.integers(len(_NOUNS), size=3)]
        words.insert(int(rng.integers(4)), _WORDS[label][rng.integers(4)])
        said = label if rng.random() >= errors else LABELS[(LABELS.index(label) + 1) % 3]
        sample = Sample(text=said, cost_usd=Decimal("0.001"), latency_s=1.0)
        found.append(
            Row(
                id=f"{part}-{seed}-{number}",
                query=" ".join(words),
                reference=label if gold else None,
                teacher="large",
                samples=(sample,),
                label=said,
                part=part,
                cluster=f"{part}-{number // 2}",
            )
        )
    return found
