"""Keys of the gateway: 256 random bits, of which only a digest is kept."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Final

from suffice.types import ApiKey

MARK: Final = "sk-suffice-"
"""Every secret starts with it, so that scanners and people recognise one."""
_N_SHOWN: Final = len(MARK) + 4


def new_key(
    tenant: str = "default",
    *,
    name: str = "",
    is_admin: bool = False,
    keep_content: bool = False,
    now: float | None = None,
) -> tuple[str, ApiKey, bytes]:
    """A fresh key: its secret, what is kept of it, and its digest.

    The secret is returned here and nowhere else. A plain SHA-256 is enough: there is no
    dictionary of 256-bit random secrets, and it is computed on every request.
    """
    secret = MARK + secrets.token_urlsafe(32)
    key = ApiKey(
        id="key_" + secrets.token_hex(8),
        tenant=tenant,
        prefix=secret[:_N_SHOWN],
        created_at=time.time() if now is None else now,
        is_admin=is_admin,
        keep_content=keep_content,
        name=name,
    )
    return secret, key, digest(secret)


def digest(secret: str) -> bytes:
    """SHA-256 of a secret, as stored and looked up."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
