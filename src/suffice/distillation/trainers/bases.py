"""A base model as PyTorch reads it: a folder, or a GGUF file that is unpacked once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from suffice.errors import ConfigError, DataError
from suffice.routers.pytorch import library, quiet

_SUFFIX: Final = ".unpacked"


def base_folder(base: str) -> str:
    """The folder of a base, or "tiny"; of `NAME.gguf` the folder `NAME.unpacked` beside it, made if missing.

    Unpacking takes a minute or two and twice the parameters in bytes; the weights are those of the quantised
    file, so that an adapter is trained on what it will be served on.

    Raises
    ------
    ConfigError
        If transformers cannot read the file.
    DataError
        If the folder cannot be written.
    """
    path = Path(base).expanduser()
    if path.suffix != ".gguf" or not path.is_file():
        return base
    folder = path.with_suffix(_SUFFIX)
    if not (folder / "tokenizer.json").is_file():
        _unpack(path, folder)
    return str(folder)


def _unpack(path: Path, folder: Path) -> None:
    for name in ("torch", "transformers", "gguf"):
        library(name, "a base in GGUF")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    scratch = folder.with_name(f".part-{folder.name}")
    where, file = str(path.parent), path.name
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=file, local_files_only=True)
            model = AutoModelForCausalLM.from_pretrained(
                where, gguf_file=file, local_files_only=True, dtype=torch.float32
            )
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            plain = AutoModelForCausalLM.from_config(model.config)
            plain.load_state_dict(model.state_dict())
            plain.to(torch.bfloat16).save_pretrained(str(scratch))
            tokenizer.save_pretrained(str(scratch))
    except (ValueError, KeyError, RuntimeError, AttributeError) as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise ConfigError(f"{path} cannot be unpacked for training: {error}") from error
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise DataError(f"cannot be unpacked: {error}", file=str(folder)) from error
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(scratch, folder)
