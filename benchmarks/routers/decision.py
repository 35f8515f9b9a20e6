"""How long one routing decision takes, stage by stage, in a loop and with cold caches. One BLAS thread.

    python benchmarks/routers/decision.py [--queries 10000] [--models 20] [--rounds 1500] [--routers ...]

A decision is what `evaluate` times: embedding, scores, predicted costs, policy; `pipeline` is what the
gateway asks for, which also checks limits and writes the decision down. Cold: 8 MB of other memory are
read before each decision, as the rest of a server does between two requests. Microseconds, median and 99th
percentile, texts of `texts.py`. The unit, one product of a 10,000 x 64 float32 matrix with a vector, makes
numbers of different machines comparable.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from texts import Texts

from suffice.embedders import HashedNgrams
from suffice.pipeline import Pipeline
from suffice.policies import Utility
from suffice.protocols import PolicyContext
from suffice.routers import available, create, fit_cost_model, prior_latency_model
from suffice.types import Candidate, Query

Stage = tuple[str, Callable[[Any], Any]]
"""A name, and a function of what the stage before returned; the first gets the query."""

TARGET_US = 200.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1_500)
    parser.add_argument("--routers", default="ensemble,blend,knn,ridge")
    args = parser.parse_args()
    texts = Texts()
    outcomes = texts.outcomes(args.queries, args.models)
    queries = [Query(text=text) for text in texts.queries(texts.themes(500))]
    n_characters = int(np.median([len(query.text) for query in queries]))
    print(f"{args.queries} training queries x {args.models} models; texts of {n_characters} characters")
    matrix, vector = np.ones((10_000, 64), np.float32), np.ones(64, np.float32)
    show("one product, the unit", [("product", lambda _: matrix @ vector)], queries, args.rounds)
    embedder, costs, policy = HashedNgrams(), fit_cost_model(outcomes), Utility(value_usd=0.02)
    context, unknown = PolicyContext(arms=outcomes.arms), np.full((1, args.models), np.nan)
    for name in [name for name in args.routers.split(",") if name in available()]:
        router = create(name, embedder).fit(outcomes)

        def decide(query: Query, router: Any = router) -> object:
            return policy.choose(router.scores([query]), costs.costs([query]), unknown, context)

        pipeline = Pipeline(
            name="bench",
            candidates=[Candidate(name=arm, provider="none", model=arm) for arm in outcomes.arms],
            router=router,
            policy=policy,
            costs=costs,
            latencies=prior_latency_model(outcomes.arms),
            strongest=(outcomes.arms[-1], "dearest"),
        )
        if name == "blend":
            show("blend, stages", stages(router, embedder, costs, context, unknown), queries, args.rounds)
        show(f"{name}, decision", [("", decide)], queries, args.rounds)
        show(f"{name}, pipeline", [("", lambda q, p=pipeline: p.decide(q, 0.0))], queries, args.rounds)


def stages(
    router: Any, embedder: HashedNgrams, costs: Any, context: PolicyContext, unknown: Any
) -> list[Stage]:
    """Those of blend, each handing on what the next needs."""
    knn, ridge, policy = router.knn_, router.ridge_, Utility(value_usd=0.02)

    def choose(given: tuple[Any, Any, Any]) -> object:
        words, near, usd = given
        return policy.choose((words + near) / 2, usd, unknown, context)

    return [
        ("features", lambda q: (q, embedder.features([q.text]))),
        ("ridge", lambda g: (*g, ridge.scores_of_features(g[1]))),
        ("projection", lambda g: (*g, knn.lsa_.project(g[1]))),
        ("neighbours", lambda g: (*g, *knn.index_.nearest(g[3], knn.k_))),
        ("their vote", lambda g: (*g, knn._vote(g[4], g[5]))),
        ("costs", lambda g: (g[2], g[6], costs.costs([g[0]]))),
        ("policy", choose),
    ]


def show(title: str, parts: Sequence[Stage], queries: Sequence[Query], rounds: int) -> None:
    """Median and 99th percentile of each part, warm and cold."""
    other = np.ones(2_000_000, np.float32)
    warm = timed(parts, queries, rounds, lambda: None)
    cold = timed(parts, queries, max(rounds // 3, 1), other.sum)
    for i, (name, _) in enumerate(parts):
        figures = [np.quantile(times[:, i], [0.5, 0.99]) for times in (warm, cold)]
        (w50, w99), (c50, c99) = figures
        label = title if len(parts) == 1 else f"  {title}: {name}"
        mark = "" if len(parts) > 1 or "decision" not in title else f"  target {TARGET_US:.0f}"
        print(f"{label:32} loop p50 {w50:6.0f} p99 {w99:6.0f}   cold p50 {c50:6.0f} p99 {c99:6.0f}{mark}")


def timed(
    parts: Sequence[Stage], queries: Sequence[Query], rounds: int, between: Callable[[], object]
) -> np.ndarray:
    """(rounds, parts): microseconds."""
    times = np.empty((rounds, len(parts)))
    for i in range(-50, rounds):
        given: Any = queries[i % len(queries)]
        between()
        for j, (_, part) in enumerate(parts):
            start = perf_counter()
            given = part(given)
            times[i, j] = perf_counter() - start  # the first 50 are overwritten: a warm-up
    return times * 1e6


if __name__ == "__main__":
    main()
