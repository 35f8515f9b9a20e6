"""A second embedder for when the first one fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError, EmbedderError
from suffice.protocols import Embedder

_log = logging.getLogger(__name__)


class FallbackEmbedder:
    """Asks the first embedder, and the second one when the first fails.

    Vectors of different embedders must never be compared, so both must have the same `name`: two
    endpoints that serve one model, say. A router trained on one embedder thus never receives
    vectors of another. Where no such twin exists use no secondary: `embed` then raises
    `EmbedderError`, `degraded` says why, and the engine answers with its safe choice, the strongest
    candidate, until the embedder is back.
    """

    def __init__(self, primary: Embedder, secondary: Embedder | None = None) -> None:
        """
        Raises
        ------
        ConfigError
            If the two give vectors that must not be mixed.
        """
        if secondary is not None and (primary.name, primary.dimensions) != (
            secondary.name,
            secondary.dimensions,
        ):
            raise ConfigError(
                f"the fallback embedder {secondary.name!r} ({secondary.dimensions} dimensions) gives other "
                f"vectors than {primary.name!r} ({primary.dimensions}): name one that serves the same model, "
                "or none, and the gateway falls back to the strongest candidate"
            )
        self.primary, self.secondary = primary, secondary
        self._reason: str | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.primary.name

    @property
    def dimensions(self) -> int:
        return self.primary.dimensions

    @property
    def degraded(self) -> str | None:
        """Why the first embedder failed when it was last asked; None while it works."""
        return self._reason

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the first embedder, or the second.

        Raises
        ------
        EmbedderError
            If no embedder is left that works.
        """
        try:
            vectors = self.primary.embed(texts)
        except EmbedderError as error:
            self._degrade(str(error))
            if self.secondary is None:
                raise
            return self.secondary.embed(texts)
        self._recover()
        return vectors

    def _degrade(self, reason: str) -> None:
        with self._lock:
            is_new, self._reason = self._reason is None, reason
        if is_new:
            instead = self.secondary.name if self.secondary else "the strongest candidate"
            _log.warning("embedder %s failed, using %s: %s", self.primary.name, instead, reason)

    def _recover(self) -> None:
        if self._reason is None:
            return
        with self._lock:
            self._reason = None
        _log.info("embedder %s works again", self.primary.name)

    def __getattr__(self, name: str) -> Any:
        """`features`, where the first embedder has them: they are computed here and do not fail."""
        if name == "features":
            return getattr(self.primary, name)
        raise AttributeError(name)
