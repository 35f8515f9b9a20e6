"""Frozen first layers read every text once: training goes on from what they made of it.

They never change, so their output is kept, one vector per token in half precision, and a step runs through
the layers above alone: with four of MiniLM's six frozen in two thirds of the time that freezing alone
takes. Departure from fine-tuning as it is usually done: what is frozen is without dropout.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

from suffice.routers.encoder import Encoder

_MOST_NUMBERS: Final = 2**30
"""That are kept, which takes two gibibytes; more texts are read anew in every step."""


def above_frozen(encoder: Encoder, tokens: Sequence[Any]) -> tuple[Encoder, Sequence[Any]]:
    """What is left to train, and what it reads instead of the tokens of some texts.

    The weights are shared with the encoder. Where nothing is frozen, or everything, or the architecture is
    not BERT's (embeddings, then `encoder.layer`), the encoder and the tokens come back as they are.
    """
    model, n_frozen = encoder.model, encoder.n_frozen
    layers = getattr(getattr(model, "encoder", None), "layer", ())
    size = sum(map(len, tokens)) * encoder.width
    if not 0 < n_frozen < len(layers) or not hasattr(model, "embeddings") or size > _MOST_NUMBERS:
        return encoder, tokens
    lower = _with(model, encoder=_with(model.encoder, layer=layers[:n_frozen]))
    upper = _with(model, encoder=_with(model.encoder, layer=layers[n_frozen:]), embeddings=_given())
    kept: list[Any] = [None] * len(tokens)
    for places, found in _made(_Lower, lower, encoder).blocks(tokens):
        for place, vectors in zip(places.tolist(), found.half().cpu(), strict=True):
            kept[place] = vectors[: max(len(tokens[place]), 1)].clone()
    return _made(_Upper, upper, encoder), kept


class _Lower(Encoder):
    def _pooled(self, found: Any, mask: Any) -> Any:
        return found


class _Upper(Encoder):
    def _padded(self, rows: Sequence[Any]) -> dict[str, Any]:
        import torch

        pad = torch.nn.utils.rnn.pad_sequence
        masks = [torch.ones(len(row), dtype=torch.long) for row in rows]
        vectors = pad(list(rows), batch_first=True).to(self.device).float()
        return {"inputs_embeds": vectors, "attention_mask": pad(masks, batch_first=True).to(self.device)}


def _made(kind: type[Encoder], model: Any, like: Encoder) -> Encoder:
    return kind(model, like.tokenizer, pooling=like.pooling, max_length=like.max_length)


def _with(module: Any, **parts: Any) -> Any:
    """The same module, weights shared, with some parts in place of its own."""
    other = copy.copy(module)
    other._modules = {**module._modules, **parts}
    return other


def _given() -> Any:
    """Embeddings that hand on what they are given."""
    import torch

    class Given(torch.nn.Module):  # type: ignore[misc]  # mypy does not see torch
        def forward(self, *, inputs_embeds: Any, **_: Any) -> Any:
            return inputs_embeds

    return Given()
