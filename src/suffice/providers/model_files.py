"""Where local model files are kept."""

from __future__ import annotations

import os
from pathlib import Path


def models_dir() -> Path:
    """`$SUFFICE_HOME/models`, else `$XDG_CACHE_HOME/suffice/models`, else `~/.cache/suffice/models`."""
    home = os.environ.get("SUFFICE_HOME")
    if home:
        return Path(home).expanduser() / "models"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache).expanduser() if cache else Path.home() / ".cache") / "suffice" / "models"


def model_file(name: str) -> Path:
    """The file that `suffice pull NAME` keeps, whether or not it is there yet."""
    return models_dir() / f"{name}.gguf"
