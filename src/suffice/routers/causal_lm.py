"""A small language model as router: it reads the query and predicts the score of every model's answer.

Ong et al. (2024), RouteLLM, arXiv 2406.18665, section 4.2 (causal LLM classifier): the query in a prompt,
the verdict as the next token, out of label tokens that are added to the vocabulary. The released router
has five, [[1]] to [[5]], for the score of the weak model's answer, and sends on what is unlikely to score
4. Here every arm has five of its own, all read at the same last token, so that one pass serves any number
of arms; asking once per arm, with its name in the prompt, would cost as many passes and could gain only
from what the language model knows of that name. The score is the expected label on a scale from 0 to 1: a
cut at 4 makes a yes or no, which policies do not want. Only the label tokens and low-rank additions to the
attention (Hu et al., 2021, LoRA, arXiv 2106.09685) are trained and saved; the model itself must be where
it was, unchanged. From battles, the label tokens are win, tie and loss as in the paper (`pairs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError, ConfigError
from suffice.routers.artefact import Arrays
from suffice.routers.encoder import Encoder, packed_tensors, unpack_tensors
from suffice.routers.finetuned import FineTuned
from suffice.routers.heads import GradedHead, Head, as_numpy, linear
from suffice.routers.pytorch import library
from suffice.routers.tiny import TINY
from suffice.routers.tuning import Rows
from suffice.types import FloatArray

QWEN: Final = "Qwen/Qwen2.5-0.5B"
_BEFORE: Final = "[Question]\n"
_AFTER: Final = "\n\nPrediction:\n"
_N_LABELS: Final = 5
_RATE: Final = 2e-4
_TINY_RATE: Final = 2e-3
_ATTENTION: Final = ("q_proj", "k_proj", "v_proj", "o_proj")


class CausalLM(FineTuned):
    """quality = arm's mean + the score that a language model with label tokens expects."""

    name = "causal_lm"

    def __init__(
        self,
        *,
        model: str = QWEN,
        rank: int = 8,
        alpha: float = 16.0,
        epochs: float = 3.0,
        max_steps: int = 2000,
        batch: int = 8,
        learning_rate: float | None = None,
        max_length: int = 256,
        held_out: float = 0.1,
        patience: int = 3,
        max_rows: int | None = None,
        loss: str = "cross_entropy",
        loss_strength: float | None = None,
        temperature_scaling: bool = False,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        model : a directory in the format of transformers, a GGUF file, an id of the hub that was
            downloaded before, or "tiny" (two layers, random, no download)
        rank, alpha : of the low-rank additions, which are scaled by alpha / rank
        learning_rate : None takes 2e-4, for the tiny model 2e-3
        max_length : tokens of the prompt; a longer query is cut
        the others : as `Bert`'s
        """
        self.model, self.rank, self.alpha = model, rank, alpha
        self.epochs, self.max_steps, self.batch = epochs, max_steps, batch
        self.learning_rate, self.max_length, self.held_out = learning_rate, max_length, held_out
        self.patience, self.max_rows, self.seed = patience, max_rows, seed
        self.loss, self.loss_strength, self.temperature_scaling = loss, loss_strength, temperature_scaling

    @property
    def _base(self) -> tuple[str, float]:
        return self.model, _TINY_RATE if self.model == TINY else _RATE

    def _open(self) -> Encoder:
        peft = library("peft", f"the router {self.name!r}")
        encoder = Encoder.open(self.model, pooling="last", max_length=self.max_length)
        self.digest_ = encoder.digest()
        names = {name.rpartition(".")[2] for name, _ in encoder.model.named_modules()}
        layers = [name for name in _ATTENTION if name in names]
        config = peft.LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=layers or None)
        peft.inject_adapter_in_model(config, encoder.model)
        for name, weight in encoder.model.named_parameters():
            weight.requires_grad_("lora_" in name)
        encoder.model.to(encoder.device)
        return encoder

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return self.encoder_.tokens(texts, _BEFORE, _AFTER)

    def _graded(self, n_arms: int) -> Head:
        return LabelHead(self.encoder_.width, n_arms)

    def _added(self) -> list[str]:
        return [name for name in self.encoder_.model.state_dict() if "lora_" in name]

    def _settle(self) -> None:
        self.encoder_.round(self._added())

    def _encoder_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        added = set(self._added())
        tensors = {name: one for name, one in self.encoder_.model.state_dict().items() if name in added}
        return packed_tensors(tensors), {"base": self.model, "sha256": self.digest_}

    def _restored(self, arrays: Arrays, facts: Mapping[str, Any]) -> Encoder:
        self.encoder_ = self._open()
        if self.digest_ != facts["sha256"]:
            raise ArtefactError(
                f"the model {self.model!r} is not the one this router was trained on: its weights differ"
            )
        unpack_tensors(self.encoder_.model, arrays, self._added())
        return self.encoder_

    def _check_params(self) -> None:
        super()._check_params()
        if self.rank < 1 or not self.alpha > 0 or self.max_length < 24:
            raise ConfigError(
                f"causal_lm with rank {self.rank}, alpha {self.alpha}, max_length {self.max_length}; a rank "
                "from 1, alpha above 0 and max_length from 24 (the prompt's own words) are needed"
            )


class LabelHead(GradedHead):
    """Five label tokens per arm: rows that are added to the output layer."""

    kind = "labels"

    def _made(self, width: int, n_arms: int) -> Any:
        return linear(width, n_arms * _N_LABELS)

    def teach(self, quality: FloatArray, device: Any) -> None:
        import torch

        super().teach(quality, device)
        labels = label_shares(np.nan_to_num(quality))
        self.labels_ = torch.tensor(labels, dtype=torch.float32, device=device)  # (n, K, 5)
        is_known = ~np.isnan(quality)[:, :, None]
        shares = (labels * is_known).sum(axis=0) + 1.0 / _N_LABELS
        with torch.no_grad():
            self.module.bias.copy_(
                torch.from_numpy(np.log(shares / shares.sum(axis=1, keepdims=True)).ravel())
            )

    def _logits(self, states: Any) -> Any:
        return self.module(states).reshape(len(states), -1, _N_LABELS).log_softmax(dim=2)

    def loss(self, states: Any, rows: Rows) -> Any:
        mask = self.mask_[rows]
        each = self.criterion(self._logits(states), self.labels_[rows])
        return (each * mask).sum() / mask.sum().clamp(min=1)

    def residuals(self, states: Any) -> FloatArray:
        chances = as_numpy(self._logits(states).exp())
        return np.asarray(chances @ np.linspace(0, 1, _N_LABELS) - self.means)


def label_shares(quality: FloatArray) -> FloatArray:
    """(..., 5): quality (...) as shares of the two labels beside it, so that their mean is the quality.

    Examples
    --------
    >>> label_shares(np.array([0.0, 0.25, 0.9])).round(2).tolist()
    [[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.4, 0.6]]
    """
    steps = quality[..., None] * (_N_LABELS - 1) - np.arange(_N_LABELS)
    return np.asarray(np.maximum(1 - np.abs(steps), 0))
