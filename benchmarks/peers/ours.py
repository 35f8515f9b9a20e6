"""Our routers on a problem: with the peers' vectors, and once with our own reading of the text."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from problem import Answer, Problem, Report, timed_decisions

from suffice import routers
from suffice.embedders import HashedNgrams
from suffice.outcomes import Outcomes
from suffice.policies import create as create_policy
from suffice.protocols import Embedder, PolicyContext
from suffice.routers import fit_cost_model
from suffice.types import FloatArray, Query

HERE = Path(__file__).parent


class Lookup:
    """Vectors that are known beforehand, by text."""

    name = "looked up"

    def __init__(self, problem: Problem) -> None:
        texts = (*problem.train_texts, *problem.test_texts)
        vectors = np.vstack([problem.train_vectors, problem.test_vectors]).astype(np.float32)
        self._vectors = dict(zip(texts, vectors, strict=True))
        self.dimensions = vectors.shape[1]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._vectors[text] for text in texts])


def outcomes(problem: Problem) -> Outcomes:
    """The training part as a table."""
    queries = [Query(text=text, id=str(row)) for row, text in enumerate(problem.train_texts)]
    return Outcomes.from_arrays(queries, problem.models, problem.train_quality, cost_usd=problem.train_cost)


def predicted_costs(problem: Problem) -> FloatArray | None:
    """(n_test, K) as the comparison predicts them; None without costs."""
    if np.isnan(problem.train_cost).all():
        return None
    return fit_cost_model(outcomes(problem)).costs([Query(text=text) for text in problem.test_texts])


def footprint(python: Path) -> Report:
    """What importing a router takes, and what is installed, in the environment of that interpreter."""
    code = (
        "import importlib, json, sys; from dataclasses import asdict; from problem import imported; "
        "found = imported('Suffice', lambda: importlib.import_module('suffice.routers.knn')); "
        "print(json.dumps(asdict(found)))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd=HERE)
    return Report(**json.loads(done.stdout))


def run(problem: Problem, name: str, *, own_text: bool = False) -> tuple[Answer, FloatArray]:
    """A router trained, timed, and its scores (n_test, K)."""
    embedder: Embedder = HashedNgrams() if own_text else Lookup(problem)
    table = outcomes(problem)
    router = routers.create(name, embedder)
    start = perf_counter()
    router.fit(table)
    fit_s = perf_counter() - start
    queries = [Query(text=text) for text in problem.test_texts]
    policy = create_policy("utility", value_usd=0.01)
    context = PolicyContext(arms=router.arms)
    costs = None if np.isnan(problem.train_cost).all() else fit_cost_model(table)
    unknown = np.full((1, len(router.arms)), np.nan)

    def choose(row: int) -> object:
        return router.arms[int(router.scores([queries[row]])[0].argmax())]

    def decide(row: int) -> object:
        query = [queries[row]]
        paid = unknown if costs is None else costs.costs(query)
        return policy.choose(router.scores(query), paid, unknown, context)

    median, tail = timed_decisions(decide if own_text else choose, len(queries))
    note = "embedding, scores, costs and policy" if own_text else ""
    answer = Answer(router=name, fit_s=fit_s, decision_us=median, decision_us_p95=tail, note=note)
    return answer, router.scores(queries)
