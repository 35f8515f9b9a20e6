"""Who gets which arm: a stable hash, so that a user sees one of them, today and on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

_SPAN: Final = float(2**64)


def unit_of(tenant: str, user: str | None, session: str | None, new_id: Callable[[], str]) -> str:
    """What is assigned as one: the user, else the session, else the request by itself.

    Returns
    -------
    A digest: who it was cannot be read from it.
    """
    kind, name = ("user", user) if user else ("session", session) if session else ("request", new_id())
    return hashlib.blake2b(_joined(tenant, kind, name), digest_size=12).hexdigest()


def position(salt: str, unit: str) -> float:
    """Where a unit lies, in [0, 1): in the treatment where that is below its share, at every larger one too.

    Examples
    --------
    >>> 0 <= position("a", "b") < 1 and position("a", "b") == position("a", "b") != position("b", "b")
    True
    """
    digest = hashlib.blake2b(_joined(salt, unit), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2048 / _SPAN


def _joined(*parts: str) -> bytes:
    """No two lists of parts give the same bytes."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
