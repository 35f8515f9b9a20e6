"""Transformers that need no download: two layers with random weights, and words hashed to their numbers.

They know nothing before training. They serve tests, and users without a pretrained model who want to see
how far a small transformer gets on their data alone.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Any, Final

TINY: Final = "tiny"
N_WORDS: Final = 4096
PADDING: Final = 0
_START: Final = 1
_FIRST: Final = 2
_WORD: Final = re.compile(r"\w+|[^\w\s]")
_WIDTH: Final = 64
_SEED: Final = 0


class HashedWords:
    """Words and signs, in lower case, as numbers by their checksum; every text begins with the same one."""

    padding = PADDING

    def encode(self, text: str, max_length: int) -> list[int]:
        """At most `max_length` numbers, at least one."""
        return [_START, *self.bare(text)[: max_length - 1]]

    def decode(self, numbers: Sequence[int]) -> str:
        """The numbers: a checksum does not say whose it is."""
        return " ".join(map(str, numbers))

    def bare(self, text: str) -> list[int]:
        """Without the number that marks the start."""
        words = _WORD.findall(text.lower())
        return [_FIRST + zlib.crc32(word.encode()) % (N_WORDS - _FIRST) for word in words]


def tiny_encoder(max_length: int) -> Any:
    """A BERT of 2 layers and 64 dimensions; the same at every call."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=N_WORDS,
        hidden_size=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * _WIDTH,
        max_position_embeddings=max_length,
        pad_token_id=PADDING,
    )
    return _built(BertModel, config)


def tiny_causal(max_length: int) -> Any:
    """A Llama of 2 layers and 64 dimensions; the same at every call."""
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        vocab_size=N_WORDS,
        hidden_size=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=2 * _WIDTH,
        max_position_embeddings=max_length,
        pad_token_id=PADDING,
        bos_token_id=_START,
        eos_token_id=_START,
    )
    return _built(LlamaModel, config)


def _built(kind: Any, config: Any) -> Any:
    from suffice.routers.pytorch import quiet, seeded

    with seeded(_SEED), quiet():
        return kind(config)
