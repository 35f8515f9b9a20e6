"""One conversation, one arm: staying is worth something, since a provider's prefix cache is lost by leaving.

What staying saves in money is known from prices (cached against uncached input tokens) and belongs to the
costs: `prefix_saving_usd`. Beyond that an arm that already answers a conversation gets a small bonus, so
that equals do not take turns. HyDRA (2026, arXiv 2605.17106) pins a session for the same reason.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np

from suffice.errors import ConfigError
from suffice.protocols import Embedder
from suffice.routers.base import BaseRouter
from suffice.routers.wrapping import Wrapper
from suffice.types import Candidate, FloatArray, Query, content_text

_BYTES_PER_TOKEN: Final = 4.0


class Conversations:
    """Who answered each conversation last: bounded, forgetting, safe between threads."""

    def __init__(self, *, max_sessions: int, ttl_s: float) -> None:
        self._max, self._ttl_s = max_sessions, ttl_s
        self._last: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._last)

    def arm(self, session: str | None, now: float | None = None) -> str | None:
        """The arm that answered last; what is too long ago is forgotten where the time is given."""
        if session is None:
            return None
        found = self._last.get(session)
        if found is None:
            return None
        if now is not None and now - found[1] > self._ttl_s:
            with self._lock:
                self._last.pop(session, None)
            return None
        return found[0]

    def remember(self, session: str | None, arm: str, now: float = 0.0) -> None:
        """Note who answers; the conversation longest untouched goes first."""
        if session is None:
            return
        with self._lock:
            self._last[session] = arm, now
            self._last.move_to_end(session)
            while len(self._last) > self._max:
                self._last.popitem(last=False)


class Sticky(Wrapper):
    """The inner router's scores, and `margin` more for the arm that answers this conversation already."""

    name = "sticky"
    not_in_all = "it acts on conversations, and recorded queries are single"

    def __init__(
        self,
        *,
        inner: str = "strongest",
        inner_params: Mapping[str, Any] | None = None,
        margin: float = 0.02,
        ttl_s: float = 3600.0,
        max_sessions: int = 100_000,
        embedder: Embedder | None = None,
    ) -> None:
        """
        Parameters
        ----------
        inner, inner_params : the router inside
        margin : quality that another arm must be ahead by, in [0, 1]
        ttl_s : a conversation that rested longer starts anew
        max_sessions : conversations that are remembered, at least 1
        """
        self.inner, self.inner_params = inner, dict(inner_params or {})
        self.margin, self.ttl_s, self.max_sessions = margin, ttl_s, max_sessions
        self.embedder = embedder
        if not 0 <= margin <= 1 or not ttl_s > 0 or max_sessions < 1:
            raise ConfigError(
                f"sticky with margin {margin}, ttl_s {ttl_s}, max_sessions {max_sessions}; a margin from 0 "
                "to 1, a time above 0 and at least 1 session are needed"
            )
        self._conversations = Conversations(max_sessions=max_sessions, ttl_s=ttl_s)

    @classmethod
    def around(cls, router: BaseRouter, **params: Any) -> Self:
        """A trained router made sticky."""
        return cls(inner=router.name, **params)._around(router)

    def remember(self, query: Query, arm: str, now: float = 0.0) -> None:
        """Tell it who answers; `scores` itself changes nothing.

        Parameters
        ----------
        now : Unix seconds
        """
        self._conversations.remember(query.session, arm, now)

    def incumbent(self, query: Query, now: float | None = None) -> str | None:
        """The arm that answered this conversation last."""
        return self._conversations.arm(query.session, now)

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        scores = np.array(self.inner_.scores(queries))
        for row, query in zip(scores, queries, strict=True):
            arm = self.incumbent(query)
            if arm in self.arms_:
                row[self.arms_.index(arm)] += self.margin
        return scores

    def _evidence(self, query: Query) -> tuple[str, ...]:
        arm = self.incumbent(query)
        said = "a new conversation" if arm is None else f"{arm} answers this conversation: {self.margin:+.3f}"
        return (said, *super()._evidence(query))


def prefix_saving_usd(query: Query, candidate: Candidate) -> float:
    """What this candidate saves on the conversation so far, if it answered it and its provider caches.

    Everything before the last message, at four bytes a token, times the gap between the price of an input
    token and of a cached one; 0 where either is unknown.
    """
    price = candidate.price
    if len(query.messages) < 2 or price.input_usd_per_mtok is None or price.cached_input_usd_per_mtok is None:
        return 0.0
    n_bytes = sum(
        len(content_text(message.get("content")).encode("utf-8", "surrogatepass"))
        for message in query.messages[:-1]
    )
    gap = float(price.input_usd_per_mtok - price.cached_input_usd_per_mtok)
    return n_bytes / _BYTES_PER_TOKEN * max(gap, 0.0) / 1e6
