"""How long one routing decision takes: embed, k nearest neighbours, policy. One BLAS thread.

    python benchmarks/routers/decision.py [--queries 10000] [--models 20] [--rounds 2000]

Prints the median of each part in microseconds, and its ratio to one product of the same size (a
10,000 x 64 float32 matrix with a vector), which makes numbers of different machines comparable.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import re
from collections.abc import Callable
from time import perf_counter

import numpy as np

from suffice.embedders import HashedNgrams
from suffice.outcomes import Outcomes
from suffice.policies import Utility
from suffice.protocols import PolicyContext
from suffice.routers import create, fit_cost_model
from suffice.types import Query

WORDS = re.findall(
    r"\w+",
    """what is the capital of a country that won world cup explain in two sentences list three famous museums
    year each opened public write python function returns sum numbers prove integral converges translate
    following paragraph into german summarise contract clause compute probability dice story about dragon""",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2_000)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    outcomes = synthetic(args.queries, args.models, rng)
    queries = [Query(text=sentence(rng, 35)) for _ in range(200)]
    embedder, policy = HashedNgrams(), Utility(value_usd=0.02)
    costs = fit_cost_model(outcomes)
    context = PolicyContext(arms=outcomes.arms)
    unknown = np.full((1, args.models), np.nan)

    matrix = rng.standard_normal((args.queries, 64), np.float32)
    vector = rng.standard_normal(64, np.float32)
    unit = median_us(lambda _: matrix @ vector, queries, args.rounds)
    parts: dict[str, Callable[[Query], object]] = {
        "embed, words (sparse)": lambda q: embedder.features([q.text]),
        "embed, dense": lambda q: embedder.embed([q.text]),
        "predict costs": lambda q: costs.costs([q]),
    }
    for name in ("knn", "ridge", "blend"):
        router = create(name, embedder=embedder).fit(outcomes)

        def decide(query: Query, router: object = router) -> object:
            scores = router.scores([query])  # type: ignore[attr-defined]
            return policy.choose(scores, costs.costs([query]), unknown, context)

        parts[f"{name}: scores, embedding included"] = lambda q, router=router: router.scores([q])
        parts[f"{name}: whole decision"] = decide
    print(
        f"{args.queries} training queries x {args.models} models; text of {len(queries[0].text)} characters"
    )
    for name, part in parts.items():
        spent = median_us(part, queries, args.rounds)
        print(f"{name:36} {spent:8.0f} us {spent / unit:6.2f} x product")


def median_us(part: Callable[[Query], object], queries: list[Query], rounds: int) -> float:
    """Median time of one call, microseconds, after a warm-up."""
    times = np.empty(rounds)
    for query in queries[:50]:
        part(query)
    for i in range(rounds):
        query = queries[i % len(queries)]
        start = perf_counter()
        part(query)
        times[i] = perf_counter() - start
    return float(np.median(times)) * 1e6


def synthetic(n: int, k: int, rng: np.random.Generator) -> Outcomes:
    texts = [f"{sentence(rng, 20)} {i}" for i in range(n)]
    arms = [f"model-{i:02}" for i in range(k)]
    quality = (rng.random((n, k)) < 0.6).astype(np.float64)
    return Outcomes.from_arrays(texts, arms, quality, cost_usd=rng.random((n, k)) * 1e-3)


def sentence(rng: np.random.Generator, n_words: int) -> str:
    return " ".join(rng.choice(WORDS, n_words))


if __name__ == "__main__":
    main()
