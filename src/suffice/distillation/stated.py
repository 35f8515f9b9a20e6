"""A small language model that states how sure one may be of an answer, as one digit.

It reads a question with a proposed answer and is asked for a digit: 0 stands for a chance of 5 % of being
right, 9 for 95 %. Only the ten digits can be said, so that a whole distribution over what could be stated
costs one pass. Trained are low-rank additions to the attention (Hu et al., 2021, LoRA, arXiv 2106.09685);
before the first step they add nothing, so that the untrained model is its own reference.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from suffice.errors import ConfigError, DataError
from suffice.routers.encoder import Encoder, Pieces
from suffice.routers.pytorch import library, quiet, seeded
from suffice.routers.tiny import TINY, HashedWords, tiny_causal
from suffice.types import FloatArray

DIGITS: Final = "0123456789"
LEVELS: Final[FloatArray] = (np.arange(10) + 0.5) / 10
"""What each digit stands for."""
_QUESTION: Final = "Question:\n"
_ANSWER: Final = "\n\nProposed answer:\n"
_ASK: Final = "\n\nHow likely is this answer right, from 0 (surely not) to 9 (surely)?\nDigit: "
_ATTENTION: Final = ("q_proj", "k_proj", "v_proj", "o_proj")
_TINY_SCALE: Final = 10.0
"""Of the tiny model's output weights, which are too small as they are drawn to be sure of anything."""
_PURPOSE: Final = "tuning a model's stated confidence"


class StatedConfidence:
    """A policy over ten digits."""

    def __init__(self, lm: Any, tokenizer: Pieces | HashedWords, *, max_length: int) -> None:
        """
        Parameters
        ----------
        lm : a causal language model of transformers, perhaps with low-rank additions
        """
        import torch

        self.lm = lm
        plain = lm.get_base_model() if hasattr(lm, "get_base_model") else lm
        self.body = Encoder(plain.base_model, tokenizer, pooling="last", max_length=max_length)
        places = [tokenizer.bare(digit)[-1:] for digit in DIGITS]
        if len({*map(tuple, places)}) < len(DIGITS):
            raise ConfigError("this model has no token of its own for every digit: take another one")
        output = plain.get_output_embeddings()
        chosen = torch.tensor([place[0] for place in places])
        self._weight = output.weight.detach()[chosen].to(self.body.device)  # (10, width)

    @classmethod
    def open(
        cls,
        model: str,
        *,
        rank: int = 8,
        alpha: float = 16.0,
        n_layers: int | None = None,
        max_length: int = 256,
        seed: int = 0,
    ) -> Self:
        """A pretrained model as it is, ready to be trained.

        Parameters
        ----------
        model : a directory in the format of transformers, or "tiny" (two layers, random, no download)
        rank, alpha : of the low-rank additions, which are scaled by alpha / rank
        n_layers : that get them, counted from the last, at least 1; None takes all. What lies below reads
            every prompt only once
        max_length : tokens of the prompt; a longer question loses its end, a longer answer its start

        Raises
        ------
        ConfigError
            If there is no such model, or a number is out of range.
        MissingDependency
            Without the extra [torch].
        """
        if rank < 1 or not alpha > 0 or (n_layers is not None and n_layers < 1):
            raise ConfigError(f"rank {rank}, alpha {alpha}, n_layers {n_layers}: numbers above 0 are needed")
        for name in ("torch", "transformers", "tokenizers", "peft"):
            library(name, _PURPOSE)
        import peft

        with seeded(seed):
            lm, tokenizer = pretrained_causal(model, max_length)
            total = lm.config.num_hidden_layers
            layers = None if n_layers is None else list(range(max(0, total - n_layers), total))
            config = peft.LoraConfig(
                r=rank,
                lora_alpha=alpha,
                target_modules=list(_ATTENTION),
                layers_to_transform=layers,
                task_type="CAUSAL_LM",
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # peft asks for a name that transformers drops
                adapted = peft.get_peft_model(lm, config)
            found = cls(adapted, tokenizer, max_length=max_length)
        found.body.n_frozen = layers[0] if layers else 0
        return found

    def prompts(self, questions: Sequence[str], answers: Sequence[str]) -> list[list[int]]:
        """Token numbers of every question with its proposed answer."""
        if len(questions) != len(answers):
            raise DataError(f"{len(questions)} questions for {len(answers)} answers: give one of each")
        bare = self.body.tokenizer.bare
        between, ask = bare(_ANSWER), bare(_ASK)
        room = self.body.max_length - len(between) - len(ask)
        if room < 16:
            raise ConfigError(
                f"max_length {self.body.max_length} leaves no room: give {64 + 16 - room} or more"
            )
        rows = []
        for question, answer in zip(questions, answers, strict=True):
            said = bare(clean(answer))[-(room // 2) :]
            start = self.body.tokenizer.encode(_QUESTION + clean(question), room - len(said))
            rows.append(start + between + said + ask)
        return rows

    def digits(self, states: Any) -> Any:
        """(n, 10): log-probabilities of the digits, of what the body made of n prompts."""
        return (states @ self._weight.T).log_softmax(dim=1)

    def distribution(self, questions: Sequence[str], answers: Sequence[str]) -> FloatArray:
        """(n, 10): how likely every digit is."""
        found = self.digits(self.body.all_states(self.prompts(questions, answers))).exp()
        return np.asarray(found.cpu().numpy(), np.float64)

    def confidences(self, questions: Sequence[str], answers: Sequence[str]) -> FloatArray:
        """(n,), in [0, 1]: what the likeliest digit stands for."""
        found: FloatArray = LEVELS[self.distribution(questions, answers).argmax(axis=1)]
        return found

    def save(self, directory: Path | str) -> None:
        """Low-rank additions in the format of peft, which other tools read."""
        self.lm.save_pretrained(str(directory))


def clean(text: str) -> str:
    """As a tokenizer can read it."""
    return text.encode("utf-8", "replace").decode()  # a lone surrogate is no text to a tokenizer


def pretrained_causal(name: str, max_length: int) -> tuple[Any, Pieces | HashedWords]:
    """A causal language model of this machine in single precision, and its tokenizer.

    Raises
    ------
    ConfigError
        If there is none in that directory, or it cannot be used.
    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaForCausalLM

    if name == TINY:
        body = tiny_causal(max_length)
        with quiet():
            lm = LlamaForCausalLM(body.config)
        lm.model = body
        with torch.no_grad():
            lm.lm_head.weight.mul_(_TINY_SCALE)
        return lm, HashedWords()
    path = Path(name).expanduser()
    tokenizer = path / "tokenizer.json"
    if not tokenizer.is_file():
        raise ConfigError(f"{name!r} is no directory in the format of transformers: no tokenizer.json in it")
    try:
        with quiet():
            lm = AutoModelForCausalLM.from_pretrained(str(path), local_files_only=True, dtype=torch.float32)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"the model in {name!r} cannot be used: {error}") from error
    return lm, Pieces(tokenizer.read_text())
