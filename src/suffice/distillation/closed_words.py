"""A language of a few words and a transformer that speaks it, with random weights: no download, no GPU.

For tests, and to see a training at work in seconds. It knows nothing before it is trained.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from suffice.routers.pytorch import quiet, seeded

_WORD: Final = re.compile(r"</?\w+>|\w+|[^\w\s]")
_SPECIAL: Final = ("<pad>", "<end>", "<unknown>", "<user>", "<assistant>")
_WIDTH: Final = 64


class ClosedWords:
    """Words and tags as numbers, both ways; all others are one and the same."""

    padding, end = 0, 1

    def __init__(self, texts: Iterable[str]) -> None:
        """
        Parameters
        ----------
        texts : whose words are known
        """
        known = {word: None for text in texts for word in _WORD.findall(text)}
        self.words = (*_SPECIAL, *known)
        self._numbers = {word: number for number, word in enumerate(self.words)}

    def encode(self, text: str) -> list[int]:
        return [self._numbers.get(word, 2) for word in _WORD.findall(text)]

    def decode(self, numbers: Sequence[int]) -> str:
        return " ".join(self.words[number] for number in numbers if number >= len(_SPECIAL))

    def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The conversation, up to where the assistant speaks."""
        numbers = []
        for message in messages:
            speaker = "<assistant>" if message["role"] == "assistant" else "<user>"
            numbers += [self._numbers[speaker], *self.encode(message["content"]), self.end]
        return [*numbers, self._numbers["<assistant>"]]


def small_speaker(language: ClosedWords, *, seed: int = 0, max_length: int = 256) -> Any:
    """A Llama of 2 layers and 64 dimensions over these words."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(language.words),
        hidden_size=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=2 * _WIDTH,
        max_position_embeddings=max_length,
        pad_token_id=language.padding,
        bos_token_id=language.end,
        eos_token_id=language.end,
        initializer_range=0.08,
        tie_word_embeddings=True,
    )
    with seeded(seed), quiet():
        return LlamaForCausalLM(config)
