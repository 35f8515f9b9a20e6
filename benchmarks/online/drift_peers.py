"""Our drift detectors beside river's on the same streams: 0 or 1, 0.80 for 20,000 values, then 0.65.

pip install river && python benchmarks/online/drift_peers.py
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from suffice.metrics import Adwin, PageHinkley

AT = 20_000


def of_river(detector: Any) -> Callable[[float], bool]:
    """Its detectors as a function of the next value."""

    def update(value: float) -> bool:
        detector.update(value)
        return bool(detector.drift_detected)

    return update


def one(update: Callable[[float], bool], seed: int) -> tuple[int, float]:
    """Alarms before the fall, and values from it to the next."""
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.random(AT) < 0.8, rng.random(3000) < 0.65]).astype(float).tolist()
    n_false = sum(update(value) for value in values[:AT])
    return n_false, next((i + 1 for i, value in enumerate(values[AT:]) if update(value)), math.inf)


def main() -> None:
    """Print a table."""
    from river import drift

    for name, make in (
        ("adwin, ours", lambda: Adwin().update),
        ("adwin, river", lambda: of_river(drift.ADWIN(delta=0.002, grace_period=10))),
        ("page_hinkley, ours", lambda: PageHinkley().update),
        ("page_hinkley, river's defaults", lambda: of_river(drift.PageHinkley(delta=0.005, threshold=50))),
    ):
        found = np.array([one(make(), seed) for seed in range(20)])
        delays = found[:, 1]
        print(
            f"{name}: {found[:, 0].mean():.2f} false alarms in 20,000, delay {np.median(delays):.0f} "
            f"(longest {delays.max():.0f})"
        )


if __name__ == "__main__":
    main()
