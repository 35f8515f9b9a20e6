"""A configuration that is ready to use for a panel nobody has configured: files, router and all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import msgspec

import suffice
from suffice import config as configuration
from suffice import routers
from suffice.errors import ArtefactError
from suffice.outcomes import Outcomes
from suffice.providers.model_files import models_dir
from suffice.starter.panel import Panel
from suffice.starter.router import RECIPE, Starter, recording_digest, train
from suffice.starter.writing import ROUTER_DIR, SCHEMA_FILE, as_yaml

_STARTER: Final = "starter.json"
_MISSING: Final = object()


def starter_dir() -> Path:
    """Where prepared panels are kept: beside the local models."""
    return models_dir().parent / "starter"


def write(
    panel: Panel, directory: Path, *, outcomes: Outcomes | None = None, speed: float = 1.0
) -> Starter | None:
    """`suffice.yaml`, its schema and its router, into a directory; None where there is nothing to route."""
    directory.mkdir(parents=True, exist_ok=True)
    starter = None
    if len(panel.arms) > 1:
        starter = train(panel, directory / ROUTER_DIR, outcomes=outcomes, speed=speed)
    schema = msgspec.json.format(msgspec.json.encode(configuration.schema()), indent=2)
    (directory / SCHEMA_FILE).write_bytes(schema + b"\n")
    (directory / configuration.DEFAULT_FILE).write_text(as_yaml(panel, starter), encoding="utf-8")
    return starter


def prepare(panel: Panel, *, speed: float = 1.0) -> tuple[Path, Starter | None]:
    """As `write`, into the cache: the file and its router, made once and never changed.

    Parameters
    ----------
    speed : as for `train`; rounded to two digits so that noise makes no new router
    """
    speed = float(f"{speed:.2g}")
    parts = (
        msgspec.json.encode(panel).decode(),
        recording_digest(),
        suffice.__version__,
        f"{RECIPE} {speed}",
    )
    directory = starter_dir() / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
    starter = _kept(directory)
    if starter is _MISSING:
        _make(panel, directory, speed)
        starter = _kept(directory)
    assert starter is None or isinstance(starter, Starter)
    return directory / configuration.DEFAULT_FILE, starter


def _kept(directory: Path) -> object:
    """What was made before, as far as this release can still read it; else `_MISSING`."""
    try:
        starter = msgspec.json.decode((directory / _STARTER).read_bytes(), type=Starter | None)
        if starter is not None:
            routers.load(directory / ROUTER_DIR)
    except (OSError, msgspec.DecodeError, ArtefactError):
        return _MISSING
    return starter


def _make(panel: Panel, directory: Path, speed: float) -> None:
    """Built aside and renamed: two processes may do it at once, and a killed one leaves nothing half done."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".making-"))
    try:
        starter = write(panel, scratch, speed=speed)
        (scratch / _STARTER).write_bytes(msgspec.json.encode(starter))
        scratch.chmod(0o755)
        shutil.rmtree(directory, ignore_errors=True)  # what an older release left, if anything
        os.rename(scratch, directory)
    except OSError:
        if _kept(directory) is _MISSING:  # else another process was quicker
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
