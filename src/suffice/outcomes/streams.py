"""Plain and gzipped text files as streams of bytes."""

from __future__ import annotations

from typing import Any, Final

BLOCK_BYTES: Final = 1 << 24
"""How much of a text file is parsed at a time."""


def open_input(path: str) -> Any:
    """The decompressed bytes of a file."""
    import pyarrow as pa

    return pa.input_stream(path, compression=_compression(path))


def open_output(path: str) -> Any:
    """A stream into a file, compressed if its name says so."""
    import pyarrow as pa

    return pa.output_stream(path, compression=_compression(path))


def _compression(path: str) -> str | None:
    return "gzip" if path.lower().endswith(".gz") else None
