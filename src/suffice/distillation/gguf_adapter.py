"""A LoRA adapter in peft's format as a GGUF file, which llama.cpp puts on a quantised base.

No conversion script of llama.cpp is needed: the names follow from the architecture, and the matrices go in
as they are. Only the attention's queries and keys of Llama are turned to llama.cpp's order of rotary pairs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError, ConfigError
from suffice.routers.pytorch import library

_ARCHITECTURES: Final = {
    "gemma2": "GEMMA2",
    "gemma3_text": "GEMMA3",
    "gemma3": "GEMMA3",
    "llama": "LLAMA",
    "mistral": "LLAMA",
    "qwen2": "QWEN2",
    "qwen3": "QWEN3",
}
_TURNED: Final = ("llama", "mistral")
_PREFIX: Final = "base_model.model."
_SIDES: Final = {".lora_A.weight": ".weight.lora_a", ".lora_B.weight": ".weight.lora_b"}

Matrix = NDArray[np.float32]


def write_gguf(adapter: Path, config: Mapping[str, Any], out: Path) -> int:
    """How many matrices were written.

    Parameters
    ----------
    adapter : a folder with `adapter_config.json` and `adapter_model.safetensors`
    config : of the base: `model_type`, `num_hidden_layers`, `num_attention_heads`, `num_key_value_heads`
    out : the file, replaced at once

    Raises
    ------
    ConfigError
        If the architecture, or one of the adapted matrices, has no name in GGUF.
    ArtefactError
        If the folder holds no adapter.
    MissingDependency
        Without the extra [torch].
    """
    gguf = library("gguf", "an adapter for llama.cpp")
    kind = str(config.get("model_type"))
    if kind not in _ARCHITECTURES:
        known = ", ".join(sorted(_ARCHITECTURES))
        raise ConfigError(f"no GGUF adapter for the architecture {kind!r}; known: {known}")
    architecture = gguf.MODEL_ARCH[_ARCHITECTURES[kind]]
    names = gguf.get_tensor_name_map(architecture, int(config["num_hidden_layers"]))
    facts, tensors = _read(adapter)
    scratch = out.with_name(f".part-{out.name}")
    writer = gguf.GGUFWriter(str(scratch), gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(facts["lora_alpha"]))
    n = 0
    for name, matrix in _named(tensors, names, kind, config):
        writer.add_tensor(name, np.ascontiguousarray(matrix, np.float32))
        n += 1
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(scratch, out)
    return n


def _read(adapter: Path) -> tuple[Mapping[str, Any], Mapping[str, Matrix]]:
    library("safetensors", "an adapter for llama.cpp")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        facts = json.loads((adapter / "adapter_config.json").read_text())
        return facts, load_file(str(adapter / "adapter_model.safetensors"))
    except (OSError, ValueError, SafetensorError) as error:
        raise ArtefactError(f"no adapter in {adapter}: {error}") from error


def _named(
    tensors: Mapping[str, Matrix], names: Any, kind: str, config: Mapping[str, Any]
) -> Iterator[tuple[str, Matrix]]:
    for full, matrix in sorted(tensors.items()):
        side = next((side for side in _SIDES if full.endswith(side)), None)
        module = full.removeprefix(_PREFIX).removesuffix(side or "")
        place = names.get_name(module)
        if side is None or place is None:
            raise ConfigError(f"{full} has no name in GGUF: adapt projections of the layers alone")
        if kind in _TURNED and side == ".lora_B.weight" and module.endswith(("q_proj", "k_proj")):
            heads = config["num_attention_heads" if module.endswith("q_proj") else "num_key_value_heads"]
            yield place + _SIDES[side], _turned(matrix, int(heads))
            continue
        yield place + _SIDES[side], matrix


def _turned(matrix: Matrix, n_heads: int) -> Matrix:
    """Rows of each head from (first halves, second halves) of rotary pairs to pairs side by side."""
    rows = matrix.shape[0]
    found = matrix.reshape(n_heads, 2, rows // n_heads // 2, -1).swapaxes(1, 2)
    return np.ascontiguousarray(found).reshape(matrix.shape)
