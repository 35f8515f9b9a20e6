"""How long similarity-weighted ranking takes for one query, beside RouteLLM's algorithm. One BLAS thread.

    python benchmarks/routers/sw_ranking.py [--battles 55000] [--dimensions 64 256] [--models 64]

Synthetic battles, one on each query, vectors stubbed in both. RouteLLM's algorithm is its logistic
regression per query over the battles of 10 tiers, each twice so that a tie is a win for both (Apache-2.0,
`routellm/routers/similarity_weighted`), by scikit-learn where that is installed. Milliseconds, median and
95th percentile of the clock, and the median of processor time, which other programs disturb less.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.outcomes import Preferences
from suffice.routers.sw_ranking import SWRanking
from suffice.routers.tiers import tiers_of

TARGET_MS = 5.0


class Stub:
    """Random unit vectors, a function of the text alone."""

    name = "stub"

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [np.random.default_rng(int(t)).standard_normal(self.dimensions, np.float32) for t in texts]
        vectors = np.array(rows, np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def battles(n: int, n_models: int) -> Preferences:
    rng = np.random.default_rng(0)
    first = rng.integers(n_models, size=n)
    second = (first + rng.integers(1, n_models, size=n)) % n_models
    skill = rng.standard_normal(n_models)
    chance = 1 / (1 + np.exp(skill[first] - skill[second]))
    prefs = np.where(rng.random(n) < 0.2, 0.5, rng.random(n) < chance)
    texts = [str(i) for i in range(n)]
    return Preferences.from_columns(
        texts, texts, [f"m{k:02d}" for k in first], [f"m{k:02d}" for k in second], prefs
    )


def routellm(given: Preferences, ratings: NDArray[Any], vectors: NDArray[np.float32]) -> Callable[[int], Any]:
    from sklearn.linear_model import LogisticRegression

    tier = dict(zip(given.models, tiers_of(ratings, 10).tolist(), strict=True))
    n = len(given)
    rows, table = np.arange(n), np.zeros((n, 10))
    np.add.at(table, (rows, [tier[one] for one in given.model_a]), np.log(10))
    np.add.at(table, (rows, [tier[one] for one in given.model_b]), -np.log(10))
    table = np.vstack((table, table))
    is_tie = given.pref_b == 0.5
    won = np.concatenate((np.where(is_tie, 1.0, given.pref_b == 0), np.where(is_tie, 0.0, given.pref_b == 0)))
    never = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-6)

    def ask(row: int) -> Any:
        cosines = vectors @ vectors[row]
        weights = 10 * 10 ** (cosines / cosines.max())
        return never.fit(table, won, sample_weight=np.tile(weights, 2)).coef_

    return ask


def cosines(router: SWRanking, row: int) -> NDArray[np.float32]:
    """With a training query's vector, which spares the embedding."""
    found: NDArray[np.float32] = router.texts_vectors_ @ router.texts_vectors_[row]
    return found


def timed(label: str, ask: Callable[[int], Any], rounds: int) -> float:
    times, spent = [], []
    for row in range(rounds):
        start, began = perf_counter(), process_time()
        ask(row)
        times.append(1e3 * (perf_counter() - start))
        spent.append(1e3 * (process_time() - began))
    median, slow = np.percentile(times, [50, 95])
    print(f"{label:40s} {median:10.2f} {slow:10.2f} {np.median(spent):10.2f}")
    return float(np.median(spent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--battles", type=int, default=55_000)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--models", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    given = battles(options.battles, options.models)
    print(f"{len(given)} battles of {options.models} models; milliseconds a query: median, 95 %, processor")
    for dimensions in options.dimensions:
        for tiers in (None, 10):
            router = SWRanking(embedder=Stub(dimensions), gamma=10.0, projection="none", tiers=tiers)
            router.fit_preferences(given)
            label = f"suffice, {dimensions} dimensions, {'no' if tiers is None else tiers} tiers"
            ours = timed(
                label,
                lambda row, router=router: router._ratings(cosines(router, row), router.gamma_),
                options.rounds,
            )
            print(f"{'':40s} {'within' if ours <= TARGET_MS else 'ABOVE'} {TARGET_MS:g} ms")
        if importlib.util.find_spec("sklearn") is None:
            print("RouteLLM's algorithm: scikit-learn is not installed")
            continue
        ratings, embedded = router.ratings_, Stub(dimensions).embed(given.query)
        timed(f"RouteLLM's algorithm, {dimensions} dimensions", routellm(given, ratings, embedded), 3)


if __name__ == "__main__":
    main()
