"""How often the gate stops a student that is worse, and promotes one that is as good.

    python benchmarks/distillation/gate_power.py

Rows are right or wrong. A student and its teacher differ on some of them: on a share of "discordant" rows one
of the two alone is right. 15 % is the case that counts: a student of 400 gold labels is right on 86 % of
HEADLINES, so it is at odds with a good teacher on about as many; 10, 20 and 25 % stand beside it. The best
baseline is `BEHIND` below an equal student, and differs from it on 20 % of rows.
"""

from __future__ import annotations

import argparse

import numpy as np

from suffice.distillation.promoting import judge

MARGIN, N, ALPHA, BEHIND = 0.04, 1_000, 0.05, 0.05
RIGHT = 0.85
"""Of the teacher's answers."""


def rows(rng: np.random.Generator, gap: float, discordance: float, n: int) -> np.ndarray:
    """(n, 3) right or wrong: student, teacher, baseline; the student right `gap` more often than teacher."""
    lost, won = (discordance - gap) / 2, (discordance + gap) / 2
    both = RIGHT - lost
    kinds = rng.choice(4, size=n, p=[both, won, lost, 1 - both - won - lost])
    student, teacher = np.isin(kinds, (0, 1)), np.isin(kinds, (0, 2))
    # the baseline: an equal student's right answers, less and more, so that it is BEHIND it on the whole
    right = RIGHT + gap
    flips = np.where(student, (0.2 + BEHIND) / 2 / right, (0.2 - BEHIND) / 2 / (1 - right))
    return np.column_stack([student, teacher, student ^ (rng.random(n) < flips)]).astype(float)


def passed(gap: float, discordance: float, n_runs: int, seed: int, n: int = N) -> tuple[float, float]:
    """Shares of runs that pass: both conditions, and the teacher's alone."""
    rng = np.random.default_rng(seed)
    both = alone = 0
    for _ in range(n_runs):
        student, teacher, baseline = rows(rng, gap, discordance, n).T
        verdict = judge(student, teacher, {"baseline": baseline}, margin=MARGIN, alpha=ALPHA)
        both += verdict.passes
        alone += verdict.low > -MARGIN
    return both / n_runs, alone / n_runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2_000)
    n_runs = parser.parse_args().runs
    print(f"margin {MARGIN:.0%}, n = {N:,} paired rows, alpha {ALPHA}, {n_runs:,} runs each")
    print("discordant  5 points worse: stopped   equal: promoted   (by the teacher's condition alone)")
    for discordance in (0.10, 0.15, 0.20, 0.25):
        worse, worse_alone = passed(-0.05, discordance, n_runs, 1)
        equal, equal_alone = passed(0.0, discordance, n_runs, 2)
        stopped = f"{1 - worse:.3f} ({1 - worse_alone:.3f})"
        print(f"{discordance:>10.0%}  {stopped:>23}   {equal:.3f} ({equal_alone:.3f})")


if __name__ == "__main__":
    main()
