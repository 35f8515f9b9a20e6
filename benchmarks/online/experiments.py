"""Canaries with a planted truth: how often, and how soon, each is promoted or rolled back.

Quality is 0 or 1, every answer is judged, looks come every 50 requests as a gateway's do. A canary of 1, 5,
25 and 50 %, 40,000 requests at most.

    python benchmarks/online/experiments.py [--runs 200]
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections import Counter

from suffice.experiments import Experiment, Judged, Progress, Seen, advance, settle
from suffice.types import Trial

MOST = 40_000
AT_ONCE = 50


def play(experiment: Experiment, rates: tuple[float, float], cost: float, seed: int) -> Progress:
    """One canary from its start to its end."""
    rng, progress = random.Random(seed), Progress()
    for start in range(0, MOST, AT_ONCE):
        share = progress.share(experiment)
        seen, judged = [], []
        for i in range(AT_ONCE):
            arm = int(rng.random() < share)
            trial = Trial(
                experiment=experiment.name,
                arm="treatment" if arm else "control",
                share=share,
                unit=f"{seed}-{start + i}",
            )
            seen.append(Seen(trial, rng.expovariate(1.0) * (1.0, cost)[arm] * 1e-3, 1.0, 200))
            judged.append(Judged(trial, float(rng.random() < rates[arm])))
        advance(experiment, progress, seen, judged, {})
        settle(experiment, progress, float(start))
        if not progress.is_running:
            break
    return progress


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    for name, margin, rates, cost, n in (
        ("5 points worse, 30 % cheaper, margin 0.02", 0.02, (0.80, 0.75), 0.7, runs),
        ("5 points worse, 30 % cheaper, margin 0", 0.0, (0.80, 0.75), 0.7, runs),
        ("10 points worse, 30 % cheaper, margin 0.02", 0.02, (0.80, 0.70), 0.7, runs),
        ("as good, 30 % cheaper, margin 0.02", 0.02, (0.80, 0.80), 0.7, runs),
        ("exactly the margin worse, margin 0.02", 0.02, (0.80, 0.78), 0.7, runs // 5),
        ("as good, as dear, margin 0.02", 0.02, (0.80, 0.80), 1.0, runs // 5),
    ):
        experiment = Experiment(
            name="bench", treatment="auto:new", margin=margin, n_target=4000, max_error_rate=None
        )
        ended = [play(experiment, rates, cost, seed) for seed in range(n)]
        counted = sorted(Counter(progress.status for progress in ended).items())
        shares = ", ".join(f"{status} {times / n:.3f}" for status, times in counted)
        served = statistics.median(p.requests[1] for p in ended)
        asked = statistics.median(sum(p.requests) for p in ended)
        print(
            f"{name}, {n} runs: {shares}; median {asked:,.0f} requests, {served:,.0f} of them treated",
            flush=True,
        )


if __name__ == "__main__":
    main()
