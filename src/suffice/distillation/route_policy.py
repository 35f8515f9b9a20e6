"""A causal language model that speaks Router-R1's language: said, and how likely it was said.

Trained are all weights of a small model given as it is, or low-rank additions to a pretrained one (Hu et al.,
2021, LoRA), which is then its own reference.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

from suffice.errors import ConfigError
from suffice.plans.thinking import STOPS
from suffice.routers.pytorch import best_device, library, quiet, seeded

_ATTENTION: Final = ("q_proj", "k_proj", "v_proj", "o_proj")
_PURPOSE: Final = "training a routing policy"
_TAIL: Final = 16
"""Tokens at the end among which an action may have been closed."""


class Language(Protocol):
    """Texts as numbers."""

    @property
    def padding(self) -> int: ...

    @property
    def end(self) -> int: ...

    def encode(self, text: str) -> list[int]:
        """Without numbers that mark start and end."""
        ...

    def decode(self, numbers: Sequence[int]) -> str: ...

    def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The conversation, up to where the assistant speaks."""
        ...


@dataclass(frozen=True)
class Said:
    """One reply of a policy."""

    context: Sequence[int]
    reply: Sequence[int]
    log_probs: Sequence[float]
    """Of the reply's tokens, when it was said."""


class RoutePolicy:
    """A policy over replies."""

    def __init__(self, lm: Any, language: Language, *, max_tokens: int = 64) -> None:
        """
        Parameters
        ----------
        lm : a causal language model of transformers, perhaps with low-rank additions
        max_tokens : of a reply
        """
        self.lm = lm.to(best_device())
        self.language, self.max_tokens = language, max_tokens
        self._reference = None if hasattr(lm, "disable_adapter") else copy.deepcopy(lm).requires_grad_(False)

    @classmethod
    def open(
        cls, model: str, *, rank: int = 16, alpha: float = 32.0, max_tokens: int = 256, seed: int = 0
    ) -> Self:
        """A pretrained model with low-rank additions, ready to be trained.

        Parameters
        ----------
        model : a directory in the format of transformers

        Raises
        ------
        ConfigError
            If there is no such model.
        MissingDependency
            Without the extra [torch].
        """
        for name in ("torch", "transformers", "peft"):
            library(name, _PURPOSE)
        import peft
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = str(Path(model).expanduser())
        try:
            with quiet():
                lm = AutoModelForCausalLM.from_pretrained(path, local_files_only=True)
                tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"the model in {model!r} cannot be used: {error}") from error
        config = peft.LoraConfig(
            r=rank, lora_alpha=alpha, target_modules=list(_ATTENTION), task_type="CAUSAL_LM"
        )
        with seeded(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks for a name that transformers drops
            adapted = peft.get_peft_model(lm, config)
        return cls(adapted, _Pretrained(tokenizer), max_tokens=max_tokens)

    def remember(self) -> None:
        """The policy as it is now becomes the reference, where it has no low-rank additions to leave out."""
        if self._reference is not None:
            self._reference.load_state_dict(self.lm.state_dict())

    def say(self, contexts: Sequence[Sequence[int]], *, is_greedy: bool = False) -> list[Said]:
        """A reply to every context, drawn at temperature 1, up to the end of its first action."""
        import torch
        from transformers import StoppingCriteriaList

        device = next(self.lm.parameters()).device
        longest, pad = max(map(len, contexts)), self.language.padding
        gaps = [longest - len(row) for row in contexts]
        rows = [[pad] * gap + list(row) for gap, row in zip(gaps, contexts, strict=True)]
        seen = [[0] * gap + [1] * (longest - gap) for gap in gaps]
        closing = _Closing(self.language, longest, len(contexts))
        drawing: dict[str, Any] = {"do_sample": False}
        if not is_greedy:
            drawing = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
        self.lm.eval()
        with torch.no_grad(), quiet():
            drawn = self.lm.generate(
                input_ids=torch.tensor(rows, device=device),
                attention_mask=torch.tensor(seen, device=device),
                max_new_tokens=self.max_tokens,
                stopping_criteria=StoppingCriteriaList([closing]),
                pad_token_id=pad,
                eos_token_id=self.language.end,
                **drawing,
            )[:, longest:].tolist()
            said = [
                Said(context, row[:length], ())
                for context, row, length in zip(contexts, drawn, closing.lengths, strict=True)
            ]
            told = self.log_probs(said).tolist()
        return [
            Said(one.context, one.reply, values[: len(one.reply)])
            for one, values in zip(said, told, strict=True)
        ]

    def log_probs(self, said: Sequence[Said], *, is_reference: bool = False) -> Any:
        """(n, longest reply): of the replies' tokens; padding is 0."""
        import torch

        device = next(self.lm.parameters()).device
        rows = [[*one.context, *one.reply] for one in said]
        longest = max(map(len, rows))
        pad = self.language.padding
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=device)
        seen = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
        lm, frame = self.lm, nullcontext()
        if is_reference and self._reference is not None:
            lm = self._reference.eval()
        elif is_reference:
            frame = self.lm.disable_adapter()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not is_reference), frame:
            logits = lm(input_ids=ids, attention_mask=seen).logits
            found = logits.new_zeros((len(said), max(len(one.reply) for one in said)), dtype=torch.float32)
            for row, one in enumerate(said):  # the vocabulary is wide: only where something was said
                start, n = len(one.context), len(one.reply)
                each = logits[row, start - 1 : start - 1 + n].float().log_softmax(1)
                found[row, :n] = each.gather(1, ids[row, start : start + n, None])[:, 0]
        return found

    def save(self, directory: Path | str) -> None:
        """In the format of transformers, or of peft, which other tools read and serve."""
        self.lm.save_pretrained(str(directory))


class _Closing:
    """Ends every row of a generation where its action is closed, and remembers where that was."""

    def __init__(self, language: Language, start: int, n: int) -> None:
        self._language, self._start = language, start
        self.lengths = [0] * n
        """Of the replies so far, what closes them included."""
        self._is_open = [True] * n

    def __call__(self, numbers: Any, scores: Any, **more: Any) -> Any:
        for row, reply in enumerate(numbers[:, self._start :].tolist()):
            if self._is_open[row]:
                self.lengths[row] = len(reply)
                tail = self._language.decode(reply[-_TAIL:])
                ends = reply[-1] == self._language.end or any(stop in tail for stop in STOPS)
                self._is_open[row] = not ends
        return numbers.new_tensor([not is_open for is_open in self._is_open]).bool()


class _Pretrained:
    """The language of a pretrained model."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.end = int(tokenizer.eos_token_id)
        self.padding = self.end if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, numbers: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(numbers), skip_special_tokens=True))

    def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        if getattr(self._tokenizer, "chat_template", None):
            text = self._tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True
            )
            return self.encode(text)
        told = "\n\n".join(message["content"] for message in messages)
        return list(self._tokenizer.encode(f"{told}\n\n"))
