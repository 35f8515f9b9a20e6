"""Instruction-following difficulty: how little a query helps a model to say its answer.

References
----------
Li et al. (2024), From Quantity to Quality: Boosting LLM Performance with Self-Guided Data Selection for
Instruction Tuning, arXiv 2308.12032, equation 4: IFD = loss(answer | query) / loss(answer). At 1 and above
the query does not help at all, so that the two may not belong together; below, a high IFD is instructive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from suffice.errors import ConfigError, MissingDependency
from suffice.types import BoolArray, FloatArray


class Losses(Protocol):
    """Mean loss per answer token, in nats."""

    def __call__(self, prompts: Sequence[str], answers: Sequence[str]) -> FloatArray:
        """(n,); an empty prompt gives the loss of the answer alone."""
        ...


def difficulty(prompts: Sequence[str], answers: Sequence[str], losses: Losses) -> FloatArray:
    """(n,): IFD, above 0; NaN where an answer alone costs nothing."""
    with_query = losses(prompts, answers)
    alone = losses([""] * len(answers), answers)
    return np.asarray(np.divide(with_query, alone, out=np.full(len(alone), np.nan), where=alone > 0))


def most_instructive(ifd: FloatArray, share: float) -> BoolArray:
    """(n,): rows with an IFD below 1 and among the highest `share` of those; unknown ones are kept."""
    fits = np.isnan(ifd) | (ifd < 1)
    known = np.flatnonzero(~np.isnan(ifd) & (ifd < 1))
    n_dropped = len(known) - round(share * len(known))
    kept = fits.copy()
    kept[known[np.argsort(ifd[known], kind="stable")[:n_dropped]]] = False
    return kept


class ModelLosses:
    """From a causal model in a folder, by transformers."""

    def __init__(self, path: str, *, max_tokens: int = 1_024) -> None:
        """
        Parameters
        ----------
        path : of the model and its tokenizer
        max_tokens : of prompt and answer; more of the prompt's start is cut

        Raises
        ------
        MissingDependency
            If torch or transformers is not installed.
        ConfigError
            If the folder holds no such model.
        """
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise MissingDependency("transformers", "torch", "measuring difficulty with a model") from error
        self._torch: Any = torch
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
            self._model: Any = AutoModelForCausalLM.from_pretrained(path, local_files_only=True).eval()
        except (OSError, ValueError) as error:
            raise ConfigError(f"curate.ifd_model: {path} holds no causal model: {error}") from error
        self._max_tokens = max_tokens

    def __call__(self, prompts: Sequence[str], answers: Sequence[str]) -> FloatArray:
        return np.array([self._loss(*pair) for pair in zip(prompts, answers, strict=True)], np.float64)

    def _loss(self, prompt: str, answer: str) -> float:
        start = self._tokenizer(f"{prompt}\n" if prompt else "", add_special_tokens=True)["input_ids"]
        said = self._tokenizer(answer, add_special_tokens=False)["input_ids"][: self._max_tokens]
        if not said:
            return 0.0
        start = start[-max(1, self._max_tokens - len(said)) :]
        if not start:  # a tokenizer without a mark of the beginning: the first token is free
            start, said = said[:1], said[1:]
        if not said:
            return 0.0
        ids = self._torch.tensor([[*start, *said]])
        with self._torch.no_grad():
            logits = self._model(ids).logits[0, len(start) - 1 : -1].float()
        loss = self._torch.nn.functional.cross_entropy(logits, self._torch.tensor(said))
        return float(loss)
