"""A bandit on disk: `bandit.json` and `arrays.npz`, tied together by a digest. Reading executes nothing."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError

FORMAT: Final = 1
_MANIFEST: Final = "bandit.json"
_ARRAYS: Final = "arrays.npz"
_REMEDY: Final = "start it anew, or take the state that belongs to this version"


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    bandit: str
    facts: dict[str, Any]
    sha256: str


def write(directory: Path, name: str, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Each file in one step, the manifest last, so that a torn save is noticed."""
    directory.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    manifest = _Manifest(bandit=name, facts=dict(facts), sha256=digest)
    for file, content in ((_ARRAYS, buffer.getvalue()), (_MANIFEST, msgspec.json.encode(manifest))):
        scratch = directory / f"{file}.tmp"
        scratch.write_bytes(content)
        os.replace(scratch, directory / file)


def read_name(directory: Path) -> str:
    """The kind of bandit that was saved there."""
    return _manifest(Path(directory)).bandit


def read(directory: Path, name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays.

    Raises
    ------
    ArtefactError
        If it is missing, damaged, of another version or of another kind.
    """
    manifest = _manifest(directory)
    if manifest.bandit != name:
        raise ArtefactError(f"{directory} holds the bandit {manifest.bandit!r}, not {name!r}; {_REMEDY}")
    try:
        packed = (directory / _ARRAYS).read_bytes()
        if hashlib.sha256(packed).hexdigest() != manifest.sha256:
            raise ArtefactError(f"{directory / _ARRAYS} does not belong to its {_MANIFEST}; {_REMEDY}")
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            return manifest.facts, {key: archive[key] for key in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{directory / _ARRAYS} cannot be read ({error}); {_REMEDY}") from error


def _manifest(directory: Path) -> _Manifest:
    try:
        found = msgspec.json.decode((directory / _MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        raise ArtefactError(f"{directory} holds no bandit ({error}); {_REMEDY}") from error
    if found.format != FORMAT:
        raise ArtefactError(f"{directory} has format {found.format}, not {FORMAT}; {_REMEDY}")
    return found
