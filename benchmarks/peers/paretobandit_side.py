"""ParetoBandit on a problem, run with the Python of its virtual environment.

A bandit learns from the answers it chose to see; here it is shown all of them (`update`), which is more
than it would get, with its shipped forgetting and with none (the data are stationary). Choices are greedy
(`exploit`) at several cost penalties, which trace its curve. Its vectors are the problem's, reduced to 25
principal components of the training queries, as its own pipeline has them.
"""

from __future__ import annotations

import importlib
import logging
from time import perf_counter
from typing import Any

import numpy as np
from problem import Answer, Problem, folder_and_output, imported, timed_decisions

N_COMPONENTS = 25
PENALTIES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)


def main() -> None:
    source, output = folder_and_output()
    problem = Problem.load(source)
    report = imported("ParetoBandit", lambda: importlib.import_module("pareto_bandit"))
    logging.disable(logging.WARNING)
    for label, forgetting in (("bandit", 0.997), ("bandit, tuned", 1.0)):
        report.answers.append(_run(problem, label, forgetting))
        print(label, flush=True)
    report.save(output)


def _run(problem: Problem, label: str, forgetting: float) -> Answer:
    from pareto_bandit import BanditRouter
    from pareto_bandit.feature_service import FeatureService

    train, test = _components(problem)
    registry = {model: _prices(problem, k) for k, model in enumerate(problem.models)}
    place = {model: k for k, model in enumerate(problem.models)}
    curves, fit_s, times = [], 0.0, (0.0, 0.0)
    for penalty in PENALTIES:
        router: Any = BanditRouter.create(
            registry,
            priors="none",
            feature_service=FeatureService.for_precomputed(dimension=train.shape[1]),
            forgetting_factor=forgetting,
            cost_penalty=penalty,
            bandit_seed=0,
        )
        start = perf_counter()
        for features, qualities in zip(train, problem.train_quality, strict=True):
            for model, quality in zip(problem.models, qualities, strict=True):
                if not np.isnan(quality):
                    router.update(model, features, float(quality), advance_time=model == problem.models[-1])
        fit_s = perf_counter() - start

        def decide(row: int, router: Any = router) -> int:
            return place[router.route(test[row])[0]]

        with router.exploit():
            if not curves:
                times = timed_decisions(decide, len(test))
            curves.append([decide(row) for row in range(len(test))])
    return Answer(
        router=label,
        curves=curves,
        fit_s=fit_s,
        decision_us=times[0],
        decision_us_p95=times[1],
        note=f"forgetting {forgetting}, cost penalties {PENALTIES[0]:g} to {PENALTIES[-1]:g}",
    )


def _prices(problem: Problem, k: int) -> dict[str, float]:
    """USD per million tokens such that 1,000 tokens cost what a query costs on average."""
    mean = float(np.nanmean(problem.train_cost[:, k]))
    return {"input_cost_per_m": 1000 * mean, "output_cost_per_m": 1000 * mean}


def _components(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Training and test vectors on the first principal components, of unit variance, and a bias."""
    centre = problem.train_vectors.mean(axis=0)
    _, sizes, directions = np.linalg.svd(problem.train_vectors - centre, full_matrices=False)
    n = min(N_COMPONENTS, len(sizes))
    scale = np.sqrt(len(problem.train_vectors)) / np.maximum(sizes[:n], 1e-9)
    found = []
    for vectors in (problem.train_vectors, problem.test_vectors):
        reduced = (vectors - centre) @ directions[:n].T * scale
        found.append(np.hstack([reduced, np.ones((len(reduced), 1))]).astype(np.float64))
    return found[0], found[1]


if __name__ == "__main__":
    main()
