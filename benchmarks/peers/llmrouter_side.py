"""LLMRouter's own classes on a problem, run with the Python of its virtual environment.

Its routers embed with a Longformer of 149 million parameters, which takes seconds on a CPU; here that
function looks vectors up, so quality and time are those of the routers. Each router learns from files in
the library's own format through its own trainer, with its shipped defaults, and once more with the
setting that does best on a third of the training queries that is held out.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import numpy as np
from problem import Answer, Problem, folder_and_output, imported, timed_decisions


@dataclass
class Kind:
    """A router of the library, its defaults, and other settings worth trying."""

    module: str
    router: str
    trainer: str
    suffix: str
    defaults: dict[str, Any]
    grid: list[dict[str, Any]]


KINDS = {
    "knn": Kind(
        "knnrouter",
        "KNNRouter",
        "KNNRouterTrainer",
        "pkl",
        {"n_neighbors": 5, "weights": "uniform", "algorithm": "auto", "p": 2, "n_jobs": -1},
        [{"n_neighbors": k, "weights": w} for k in (5, 20, 60, 120) for w in ("uniform", "distance")],
    ),
    "svm": Kind(
        "svmrouter",
        "SVMRouter",
        "SVMRouterTrainer",
        "pkl",
        {"kernel": "rbf", "C": 1.0, "gamma": "scale", "probability": True},
        [{"C": c, "probability": False} for c in (0.1, 1.0, 10.0)],
    ),
    "mlp": Kind(
        "mlprouter",
        "MLPRouter",
        "MLPTrainer",
        "pkl",
        {
            "hidden_layer_sizes": [128, 64],
            "activation": "relu",
            "lr": 0.001,
            "epochs": 100,
            "batch_size": 32,
            "alpha": 0.0001,
        },
        [{"epochs": epochs, "alpha": alpha} for epochs in (5, 20) for alpha in (1e-4, 1e-2)],
    ),
    "mf": Kind(
        "mfrouter",
        "MFRouter",
        "MFRouterTrainer",
        "pkl",
        {"latent_dim": 128, "lr": 0.001, "epochs": 5, "batch_size": 64, "noise_alpha": 0.0},
        [{"epochs": epochs, "noise_alpha": noise} for epochs in (2, 10) for noise in (0.0, 0.1)],
    ),
}


def main() -> None:
    source, output = folder_and_output()
    problem = Problem.load(source)
    report = imported("LLMRouter", lambda: importlib.import_module("llmrouter.models"))
    for name, kind in KINDS.items():
        runs: list[tuple[str, dict[str, Any]]] = [(name, {})]
        if problem.is_tuned:
            runs.append((f"{name}, tuned", _tuned(kind, problem)))
        for label, settings in runs:
            note = ", ".join(f"{key} {value}" for key, value in settings.items()) or "its defaults"
            try:
                answer = _run(kind, problem, kind.defaults | settings)
            except Exception as error:  # the library's failures are part of the result
                report.answers.append(Answer(router=label, note=f"{type(error).__name__}: {error}"))
                continue
            report.answers.append(replace(answer, router=label, note=note))
            print(label, note, flush=True)
    report.save(output)


def _tuned(kind: Kind, problem: Problem) -> dict[str, Any]:
    """The setting whose choices have the highest quality on held-out training queries."""
    held = np.random.default_rng(0).permutation(len(problem.train_texts)) % 3 == 0
    inner = Problem(
        models=problem.models,
        train_texts=[text for text, out in zip(problem.train_texts, held, strict=True) if not out],
        test_texts=[text for text, out in zip(problem.train_texts, held, strict=True) if out],
        train_vectors=problem.train_vectors[~held],
        test_vectors=problem.train_vectors[held],
        train_quality=problem.train_quality[~held],
        test_quality=problem.train_quality[held],
        train_cost=problem.train_cost[~held],
        test_cost=problem.train_cost[held],
    )

    def quality(settings: dict[str, Any]) -> float:
        try:
            choices = _run(kind, inner, kind.defaults | settings, n_timed=0).choices
        except Exception:
            return -1.0
        return float(np.nanmean(inner.test_quality[np.arange(len(held[held])), choices]))

    return max(kind.grid, key=quality)


def _run(kind: Kind, problem: Problem, hparam: dict[str, Any], n_timed: int = 10**9) -> Answer:
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        config = _write(Path(scratch), kind, problem, hparam)
        package = importlib.import_module(f"llmrouter.models.{kind.module}")
        module = importlib.import_module(f"llmrouter.models.{kind.module}.router")
        trainers = importlib.import_module(f"llmrouter.models.{kind.module}.trainer")
        lookup = _embeddings(problem)
        for place in (package, module, trainers):
            if hasattr(place, "get_longformer_embedding"):
                place.get_longformer_embedding = lookup.__getitem__
        router = getattr(module, kind.router)(str(config))
        start = perf_counter()
        getattr(trainers, kind.trainer)(router=router, device="cpu").train()
        fit_s = perf_counter() - start
        place = {model: k for k, model in enumerate(problem.models)}

        def decide(row: int) -> int:
            return place[router.route_single({"query": f"test {row}"})["model_name"]]

        n_test = len(problem.test_texts)
        median, tail = timed_decisions(decide, n_test) if n_timed else (0.0, 0.0)
        choices = [decide(row) for row in range(n_test)]
    return Answer(router=kind.module, choices=choices, fit_s=fit_s, decision_us=median, decision_us_p95=tail)


def _embeddings(problem: Problem) -> dict[str, Any]:
    """Name of a query to its vector; names, since equal texts would fall into one group."""
    import torch

    parts = (("train", problem.train_vectors), ("test", problem.test_vectors))
    return {
        f"{part} {row}": torch.from_numpy(vector)
        for part, vectors in parts
        for row, vector in enumerate(np.asarray(vectors, np.float32))
    }


def _write(folder: Path, kind: Kind, problem: Problem, hparam: dict[str, Any]) -> Path:
    """Routing data, embeddings and configuration in the library's format."""
    import torch
    import yaml

    rows = []
    for query, qualities in enumerate(problem.train_quality):
        rows += [
            {
                "query": f"train {query}",
                "model_name": model,
                "performance": float(quality),
                "embedding_id": query,
                "task_name": "all",
            }
            for model, quality in zip(problem.models, qualities, strict=True)
            if not np.isnan(quality)
        ]
    (folder / "routing.jsonl").write_text("\n".join(map(json.dumps, rows)))
    torch.save(torch.from_numpy(np.asarray(problem.train_vectors, np.float32)), folder / "embeddings.pt")
    llms = {model: {"size": "7B", "model": model} for model in problem.models}
    (folder / "llms.json").write_text(json.dumps(llms))
    saved = str(folder / "saved" / f"model.{kind.suffix}")
    (folder / "saved").mkdir()
    config = {
        "data_path": {
            "routing_data_train": str(folder / "routing.jsonl"),
            "query_embedding_data": str(folder / "embeddings.pt"),
            "llm_data": str(folder / "llms.json"),
        },
        "model_path": {
            "ini_model_path": str(folder / "none.pkl"),
            "save_model_path": saved,
            "load_model_path": saved,
        },
        "metric": {"weights": {"performance": 1, "cost": 0, "llm_judge": 0}},
        "hparam": hparam | {"text_dim": problem.train_vectors.shape[1]},
    }
    if kind.module in ("knnrouter", "svmrouter", "mlprouter"):
        config["hparam"].pop("text_dim")
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


if __name__ == "__main__":
    main()
