"""A transformer with its tokenizer: texts to token numbers, token numbers to one vector each.

Encoders are pooled by the mean over tokens (Reimers and Gurevych, 2019, Sentence-BERT, section 3), causal
models read at their last token. Models are taken from this machine alone: a directory, or what the hub's
own cache holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError, ConfigError
from suffice.routers.artefact import Arrays
from suffice.routers.pytorch import best_device, library, quiet
from suffice.routers.tiny import TINY, HashedWords, tiny_causal, tiny_encoder

Pooling = Literal["mean", "last"]

MINILM: Final = "sentence-transformers/all-MiniLM-L6-v2"
_CHARACTERS_PER_TOKEN: Final = 32
"""More than any tokenizer puts into one on average: what lies beyond is not looked at."""
_BATCH: Final = 32


class Pieces:
    """The tokenizer of a pretrained model."""

    def __init__(self, packed: str) -> None:
        """
        Parameters
        ----------
        packed : the content of a `tokenizer.json`
        """
        from tokenizers import Tokenizer

        self.packed = packed
        self._tokenizer = Tokenizer.from_str(packed)
        self._tokenizer.no_padding()
        self._max_length = 0
        self.padding = 0
        """Hidden by the mask, so that any number will do."""

    def bare(self, text: str) -> list[int]:
        """Without numbers that mark start and end."""
        self._tokenizer.no_truncation()
        self._max_length = 0
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, numbers: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(numbers)))

    def encode(self, text: str, max_length: int) -> list[int]:
        """At most `max_length` numbers, those that mark start and end included."""
        if max_length != self._max_length:
            self._tokenizer.enable_truncation(max_length)
            self._max_length = max_length
        return list(self._tokenizer.encode(text).ids)


class Encoder:
    """What reads the query; fine-tuned by routers."""

    def __init__(
        self, model: Any, tokenizer: Pieces | HashedWords, *, pooling: Pooling, max_length: int
    ) -> None:
        self.device = best_device()
        self.model = model.to(self.device).eval()
        self.tokenizer, self.pooling, self.max_length = tokenizer, pooling, max_length
        self.width: int = model.config.hidden_size
        self.n_frozen = 0

    @classmethod
    def open(cls, name: str, *, pooling: Pooling = "mean", max_length: int = 256) -> Encoder:
        """A pretrained model as it is.

        Parameters
        ----------
        name : a directory in the format of transformers, a GGUF file, an id of the hub that was
            downloaded before, or "tiny"

        Raises
        ------
        ConfigError
            If it is not on this machine.
        MissingDependency
            Without the extra [torch].
        """
        for one in ("torch", "transformers", "tokenizers"):
            library(one, f"the model {name!r}")
        if name == TINY:
            model = tiny_encoder(max_length) if pooling == "mean" else tiny_causal(max_length)
            return cls(model, HashedWords(), pooling=pooling, max_length=max_length)
        with quiet():
            model, packed = _pretrained(name)
        longest = getattr(model.config, "max_position_embeddings", max_length)
        return cls(model, Pieces(packed), pooling=pooling, max_length=min(max_length, longest))

    def tokens(self, texts: Sequence[str], before: str = "", after: str = "") -> list[list[int]]:
        """Token numbers of every text, cut so that it fits `max_length` with what stands around it."""
        room = _CHARACTERS_PER_TOKEN * self.max_length
        # a lone surrogate is no text to a tokenizer
        clean = (before + text[:room].encode("utf-8", "replace").decode() for text in texts)
        end = self.tokenizer.bare(after) if after else []
        return [self.tokenizer.encode(text, self.max_length - len(end)) + end for text in clean]

    def states(self, rows: Sequence[Any]) -> Any:
        """(n, width): one vector per row of tokens, with gradients where those are on."""
        import torch

        inputs = self._padded(rows)
        in_half = self.model.training and self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=in_half):
            found = self.model(**inputs).last_hidden_state.float()
        return self._pooled(found, inputs["attention_mask"])

    def _padded(self, rows: Sequence[Any]) -> dict[str, Any]:
        """Rows of equal length for the model, by its names, and which of it is there."""
        import torch

        length = max(1, *map(len, rows))
        ids = torch.full((len(rows), length), self.tokenizer.padding)
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[place, : max(len(row), 1)] = 1
        return {"input_ids": ids.to(self.device), "attention_mask": mask.to(self.device)}

    def _pooled(self, found: Any, mask: Any) -> Any:
        """(n, width) of (n, length, width)."""
        import torch

        if self.pooling == "last":
            return found[torch.arange(len(found)), mask.sum(dim=1) - 1]
        return (found * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)

    def blocks(self, rows: Sequence[Any]) -> Iterator[tuple[NDArray[np.intp], Any]]:
        """Places and states, rows of like length together, without gradients."""
        import torch

        order = np.argsort([len(row) for row in rows], kind="stable")
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            with torch.no_grad():
                found = self.states([rows[place] for place in places])
            yield places, found

    def all_states(self, rows: Sequence[Any]) -> Any:
        """(n, width), in order, without gradients."""
        import torch

        found = torch.empty((len(rows), self.width), device=self.device)
        for places, states in self.blocks(rows):
            found[torch.from_numpy(places).to(self.device)] = states
        return found

    def freeze(self, n_layers: int) -> None:
        """Keep the embeddings and the first layers as they are; 0 keeps nothing."""
        import torch

        self.n_frozen = n_layers
        if n_layers < 1:
            return
        stacks = [part for part in self.model.modules() if isinstance(part, torch.nn.ModuleList)]
        blocks = stacks[0] if stacks else []
        moving = {id(weight) for block in list(blocks)[n_layers:] for weight in block.parameters()}
        for weight in self.model.parameters():
            weight.requires_grad_(id(weight) in moving)

    def round(self, names: Sequence[str] | None = None) -> None:
        """To half precision, in which weights are saved: what is saved scores as what was trained."""
        import torch

        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                if tensor.is_floating_point() and (names is None or name in names):
                    tensor.copy_(tensor.half())

    def digest(self) -> str:
        """SHA-256 over all weights, by name."""
        import torch

        total = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            total.update(name.encode())
            total.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return total.hexdigest()

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Everything: it can be restored where the pretrained model is not."""
        arrays = packed_tensors(self.model.state_dict())
        if isinstance(self.tokenizer, Pieces):
            arrays["tokenizer"] = np.frombuffer(self.tokenizer.packed.encode(), np.uint8)
        return arrays, {"config": json.loads(self.model.config.to_json_string()), "length": self.max_length}

    @classmethod
    def restore(cls, arrays: Arrays, facts: Mapping[str, Any], *, pooling: Pooling = "mean") -> Encoder:
        """The reverse of `state`; nothing but a known architecture is built."""
        library("torch", "loading this router")
        library("transformers", "loading this router")
        from transformers import AutoConfig, AutoModel

        config = dict(facts["config"])
        with quiet():
            model = AutoModel.from_config(AutoConfig.for_model(**config))
        unpack_tensors(model, arrays)
        tokenizer = Pieces(_text(arrays)) if arrays.has("tokenizer") else HashedWords()
        return cls(model, tokenizer, pooling=pooling, max_length=int(facts["length"]))


def packed_tensors(tensors: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Floating tensors in half precision, by name."""
    return {
        name: tensor.detach().cpu().half().numpy()
        for name, tensor in tensors.items()
        if tensor.is_floating_point()
    }


def unpack_tensors(module: Any, arrays: Arrays, names: Sequence[str] | None = None) -> None:
    """Put saved arrays into a module in place.

    Raises
    ------
    ArtefactError
        If one is missing or has another shape.
    """
    import torch

    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point() and (names is None or name in names):
                saved = arrays.take(name, "f", tuple(tensor.shape))
                tensor.copy_(torch.from_numpy(saved.astype(np.float32)))


def _text(arrays: Arrays) -> str:
    packed = arrays.take("tokenizer", "u", (None,))
    try:
        text = packed.tobytes().decode()
        Pieces(text)
    except Exception as error:  # the tokenizer's library raises plain Exception
        raise ArtefactError(f"its tokenizer cannot be read ({error})") from error
    return text


def _pretrained(name: str) -> tuple[Any, str]:
    """Model and `tokenizer.json`, from this machine alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    path = Path(name).expanduser()
    given: dict[str, Any] = {"local_files_only": True}
    if path.suffix == ".gguf" and path.is_file():
        library("gguf", f"the model {name!r}")
        name, given["gguf_file"] = str(path.parent), path.name
    elif path.is_dir():
        name = str(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **given)
        model = AutoModel.from_pretrained(name, dtype=torch.float32, **given)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"the model {name!r} is not on this machine or cannot be used ({reason}): give a directory in "
            f"the format of transformers, fetch it with `hf download {name}`, or take {TINY!r}: no download"
        ) from error
    return model, tokenizer.backend_tokenizer.to_str()
