"""ParetoBandit's own package on recorded streams, run with the Python of its virtual environment.

    PYTHON_OF_THE_PEER paretobandit_side.py FOLDER      # reads FOLDER/problem.npz, writes FOLDER/found.json

As its own demo runs a budget: `BanditRouter` with its registry of these three models, `BudgetPacer` in
adaptive mode, cost penalty 0, the true cost put into the log before `process_feedback`. It has no hard cap.
"""

from __future__ import annotations

import itertools
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

SETTINGS = [
    {"alpha": alpha, "forgetting_factor": gamma, "lr": lr}
    for alpha, gamma, lr in itertools.product((0.01, 0.05, 0.2), (0.997, 1.0), (0.02, 0.05, 0.2))
]
DEFAULTS = {"alpha": 0.01, "forgetting_factor": 0.997, "lr": 0.05}


def main() -> None:
    logging.disable(logging.WARNING)
    folder = Path(sys.argv[1])
    problem = dict(np.load(folder / "problem.npz"))
    models = json.loads((folder / "models.json").read_text("utf-8"))
    found: dict[str, Any] = {}
    views = {name[len("stream_") :] for name in problem if name.startswith("stream_")}
    for view in sorted(views):
        warm, stream = problem[f"warm_{view}"], problem[f"stream_{view}"]
        if view == "minilm":
            priors = {"cold": "none", "its priors": "warmup"}
            warm, stream = _its_components(warm), _its_components(stream)
        else:
            priors = {"cold": "none", "warm": _priors(folder, warm, problem["warm_quality"], models)}
        for start, prior in priors.items():
            for budget in problem["budgets"].tolist():
                tuned = _tuned(problem, models, folder, warm, budget, is_cold=prior == "none", prior=prior)
                for label, setting in (("defaults", DEFAULTS), ("tuned", tuned)):
                    key = f"{view}, {start}, {label}"
                    runs = [
                        _run(
                            models,
                            stream[order],
                            problem["quality"][order],
                            problem["cost"][order],
                            budget,
                            setting,
                            prior,
                            seed,
                        )
                        for seed, order in enumerate(problem["orders"])
                    ]
                    found.setdefault(key, {})[f"{budget:g}"] = {"runs": runs, "setting": setting}
                    print(key, budget, setting, np.mean(runs, axis=0), flush=True)
    (folder / "found.json").write_text(json.dumps(found), "utf-8")


def _run(
    models: list[str],
    contexts: np.ndarray,
    quality: np.ndarray,
    cost: np.ndarray,
    budget: float,
    setting: dict[str, float],
    prior: str,
    seed: int,
) -> tuple[float, float]:
    """Mean quality and mean cost of a stream."""
    from pareto_bandit import BanditRouter
    from pareto_bandit.budget_pacer import BudgetPacer, PacingMode
    from pareto_bandit.feature_service import FeatureService

    router: Any = BanditRouter.create(
        priors=prior,
        feature_service=FeatureService.for_precomputed(contexts.shape[1]),
        alpha=setting["alpha"],
        forgetting_factor=setting["forgetting_factor"],
        cost_penalty=0.0,
        budget_pacer=BudgetPacer(budget, mode=PacingMode.ADAPTIVE, lr=setting["lr"]),
        bandit_seed=seed,
    )
    place = {model: k for k, model in enumerate(models)}
    total = spent = 0.0
    for x, rewards, costs in zip(contexts, quality, cost, strict=True):
        model, log = router.route(x)
        arm = place[model]
        log.cost_usd = float(costs[arm])
        router.process_feedback(log.request_id, reward=float(rewards[arm]))
        total, spent = total + float(rewards[arm]), spent + float(costs[arm])
    return total / len(contexts), spent / len(contexts)


def _tuned(
    problem: dict[str, np.ndarray],
    models: list[str],
    folder: Path,
    warm: np.ndarray,
    budget: float,
    *,
    is_cold: bool,
    prior: str,
) -> dict[str, float]:
    """The best setting on warm queries alone: priors from one half (or its own), the other half played."""
    half = len(warm) // 2
    quality, cost = problem["warm_quality"], problem["warm_cost"]
    if not is_cold and prior != "warmup":
        prior = _priors(folder, warm[:half], quality[:half], models)
    best, best_value = DEFAULTS, -np.inf
    for setting in SETTINGS:
        runs = [
            _run(models, warm[rows], quality[rows], cost[rows], budget, setting, prior, seed)
            for seed in range(2)
            for rows in [half + np.random.default_rng(seed).permutation(len(warm) - half)]
        ]
        reached, paid = np.mean(runs, axis=0)
        value = reached - max(0.0, paid / budget - 1.01)  # a setting that overspends is no answer
        if value > best_value:
            best, best_value = setting, value
    return best


def _priors(folder: Path, vectors: np.ndarray, quality: np.ndarray, models: list[str]) -> str:
    """Statistics of warm data in the form of its `generate_warmup_priors`; vectors end in a constant."""
    import joblib

    a = {m: np.eye(vectors.shape[1]) + vectors.T @ vectors for m in models}
    b = {m: vectors.T @ quality[:, k] for k, m in enumerate(models)}
    state = {"A": a, "b": b, "models": models, "pca_whitened": False, "n": len(vectors)}
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".joblib", delete=False) as file:
        joblib.dump(state, file)
    return file.name


def _its_components(vectors: np.ndarray) -> np.ndarray:
    """Its own 25 whitened components of MiniLM vectors, and the constant."""
    import joblib
    from pareto_bandit.config import DEFAULT_PCA_PATH

    pca = joblib.load(DEFAULT_PCA_PATH)
    found = pca.transform(vectors) / np.sqrt(np.maximum(pca.explained_variance_, 1e-12))
    return np.hstack([found, np.ones((len(found), 1))])


if __name__ == "__main__":
    main()
