"""Near-duplicate texts by MinHash over 8-byte n-grams.

References
----------
Broder (1997), On the resemblance and containment of documents; banding as in Leskovec, Rajaraman and
Ullman, Mining of Massive Datasets, section 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from suffice.types import IntArray

N_BYTES: Final = 8
N_BANDS: Final = 5
N_ROWS: Final = 4
"""Per band: pairs of Jaccard similarity 0.7 share a band with probability 0.75, of 0.9 with 0.999."""
MIN_AGREEMENT: Final = 0.7
"""Share of equal hashes that a pair needs in the end."""
_CHUNK_BYTES: Final = 1 << 22


def near_duplicates(texts: Sequence[str]) -> IntArray:
    """(n,): texts with the same number are near-duplicates (directly, or of a common one)."""
    cluster = np.arange(len(texts), dtype=np.intp)
    signature = signatures(texts)
    for band in range(N_BANDS):
        part = np.ascontiguousarray(signature[:, band * N_ROWS : (band + 1) * N_ROWS])
        _, first, inverse = np.unique(part, axis=0, return_index=True, return_inverse=True)
        representative = first[inverse.ravel()]
        close = (signature == signature[representative]).mean(axis=1) >= MIN_AGREEMENT
        _merge(cluster, np.flatnonzero(close & (representative != np.arange(len(texts)))), representative)
    return np.array([_root(cluster, row) for row in range(len(texts))], dtype=np.intp)


def _merge(cluster: IntArray, rows: IntArray, representative: IntArray) -> None:
    for row in rows:
        cluster[_root(cluster, int(row))] = _root(cluster, int(representative[row]))


def _root(cluster: IntArray, row: int) -> int:
    while cluster[row] != row:
        row = int(cluster[row])
    return row


def signatures(texts: Sequence[str], n_hashes: int = N_BANDS * N_ROWS) -> NDArray[np.uint64]:
    """(n, n_hashes) MinHash values; a text shorter than an n-gram is padded to one."""
    padded = [text.encode("utf-8", "surrogatepass").ljust(N_BYTES, b"\0") for text in texts]
    out = np.empty((len(texts), n_hashes), dtype=np.uint64)
    start = 0
    while start < len(padded):
        stop, size = start, 0
        while stop < len(padded) and (size < _CHUNK_BYTES or stop == start):
            size += len(padded[stop])
            stop += 1
        out[start:stop] = _chunk_signatures(padded[start:stop], n_hashes)
        start = stop
    return out


def _chunk_signatures(texts: list[bytes], n_hashes: int) -> NDArray[np.uint64]:
    data = np.frombuffer(b"".join(texts), dtype=np.uint8)
    lengths = np.array([len(text) for text in texts])
    ends = np.cumsum(lengths)
    grams = np.zeros(len(data) - N_BYTES + 1, dtype=np.uint64)
    for shift in range(N_BYTES):
        grams |= data[shift : shift + len(grams)].astype(np.uint64) << np.uint64(8 * shift)
    starts = np.concatenate([[0], ends[:-1]])
    # an n-gram that runs over the end of its text belongs to nobody: it must not be the minimum
    inside = np.ones(len(grams), dtype=bool)
    for back in range(1, N_BYTES):
        inside[ends[:-1] - back] = False
    factors = np.random.default_rng(20_240_229).integers(1, 2**63, n_hashes, dtype=np.uint64)
    out = np.empty((len(texts), len(factors)), dtype=np.uint64)
    for column, factor in enumerate(factors):
        hashed = (grams ^ (grams >> np.uint64(29)) ^ factor) * (factor | np.uint64(1))
        hashed ^= hashed >> np.uint64(32)
        hashed *= np.uint64(0x9E3779B97F4A7C15)
        hashed[~inside] = np.iinfo(np.uint64).max
        out[:, column] = np.minimum.reduceat(hashed, starts)
    return out
