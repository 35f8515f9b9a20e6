"""Random numbers that belong to texts: samples and folds that do not depend on the order of queries."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def text_draws(texts: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """(n,): uniform numbers, a function of text and seed alone; equal texts draw the same."""
    salt = str(seed).encode()[:16]
    digests = (hashlib.blake2b(t.encode("utf-8", "surrogatepass"), digest_size=8, salt=salt) for t in texts)
    return np.frombuffer(b"".join(digest.digest() for digest in digests), "<u8")
