"""Where the workers of one gateway show each other their counts: a page each of memory that all share.

A scrape reaches whichever worker accepts it, so each must be able to tell the sums. A worker that dies
leaves its page; the one that takes its place counts on from there, and no counter ever falls.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from typing import Final

_PAGE: Final = 1 << 20
_HEAD: Final = struct.Struct("<II")
"""Length and checksum of what follows."""
_TRIES: Final = 5


class Board:
    """Made before the workers are forked."""

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self._memory = mmap.mmap(-1, n_workers * _PAGE)

    def write(self, worker: int, data: bytes) -> None:
        """Replace a worker's page; what does not fit is left out."""
        if len(data) > _PAGE - _HEAD.size:
            return
        start = worker * _PAGE
        self._memory[start + _HEAD.size : start + _HEAD.size + len(data)] = data
        self._memory[start : start + _HEAD.size] = _HEAD.pack(len(data), zlib.crc32(data))

    def read(self, worker: int) -> bytes | None:
        """A worker's page as it last wrote it; None if it never did, or is writing without pause."""
        start = worker * _PAGE
        for _ in range(_TRIES):
            length, checksum = _HEAD.unpack(self._memory[start : start + _HEAD.size])
            if not length:
                return None
            data = self._memory[start + _HEAD.size : start + _HEAD.size + length]
            if zlib.crc32(data) == checksum:
                return data
        return None
