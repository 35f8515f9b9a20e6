"""A fitted cascade on disk: `cascade.json`, and `arrays.npz` beside it where it holds arrays.

Reading executes nothing: JSON, arrays without pickle, and a digest that ties the two files together.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError, SufficeError

FORMAT: Final = 1
MANIFEST: Final = "cascade.json"
ARRAYS: Final = "arrays.npz"
_REMEDY: Final = "fit it again with `suffice cascade fit`"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What `cascade.json` holds."""

    format: int = FORMAT
    cascade: str
    """Name of the kind."""
    facts: dict[str, Any] = {}
    """What was learnt besides arrays, arms and signals included, as JSON values."""
    sha256: str = ""
    """Of `arrays.npz`; empty without one."""


def write_cascade(
    directory: Path,
    name: str,
    facts: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write it, each file in one step; the manifest last, so that a torn save is noticed."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    digest = ""
    if arrays:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        _replace(directory / ARRAYS, buffer.getvalue())
    manifest = Manifest(cascade=name, facts=dict(facts), sha256=digest)
    _replace(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def read_manifest(directory: Path) -> Manifest:
    """The manifest alone.

    Raises
    ------
    ArtefactError
        If it is missing, is none or is of another version.
    """
    path = Path(directory) / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtefactError(
            f"no cascade at {directory}: {path.name} cannot be read ({error}); {_REMEDY}"
        ) from error
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ArtefactError(f"{path} is no cascade ({error}); {_REMEDY}") from error
    if manifest.format != FORMAT:
        raise ArtefactError(f"{path} is of format {manifest.format}, this version reads {FORMAT}; {_REMEDY}")
    return manifest


def read_cascade(directory: Path, name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of a cascade of that kind.

    Raises
    ------
    ArtefactError
        If it is missing, damaged, of another version or of another kind.
    """
    manifest = read_manifest(directory)
    if manifest.cascade != name:
        raise ArtefactError(f"{directory} holds the cascade {manifest.cascade!r}, not {name!r}; {_REMEDY}")
    return manifest.facts, _arrays(Path(directory) / ARRAYS, manifest.sha256) if manifest.sha256 else {}


def _arrays(path: Path, sha256: str) -> dict[str, NDArray[Any]]:
    try:
        packed = path.read_bytes()
        if hashlib.sha256(packed).hexdigest() != sha256:
            raise ArtefactError(f"{path} is not the one that {MANIFEST} was written with; {_REMEDY}")
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{path} cannot be read ({error}); {_REMEDY}") from error


@contextmanager
def blamed(directory: Path, name: str) -> Iterator[None]:
    """Turns whatever the contents break into an ArtefactError."""
    try:
        yield
    except ArtefactError:
        raise
    except (SufficeError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ArtefactError(
            f"{Path(directory) / MANIFEST} does not fit the cascade {name!r} ({error}); {_REMEDY}"
        ) from error


def _replace(path: Path, content: bytes) -> None:
    scratch = path.with_suffix(".tmp")
    scratch.write_bytes(content)
    os.replace(scratch, path)
