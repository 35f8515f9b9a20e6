"""A streamed answer on stdout."""

from __future__ import annotations

import sys

import msgspec

from suffice.engine import Engine, Request
from suffice.types import Record


async def show(engine: Engine, request: Request, said: list[str] | None = None) -> tuple[str, Record]:
    """Write an answer as it comes; the whole of it and its record.

    Parameters
    ----------
    said : collects the pieces, for a caller that wants what was said before an interruption
    """
    pieces = [] if said is None else said
    streaming = await engine.open(msgspec.structs.replace(request, is_stream=True))
    try:
        async for chunk in streaming:
            if chunk.text:
                pieces.append(chunk.text)
                sys.stdout.write(chunk.text)
                sys.stdout.flush()
    finally:
        await streaming.aclose()
        if pieces and not pieces[-1].endswith("\n"):
            sys.stdout.write("\n")
            sys.stdout.flush()
    assert streaming.record is not None
    return "".join(pieces), streaming.record
