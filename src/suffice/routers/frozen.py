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
_HALF: Final = 2.0**15
"""Numbers from here on, which some decoders have, are kept in single precision."""


def above_frozen(encoder: Encoder, tokens: Sequence[Any]) -> tuple[Encoder, Sequence[Any]]:
    """What is left to train, and what it reads instead of the tokens of some texts.

    The weights are shared with the encoder. Where nothing is frozen, or everything, or the architecture is
    neither BERT's (embeddings, then `encoder.layer`) nor that of the usual decoders (`layers`, `norm`), the
    encoder and the tokens come back as they are.
    """
    halves = _halves(encoder.model, encoder.n_frozen)
    if halves is None or sum(map(len, tokens)) * encoder.width > _MOST_NUMBERS:
        return encoder, tokens
    lower, upper = _made(_Lower, halves[0], encoder), _made(_Upper, halves[1], encoder)
    if not _agree(encoder, lower, upper, tokens[:1]):
        return encoder, tokens
    kept: list[Any] = [None] * len(tokens)
    for places, found in lower.blocks(tokens):
        small = found.half() if found.abs().max() < _HALF else found
        for place, vectors in zip(places.tolist(), small.cpu(), strict=True):
            kept[place] = vectors[: max(len(tokens[place]), 1)].clone()
    return upper, kept


def _halves(model: Any, n_frozen: int) -> tuple[Any, Any] | None:
    """The frozen layers, and those above them; a decoder's keep their numbers, by which it knows them."""
    import torch

    if hasattr(model, "embeddings") and hasattr(getattr(model, "encoder", None), "layer"):
        stack = model.encoder
        if not 0 < n_frozen < len(stack.layer):
            return None
        lower = _with(model, encoder=_with(stack, layer=stack.layer[:n_frozen]))
        above = _with(stack, layer=stack.layer[n_frozen:])
        return lower, _with(model, encoder=above, embeddings=_given())
    layers = getattr(model, "layers", ())
    if not 0 < n_frozen < len(layers) or not hasattr(model, "norm"):
        return None
    none = [_passing()] * len(layers)
    lower = _with(
        model,
        layers=torch.nn.ModuleList([*layers[:n_frozen], *none[n_frozen:]]),
        norm=torch.nn.Identity(),
    )
    return lower, _with(model, layers=torch.nn.ModuleList([*none[:n_frozen], *layers[n_frozen:]]))


def _agree(encoder: Encoder, lower: Encoder, upper: Encoder, tokens: Sequence[Any]) -> bool:
    """Whether both halves make of a text what the whole does: not every decoder is built alike."""
    import torch

    with torch.no_grad():
        try:
            halves = upper.states(list(lower.states(tokens)))
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
            return False
        whole = encoder.states(tokens)
    return halves.shape == whole.shape and bool(torch.allclose(halves, whole, rtol=1e-3, atol=1e-3))


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


def _passing() -> Any:
    """A layer that hands on what it is given."""
    import torch

    class Passing(torch.nn.Module):  # type: ignore[misc]  # mypy does not see torch
        def forward(self, hidden: Any, *_: Any, **__: Any) -> Any:
            return hidden

    return Passing()
