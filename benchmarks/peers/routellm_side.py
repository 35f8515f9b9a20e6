"""RouteLLM's own matrix factorisation and similarity-weighted ranking on a problem with a pair.

Run with the Python of its virtual environment. Its embedding call to OpenAI looks vectors up instead; its
checkpoints and Arena data lie on a hub, so both routers learn from the training queries' golden labels
(the better of the two answers wins), matrix factorisation through the library's own training script.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import warnings
from time import perf_counter
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("OPENAI_API_KEY", "none")  # the library makes a client when it is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
from problem import Answer, Problem, folder_and_output, imported, timed_decisions

STRONG, WEAK = "gpt-4-1106-preview", "mixtral-8x7b-instruct-v0.1"
"""The names that the library knows; the problem's pair takes their places."""


class Lookup:
    """In the place of the OpenAI client: vectors of texts that are known beforehand."""

    def __init__(self, problem: Problem) -> None:
        self._vectors = {f"test {row}": vector.tolist() for row, vector in enumerate(problem.test_vectors)}
        self.embeddings = self

    def create(self, input: list[str], model: str) -> Any:
        return SimpleNamespace(data=[SimpleNamespace(embedding=self._vectors[text]) for text in input])


def main() -> None:
    source, output = folder_and_output()
    problem = Problem.load(source)
    warnings.simplefilter("ignore", FutureWarning)  # scikit-learn's, once per decision
    report = imported("RouteLLM", lambda: importlib.import_module("routellm.routers.routers"))
    for make in (_matrix_factorisation, _similarity_weighted):
        answer = make(problem)
        report.answers.append(answer)
        print(answer.router, answer.note, flush=True)
    report.save(output)


def _gain(problem: Problem) -> np.ndarray:
    assert problem.pair is not None, "RouteLLM routes between two models: give a problem with a pair"
    strong, weak = (problem.models.index(model) for model in problem.pair)
    return problem.train_quality[:, strong] - problem.train_quality[:, weak]


def _matrix_factorisation(problem: Problem, n_epochs: int = 10) -> Answer:
    import torch
    from routellm.routers import routers
    from routellm.routers.matrix_factorization import model as model_module
    from routellm.routers.matrix_factorization import train_matrix_factorization as training

    torch.manual_seed(0)
    rows = np.flatnonzero(_gain(problem) != 0)  # it drops ties
    data = [
        {
            "model_a": STRONG,
            "model_b": WEAK,
            "idx": int(row),
            "winner": "model_a" if _gain(problem)[row] > 0 else "model_b",
        }
        for row in rows
    ]
    order = np.random.default_rng(0).permutation(len(data))
    cut = int(0.95 * len(data))
    parts = [[data[i] for i in order[:cut]], [data[i] for i in order[cut:]]]
    dim = problem.train_vectors.shape[1]
    vectors = output_path(problem)
    start = perf_counter()
    net = training.MFModel_Train(
        dim=128,
        num_models=len(model_module.MODEL_IDS),
        num_prompts=len(problem.train_vectors),
        text_dim=dim,
        npy_path=vectors,
    )
    loaders = [training.PairwiseDataset(part).get_dataloaders(64) for part in parts]
    with contextlib.redirect_stderr(io.StringIO()):
        training.train_loops(
            net, *loaders, lr=3e-4, weight_decay=1e-5, alpha=0.1, num_epochs=n_epochs, device="cpu"
        )
    fit_s = perf_counter() - start
    served = model_module.MFModel(
        dim=128, num_models=len(model_module.MODEL_IDS), text_dim=dim, num_classes=1, use_proj=True
    )
    state = {key.replace("text_proj.", "text_proj.0."): value for key, value in net.state_dict().items()}
    state = {key.replace("classifier.", "classifier.0."): value for key, value in state.items()}
    state.pop("Q.weight")
    served.load_state_dict(state)
    router = object.__new__(routers.MatrixFactorizationRouter)
    router.model = served.eval()
    router.strong_model_id, router.weak_model_id = (model_module.MODEL_IDS[name] for name in (STRONG, WEAK))
    model_module.OPENAI_CLIENT = Lookup(problem)
    return _measured(router, problem, "mf", fit_s, f"its script, {n_epochs} epochs, ties dropped")


def output_path(problem: Problem) -> str:
    """The training vectors as the file that the library's script wants."""
    folder = folder_and_output()[0]
    np.save(folder / "train_vectors.npy", problem.train_vectors)
    return str(folder / "train_vectors.npy")


def _similarity_weighted(problem: Problem) -> Answer:
    import pandas as pd
    from routellm.routers import routers

    gain = _gain(problem)
    start = perf_counter()
    router = object.__new__(routers.SWRankingRouter)  # its constructor fetches battles from a hub
    router.strong_model, router.weak_model = STRONG, WEAK
    router.embedding_model = "looked up"
    router.model2tier = {WEAK: 0, STRONG: 1}  # its 10 tiers need more than two models
    winners = np.where(gain > 0, "model_a", np.where(gain < 0, "model_b", "tie"))
    router.arena_df = pd.DataFrame({"model_a": 1, "model_b": 0, "winner": winners})
    router.arena_conv_embedding = np.asarray(problem.train_vectors, np.float64)
    fit_s = perf_counter() - start
    routers.OPENAI_CLIENT = Lookup(problem)
    return _measured(router, problem, "sw_ranking", fit_s, "two models, no tiers")


def _measured(router: Any, problem: Problem, name: str, fit_s: float, note: str) -> Answer:
    def decide(row: int) -> float:
        return float(router.calculate_strong_win_rate(f"test {row}"))

    n_test = len(problem.test_texts)
    median, tail = timed_decisions(decide, n_test)
    return Answer(
        router=name,
        win_rate=[decide(row) for row in range(n_test)],
        fit_s=fit_s,
        decision_us=median,
        decision_us_p95=tail,
        note=note,
    )


if __name__ == "__main__":
    main()
