"""Very many training queries: how long a fit takes, in how much memory, and a decision after it.

    nice python benchmarks/routers/scale.py [--n 1000000] [--models 20] [--router knn]

One router to a process, so that the peak of memory is its own (of the process, the texts and the table of
outcomes included, which is printed before). Texts are synthetic: see `texts.py`. `found` is the share of
the exact 60 nearest training queries that the index finds, over 200 new queries. One core, one BLAS thread.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from texts import Texts

from suffice.embedders import HashedNgrams
from suffice.policies import Utility
from suffice.protocols import PolicyContext
from suffice.routers import create, fit_cost_model, get
from suffice.routers.neighbours import ExactIndex
from suffice.types import Query

TARGETS = "targets at 1,000,000: fit 600 s, peak 6 GB, decision 2 ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--router", default="knn")
    parser.add_argument("--save", action="store_true", help="also time a save and a load")
    args = parser.parse_args()
    texts = Texts()
    outcomes, made_s = taken(lambda: texts.outcomes(args.n, args.models))
    queries = [Query(text=text) for text in texts.queries(texts.themes(500))]
    print(f"{args.n} queries x {args.models} models made in {made_s:.0f} s, {peak_gb():.2f} GB; {TARGETS}")
    embedder = HashedNgrams()
    router, fit_s = taken(lambda: create(args.router, embedder).fit(outcomes))
    print(f"{args.router}: fit {fit_s:.0f} s, peak {peak_gb():.2f} GB", flush=True)
    costs, costs_s = taken(lambda: fit_cost_model(outcomes))
    print(f"costs: fit {costs_s:.1f} s, peak {peak_gb():.2f} GB")
    context, unknown = PolicyContext(arms=outcomes.arms), np.full((1, args.models), np.nan)
    policy, times = Utility(value_usd=0.02), np.empty(1_000)
    for i in range(len(times)):
        query, start = queries[i % len(queries)], perf_counter()
        policy.choose(router.scores([query]), costs.costs([query]), unknown, context)
        times[i] = perf_counter() - start
    p50, p99 = np.quantile(times, [0.5, 0.99]) * 1e3
    print(f"{args.router}: decision p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    knn = getattr(router, "knn_", None) or getattr(router, "members_", {}).get("near", router)
    if hasattr(knn, "index_"):
        show_search(knn, embedder, queries[:200])
    if args.save:
        with tempfile.TemporaryDirectory() as folder:
            _, save_s = taken(lambda: router.save(Path(folder)))
            _, load_s = taken(lambda: get(args.router).load(Path(folder), embedder=embedder))
            print(f"{args.router}: save {save_s:.0f} s, load {load_s:.0f} s, peak {peak_gb():.2f} GB")


def show_search(knn: Any, embedder: HashedNgrams, queries: list[Query]) -> None:
    """How much of the truth the index finds, and in what time."""
    vectors = knn.lsa_.project(embedder.features([query.text for query in queries]))
    exact, n_found, times = ExactIndex(knn.index_.vectors), [], []
    for vector in vectors:
        wanted = set(exact.nearest(vector[None], 60)[0][0].tolist())
        start = perf_counter()
        near = knn.index_.nearest(vector[None], 60)[0][0].tolist()
        times.append(perf_counter() - start)
        n_found.append(len(wanted & set(near)))
    print(f"index: found {np.mean(n_found) / 60:.3f} of the 60 nearest, p50 {np.median(times) * 1e3:.2f} ms")


def taken(job: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and the seconds it took."""
    start = perf_counter()
    return job(), perf_counter() - start


def peak_gb() -> float:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
