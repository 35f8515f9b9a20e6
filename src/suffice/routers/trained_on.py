"""Which queries a saved router has seen: hashes of their texts beside the artefact.

A promise about a router must not be made on rows that it was trained on; the texts themselves are not kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError
from suffice.outcomes.splitting import normalised
from suffice.types import BoolArray

FILE: Final = "trained_on.npy"


def write_trained_on(directory: Path, texts: Sequence[str]) -> None:
    """Sorted 64-bit hashes, 8 bytes a query."""
    np.save(Path(directory) / FILE, np.unique(_hashes(texts)), allow_pickle=False)


def trained_on(router: Any, directory: Path, texts: Sequence[str]) -> BoolArray:
    """(n,): whether a text, but for case, width and white space, was trained on; False where nothing tells.

    Parameters
    ----------
    router : one that came trained may know by itself what it has seen
    directory : where it was saved

    Raises
    ------
    ArtefactError
        If the file of hashes is damaged.
    """
    found = np.zeros(len(texts), dtype=bool)
    if hasattr(router, "seen"):
        found |= np.asarray(router.seen(texts), dtype=bool)
    path = Path(directory) / FILE
    if not path.is_file():
        return found
    try:
        known = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ArtefactError(f"{path} cannot be read ({error}); train the router again") from error
    if known.dtype != np.uint64 or known.ndim != 1:
        raise ArtefactError(f"{path} holds no hashes of queries; train the router again")
    seen: BoolArray = found | np.isin(_hashes(texts), known)
    return seen


def _hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    digests = (
        hashlib.blake2b(normalised(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for text in texts
    )
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
