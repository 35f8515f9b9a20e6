"""A causal language model with low-rank additions, read only where its answer stands.

Hu et al. (2021), LoRA, arXiv 2106.09685. The output layer, which of a small model is the largest part, is
applied to the places of the target alone: of 25 tokens of a classification that is one or two.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from suffice.distillation.stated import pretrained_causal
from suffice.distillation.trainers.lessons import Lesson
from suffice.errors import ArtefactError, ConfigError
from suffice.routers.pytorch import best_device, library, seeded

ALL_PROJECTIONS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_PURPOSE: Final = "training and running a LoRA student"
_BATCH: Final = 16


class Causal:
    """Base weights are never changed; `weights` are what learns."""

    def __init__(self, lm: Any, tokenizer: Any) -> None:
        self.device = best_device()
        self.lm = lm.to(self.device).eval()
        self.tokenizer = tokenizer
        plain = lm.get_base_model() if hasattr(lm, "get_base_model") else lm
        self.config = plain.config
        self._body, self._output = plain.base_model, plain.get_output_embeddings()

    @classmethod
    def open(
        cls,
        base: str,
        *,
        rank: int = 8,
        alpha: float = 16.0,
        projections: Sequence[str] = ALL_PROJECTIONS,
        max_length: int = 256,
        seed: int = 0,
    ) -> Self:
        """A pretrained model with additions that add nothing yet.

        Parameters
        ----------
        base : a directory in the format of transformers, or "tiny" (two layers, random, no download)
        rank, alpha : of the additions, which are scaled by alpha / rank
        projections : which linear maps get additions, by the last part of their names

        Raises
        ------
        ConfigError
            If there is no such model, or a number is out of range.
        MissingDependency
            Without the extra [torch].
        """
        if rank < 1 or not alpha > 0:
            raise ConfigError(f"rank {rank}, alpha {alpha}: numbers above 0 are needed")
        need_torch()
        import peft

        with seeded(seed):
            lm, tokenizer = pretrained_causal(base, max_length)
            config = peft.LoraConfig(
                r=rank, lora_alpha=alpha, target_modules=list(projections), task_type="CAUSAL_LM"
            )
            with _without_notes():
                try:
                    adapted = peft.get_peft_model(lm, config)
                except ValueError as error:  # none of the projections is there
                    raise ConfigError(f"the model in {base!r} cannot be adapted: {error}") from error
        return cls(adapted, tokenizer)

    @classmethod
    def load(cls, base: str, adapter: Path, *, max_length: int = 256) -> Self:
        """A base with additions that `save` wrote."""
        need_torch()
        import peft

        lm, tokenizer = pretrained_causal(base, max_length)
        with _without_notes():
            try:
                return cls(peft.PeftModel.from_pretrained(lm, str(adapter)), tokenizer)
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                raise ArtefactError(f"the adapter in {adapter} does not fit {base!r}: {error}") from error

    @property
    def weights(self) -> dict[str, Any]:
        """What learns, by name."""
        return {name: one for name, one in self.lm.named_parameters() if one.requires_grad}

    @property
    def end(self) -> int | None:
        """The token that ends an answer."""
        found = self.config.eos_token_id
        return int(found[0] if isinstance(found, list) else found) if found is not None else None

    def logits(self, lessons: Sequence[Lesson]) -> tuple[Any, Any]:
        """(N, V) over the vocabulary at every place of every target in turn, and (N,) whose it is."""
        import torch

        lengths = [len(one) for one in lessons]
        ids = torch.zeros((len(lessons), max(lengths)), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(lessons):
            ids[row, : lengths[row]] = torch.tensor((*one.prompt, *one.target))
            mask[row, : lengths[row]] = 1
        owners = np.repeat(np.arange(len(lessons)), [len(one.target) for one in lessons])
        places = np.concatenate([np.arange(len(one.prompt), len(one)) - 1 for one in lessons])
        in_half = self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=in_half):
            found = self._body(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device), use_cache=False
            ).last_hidden_state
            whose = torch.from_numpy(owners).to(self.device)
            logits = self._output(found[whose, torch.from_numpy(places).to(self.device)]).float()
        cap = getattr(self.config, "final_logit_softcapping", None)
        return (cap * torch.tanh(logits / cap) if cap else logits), whose

    def blocks(self, lessons: Sequence[Lesson]) -> Iterator[tuple[NDArray[np.intp], Any, Any]]:
        """Which lessons, and their `logits`, those of like length together, without gradients."""
        import torch

        order = np.argsort([len(one) for one in lessons], kind="stable")
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            with torch.no_grad():
                yield rows, *self.logits([lessons[row] for row in rows])

    @contextlib.contextmanager
    def untrained(self) -> Iterator[None]:
        """The base alone answers."""
        with self.lm.disable_adapter():
            yield

    def save(self, folder: Path) -> None:
        """`adapter_config.json` and `adapter_model.safetensors`, which other tools read."""
        with _without_notes():
            self.lm.save_pretrained(str(folder))

    def put(self, values: Mapping[str, Any]) -> None:
        """Set what learns."""
        import torch

        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(values[name])


def need_torch() -> None:
    """Raise MissingDependency unless all of the extra [torch] is there."""
    for name in ("torch", "transformers", "tokenizers", "peft", "safetensors"):
        library(name, _PURPOSE)


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks for a name that transformers drops, and the like
        yield
