"""PyTorch where it is installed: which device, one seed, and no noise.

Nothing here is imported before a router of the extra [torch] is trained or loaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from suffice.errors import MissingDependency

EXTRA = "torch"


def library(name: str, purpose: str) -> Any:
    """A module of the extra [torch].

    Raises
    ------
    MissingDependency
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependency(name.partition(".")[0], EXTRA, purpose) from error


def best_device() -> Any:
    """A GPU where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Initial weights and dropout follow from the seed; the caller's own generators stay as they were."""
    import torch

    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars and notes that transformers writes while it loads a model."""
    from transformers.utils import logging

    level, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bar:
            logging.enable_progress_bar()
