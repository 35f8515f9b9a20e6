"""A saved router: `router.json` says what it is, `arrays.npz` holds what it learnt.

Reading executes nothing: JSON into a typed struct, arrays without pickle, and a digest that ties
the two files together.
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
from suffice.protocols import Embedder
from suffice.routers.added import AddedArm

FORMAT: Final = 1
MANIFEST: Final = "router.json"
ARRAYS: Final = "arrays.npz"
_REMEDY: Final = "train it again with `suffice train`"


class Artefact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The manifest of a saved router."""

    format: int = FORMAT
    router: str
    params: dict[str, Any] = {}
    arms: tuple[str, ...]
    n_train: int
    trained_at: str | None = None
    embedder: str | None = None
    """Name of the embedder it was trained with; None for routers that use none."""
    dimensions: int | None = None
    facts: dict[str, Any] = {}
    """What was learnt besides arrays."""
    mean_quality: dict[str, float] = {}
    """By arm, in the training data; arms without any are left out."""
    added: tuple[AddedArm, ...] = ()
    """Arms that came after training; they stand in `arms` as well."""
    sha256: str = ""
    """Of `arrays.npz`."""

    @property
    def version(self) -> str:
        """Name and hash: what decisions and certificates say they were made with."""
        return f"{self.router}@{self.sha256[:12]}"

    def trained_arms(self) -> tuple[str, ...]:
        """Arms that the router scores by itself, without those that rest on these.

        Raises
        ------
        ArtefactError
            If an added arm does not fit the others.
        """
        heads = [arm for arm in self.added if arm.coefficients is not None]
        names = {arm.name for arm in heads}
        trained = tuple(arm for arm in self.arms if arm not in names)
        if self.arms != (*trained, *(arm.name for arm in heads)) or any(
            len(arm.coefficients or ()) != len(trained) for arm in heads
        ):
            raise ArtefactError(f"the added arms {sorted(names)} do not fit the {len(trained)} trained ones")
        return trained

    @contextmanager
    def blamed(self, directory: Path) -> Iterator[None]:
        """Turns whatever the contents break into an ArtefactError."""
        try:
            yield
        except ArtefactError as error:
            raise ArtefactError(f"{Path(directory) / ARRAYS}: {error}; {_REMEDY}") from error
        except (SufficeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise ArtefactError(
                f"{Path(directory) / MANIFEST} does not fit the router {self.router!r} ({error}); {_REMEDY}"
            ) from error


class Arrays:
    """Arrays as read from disk, checked when taken."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays

    def take(
        self, name: str, kind: str, shape: tuple[int | None, ...], *, finite: bool = True
    ) -> NDArray[Any]:
        """The array of that name.

        Parameters
        ----------
        kind : numpy kind of its type, such as "f", "i", "b", "u"
        shape : None for an axis of any length
        finite : whether NaN and infinity are errors

        Raises
        ------
        ArtefactError
            If it is missing or not as described.
        """
        array = self._arrays.get(name)
        if array is None:
            raise ArtefactError(f"the array {name!r} is missing")
        fits = len(array.shape) == len(shape) and all(
            want is None or have == want for have, want in zip(array.shape, shape, strict=True)
        )
        if array.dtype.kind != kind or not fits:
            raise ArtefactError(f"the array {name!r} is {array.dtype}{array.shape}, not {kind}{shape}")
        if finite and kind == "f" and not np.isfinite(array).all():
            raise ArtefactError(f"the array {name!r} holds NaN or infinity")
        return array

    def under(self, prefix: str) -> Arrays:
        """Those whose names start so, without it."""
        return Arrays(
            {name.removeprefix(prefix): one for name, one in self._arrays.items() if name.startswith(prefix)}
        )

    def has(self, name: str) -> bool:
        return name in self._arrays


def write_artefact(directory: Path, artefact: Artefact, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write both files, each in one step; the manifest last, so that a torn save is noticed."""
    directory.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
    packed = buffer.getvalue()
    artefact = msgspec.structs.replace(artefact, sha256=hashlib.sha256(packed).hexdigest())
    _replace(directory / ARRAYS, packed)
    _replace(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(artefact), indent=2) + b"\n")


def _replace(path: Path, content: bytes) -> None:
    scratch = path.with_suffix(".tmp")
    scratch.write_bytes(content)
    os.replace(scratch, path)


def read_manifest(directory: Path) -> Artefact:
    """The manifest alone.

    Raises
    ------
    ArtefactError
        If it is missing, is not a manifest or is of another version.
    """
    path = directory / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtefactError(
            f"no router at {directory}: {path.name} cannot be read ({error}); {_REMEDY}"
        ) from error
    try:
        version = msgspec.json.decode(content, type=_Version).format
        if version != FORMAT:
            raise ArtefactError(f"{path} is of format {version}, this version reads {FORMAT}; {_REMEDY}")
        return msgspec.json.decode(content, type=Artefact)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{path} is not a router's manifest ({error}); {_REMEDY}") from error


class _Version(msgspec.Struct):
    format: int


def read_artefact(
    directory: Path, router: str, embedder: Embedder | None
) -> tuple[Artefact, dict[str, NDArray[Any]]]:
    """Manifest and arrays, if they are whole and belong to this router and this embedder.

    Raises
    ------
    ArtefactError
        If not; says which.
    """
    artefact = read_manifest(directory)
    if artefact.router != router:
        raise ArtefactError(f"{directory} holds a {artefact.router!r} router, not {router!r}: name that one")
    if not artefact.arms or len(set(artefact.arms)) != len(artefact.arms):
        raise ArtefactError(
            f"{directory / MANIFEST} names the arms {artefact.arms}, not distinct ones; {_REMEDY}"
        )
    if artefact.embedder is not None:
        _check_embedder(directory, artefact, embedder)
    return artefact, _read_arrays(directory / ARRAYS, artefact.sha256)


def _check_embedder(directory: Path, artefact: Artefact, embedder: Embedder | None) -> None:
    if embedder is None:
        raise ArtefactError(
            f"{directory} was trained with the embedder {artefact.embedder!r}: pass it to load"
        )
    if embedder.name != artefact.embedder:
        raise ArtefactError(
            f"{directory} was trained with the embedder {artefact.embedder!r}, not {embedder.name!r}: "
            f"vectors of different embedders must not be mixed: pass that embedder, or {_REMEDY}"
        )
    if embedder.dimensions != artefact.dimensions:
        raise ArtefactError(
            f"{directory} was trained on {artefact.dimensions} dimensions, {embedder.name!r} now gives "
            f"{embedder.dimensions}: set its dimensions to {artefact.dimensions}, or {_REMEDY}"
        )


def _read_arrays(path: Path, sha256: str) -> dict[str, NDArray[Any]]:
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read ({error}); {_REMEDY}") from error
    if hashlib.sha256(packed).hexdigest() != sha256:
        raise ArtefactError(
            f"{path} ({len(packed)} bytes) is not the file that was saved: damaged; {_REMEDY}"
        )
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{path} holds no plain arrays ({error}); {_REMEDY}") from error
