"""Who may ask: keys, and the one case in which none is needed.

A key is looked up by its SHA-256; the secret itself is neither kept nor compared, so there is no
comparison whose time could tell anything about it. The tenant comes from the key and from nowhere else.
"""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import msgspec

from suffice.errors import Forbidden, StoreError, Unauthorized
from suffice.protocols import Store
from suffice.store.keys import MARK
from suffice.types import Caller

TTL_S: Final = 0.5
"""How long a found key is trusted without asking the store: a revocation takes that long at most."""
STALE_S: Final = 60.0
"""How long a found key is trusted while the store does not answer."""
_MARK: Final = MARK.encode()
_MAX_CACHED: Final = 10_000
_LOOPBACK: Final = re.compile(r"localhost\.?|127(\.\d{1,3}){3}|\[::1\]|::1")
_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z.-]+)(:\d+)?")
_FORWARDED: Final = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")

Headers = Mapping[bytes, bytes]


class Access(enum.Enum):
    """What a route asks of its caller."""

    OPEN = "anyone"
    CALLER = "a key, or none where the gateway is keyless"
    OPERATOR = "an admin key, or a request from this machine to a gateway that only listens to it"


class _Known(msgspec.Struct, frozen=True):
    caller: Caller
    is_admin: bool
    seen_at: float


class Doorman:
    """Checks every call against the access its route demands."""

    def __init__(
        self, store: Store, *, demands_key: bool | None = None, is_loopback: bool = False, keyless: Caller
    ) -> None:
        """
        Parameters
        ----------
        demands_key : None demands one unless bound to loopback and no key was ever made
        is_loopback : whether the gateway listens on this machine's loopback address only
        keyless : on whose behalf requests without a key are made
        """
        self._store = store
        self._demands_key = demands_key
        self._is_loopback = is_loopback
        self._keyless = keyless
        self._known: dict[bytes, _Known] = {}
        self._has_keys = False
        self._asked_at = float("-inf")

    def admit(self, access: Access, headers: Headers) -> Caller:
        """The caller.

        Raises
        ------
        Unauthorized
            Without a valid key where one is needed.
        Forbidden
            With a key that is not enough, or from a web page of elsewhere.
        """
        if access is Access.CALLER:
            if self._demands_key or not self._is_loopback or self._is_addressed(headers):
                return self._holder(headers).caller
            if not _is_from_here(headers):
                raise Forbidden(
                    "a gateway without keys answers this machine only, and no web page of elsewhere: "
                    "make a key with `suffice keys`"
                )
            return self._keyless
        return self._operator(headers) if access is Access.OPERATOR else self._keyless

    def _operator(self, headers: Headers) -> Caller:
        is_local = self._is_loopback and _is_from_here(headers)
        if is_local and not any(name in headers for name in _FORWARDED):
            return self._keyless
        known = self._holder(headers)
        if not known.is_admin:
            raise Forbidden("this needs an admin key; make one with `suffice keys`")
        return known.caller

    def _holder(self, headers: Headers) -> _Known:
        secret = _bearer(headers)
        if not secret:
            raise Unauthorized("no API key was given; send it as `Authorization: Bearer sk-suffice-...`")
        hashed = sha256(secret).digest()
        known = self._known.get(hashed)
        if known is not None and time.monotonic() - known.seen_at < TTL_S:
            return known
        return self._look_up(hashed, known)

    def _look_up(self, hashed: bytes, known: _Known | None) -> _Known:
        now = time.monotonic()
        try:
            key = self._store.key_by_digest(hashed)
        except StoreError:
            if known is not None and now - known.seen_at < STALE_S:
                return known
            raise
        if key is None or key.revoked_at is not None:
            self._known.pop(hashed, None)
            raise Unauthorized("this API key is not known or was revoked; see `suffice keys`")
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()
        caller = Caller(tenant=key.tenant, key_id=key.id, keep_content=key.keep_content)
        known = self._known[hashed] = _Known(caller, key.is_admin, now)
        return known

    def _is_addressed(self, headers: Headers) -> bool:
        """Whether a gateway on loopback must look at the key: some were made, or this request brings one."""
        if _bearer(headers).startswith(_MARK):
            return True
        if self._demands_key is False:
            return False
        now = time.monotonic()
        if not self._has_keys and now - self._asked_at >= TTL_S:
            self._asked_at = now
            self._has_keys = bool(self._store.keys())
        return self._has_keys


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reachable from this machine only."""
    return _LOOPBACK.fullmatch(host) is not None


def _bearer(headers: Headers) -> bytes:
    """The secret of `Authorization: Bearer SECRET`; empty if there is none."""
    given = headers.get(b"authorization", b"")
    if given.startswith(b"Bearer "):
        return given[7:]
    scheme, _, secret = given.partition(b" ")
    return secret.strip() if scheme.lower() == b"bearer" else b""


def _is_from_here(headers: Headers) -> bool:
    """Whether a request names this machine, and no web page of another one is behind it.

    A page can make a browser send requests to 127.0.0.1, and even read the answers after its own name
    was made to point there: but then the name stands in Host, and its origin in Origin.
    """
    if not is_loopback(_hostname(headers.get(b"host", b"localhost").decode("latin-1"))):
        return False
    origin = headers.get(b"origin")
    return origin is None or is_loopback(_hostname(origin.decode("latin-1").partition("://")[2]))


def _hostname(authority: str) -> str:
    """`localhost:80` -> `localhost`; `[::1]:80` -> `[::1]`; empty for what is not a host and a port."""
    found = _AUTHORITY.fullmatch(authority.lower())
    return found.group(1) if found else ""
