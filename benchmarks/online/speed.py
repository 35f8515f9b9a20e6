"""What a decision and an update of a bandit cost, beside the bare arithmetic and beside others.

    python benchmarks/online/speed.py [--d 32] [--arms 20] [--peers DIR]

`gemv`: the scores of all arms, one product of a (K d, d) float32 matrix with a vector, a dot product per
arm, a square root and argmax. `rank 1`: one outer product subtracted from a (d, d) matrix and its vector.
They are timed in turn with each of ours, so that ratios are of the same moments.
DIR holds virtual environments (`vw`, `mabwiser`, `river`) that are asked for their
own decide and update; those that are not there are left out. Medians in microseconds of one BLAS thread.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from suffice import bandits

PEERS = {
    "vw": """
import vowpalwabbit
w = vowpalwabbit.Workspace("--cb_explore_adf --squarecb --quiet -q SA")
shared = "shared |S " + " ".join(f"f{i}:{v:.4f}" for i, v in enumerate(x))
actions = [f"|A a{k}" for k in range(K)]
decide = lambda: w.predict([shared] + actions)
def update():
    w.learn([shared] + [f"0:0.5:0.05 {one}" if k == 3 else one for k, one in enumerate(actions)])
""",
    "mabwiser": """
from mabwiser.mab import MAB, LearningPolicy
m = MAB(list(range(K)), LearningPolicy.LinUCB(alpha=0.5))
m.fit(list(range(K)), [0.5] * K, np.random.default_rng(0).normal(size=(K, d)))
row = x.reshape(1, -1)
decide = lambda: m.predict(row)
update = lambda: m.partial_fit([3], [0.5], row)
""",
    "river": """
from river import bandit
p = bandit.LinUCBDisjoint(alpha=0.5)
f = {i: float(v) for i, v in enumerate(x)}
arms = list(range(K))
for a in arms: p.update(a, f, 0.5)
decide = lambda: p.pull(arms, context=f)
update = lambda: p.update(3, f, 0.5)
""",
}
TIMED = """
import sys, time, numpy as np
d, K = int(sys.argv[1]), int(sys.argv[2])
x = np.random.default_rng(1).normal(size=d)
{body}
def us(f):
    for _ in range(20): f()
    times = []
    for _ in range(300):
        t = time.perf_counter(); f(); times.append(time.perf_counter() - t)
    return float(np.median(times)) * 1e6
print(us(decide), us(update))
"""


def median_us(call: Callable[[], object], n: int = 3000) -> float:
    for _ in range(100):
        call()
    times = np.empty(n)
    for one in range(n):
        start = perf_counter()
        call()
        times[one] = perf_counter() - start
    return float(np.median(times)) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--d", type=int, default=32)
    parser.add_argument("--arms", type=int, default=20)
    parser.add_argument("--peers", type=Path)
    options = parser.parse_args()
    d, n_arms = options.d, options.arms
    random = np.random.default_rng(0)
    x = random.normal(size=d).astype(np.float32)
    wide = random.normal(size=(n_arms * d, d)).astype(np.float32)
    theta, inverse = random.normal(size=(n_arms, d)).astype(np.float32), np.eye(d, dtype=np.float32)

    def gemv() -> int:
        spread = (wide @ x).reshape(n_arms, d) @ x
        return int((theta @ x + 0.3 * np.sqrt(np.abs(spread))).argmax())

    def rank_one() -> None:
        along = inverse @ x
        np.subtract(inverse, np.multiply.outer(along, along * np.float32(1e-9)), out=inverse)
        theta[3] += along * np.float32(1e-9)

    base = median_us(gemv), median_us(rank_one)
    print(f"d = {d}, {n_arms} arms       decide us  x gemv   update us  x rank 1")
    print(f"bare arithmetic      {base[0]:>10.1f}{1:>8.2f}{base[1]:>12.1f}{1:>10.2f}")
    names = tuple(f"arm-{place}" for place in range(n_arms))
    for name in bandits.available():
        show(name, *_ours(name, names, d, gemv, rank_one))
    for name, body in PEERS.items():
        found = _theirs(options.peers, name, body, d, n_arms)
        if found is not None:
            show(name, found, base)


def show(name: str, row: tuple[float, float], base: tuple[float, float]) -> None:
    decide, update = row
    shares = f"{decide:>10.1f}{decide / base[0]:>8.2f}{update:>12.1f}{update / base[1]:>10.2f}"
    print(f"{name:<21}{shares}", flush=True)


def _ours(
    name: str, arms: tuple[str, ...], d: int, gemv: Callable[[], object], rank_one: Callable[[], object]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Decisions with the books that they keep, and updates; the bare arithmetic in turn with them."""
    bandit = bandits.create(name, arms, d)
    random = np.random.default_rng(2)
    contexts = random.normal(size=(3000, d)).astype(np.float32) / np.sqrt(d)
    ticks = np.empty((len(contexts), 5))
    for row, context in enumerate(contexts):
        key = str(row)
        ticks[row, 0] = perf_counter()
        bandit.decide(context, id=key, now=0.0)
        ticks[row, 1] = perf_counter()
        bandit.learn(key, 0.5)
        ticks[row, 2] = perf_counter()
        gemv()
        ticks[row, 3] = perf_counter()
        rank_one()
        ticks[row, 4] = perf_counter()
    decide, update, product, step = 1e6 * np.median(np.diff(ticks, axis=1), axis=0)
    return (float(decide), float(update)), (float(product), float(step))


def _theirs(peers: Path | None, name: str, body: str, d: int, n_arms: int) -> tuple[float, float] | None:
    python = None if peers is None else peers / name / "bin" / "python"
    if python is None or not python.exists():
        return None
    done = subprocess.run(
        [str(python), "-c", TIMED.format(body=body), str(d), str(n_arms)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1]}")
        return None
    first, second = done.stdout.split()[-2:]
    return float(first), float(second)


if __name__ == "__main__":
    main()
