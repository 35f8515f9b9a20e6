"""Dense vectors of texts for routers that need them: the embedder's own, or learnt from its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.protocols import Embedder, has_features
from suffice.routers.artefact import Arrays
from suffice.routers.lsa import Lsa
from suffice.types import FloatArray

Projection = Literal["auto", "lsa", "none"]


class TextVectors:
    """Texts to (n, dimensions) float32 unit rows; a zero row where nothing is known of a text."""

    def __init__(self, embedder: Embedder, lsa: Lsa | None) -> None:
        self.embedder, self.lsa = embedder, lsa

    @property
    def dimensions(self) -> int:
        return self.embedder.dimensions if self.lsa is None else self.lsa.components.shape[1]

    @classmethod
    def learn(
        cls,
        texts: Sequence[str],
        embedder: Embedder,
        *,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> tuple[TextVectors, NDArray[np.float32]]:
        """The map, and the vectors of the texts it was learnt from.

        Parameters
        ----------
        projection : "lsa" learns `dimensions` directions from sparse features, "none" takes the
            embedder's own vectors, "auto" is "lsa" where the embedder has features
        seed : of the projection

        Raises
        ------
        ConfigError
            If the projection is unknown, or "lsa" and the embedder has no features.
        """
        if projection not in ("auto", "lsa", "none") or dimensions < 1:
            raise ConfigError(
                f"projection {projection!r} to {dimensions} dimensions: one of auto, lsa, none and at least "
                "1 are needed"
            )
        if projection == "none" or (projection == "auto" and not has_features(embedder)):
            return cls(embedder, None), embedder.embed(texts)
        if not has_features(embedder):
            raise ConfigError(
                f'the projection "lsa" needs sparse features, which {embedder.name!r} does not have: pass '
                'HashedNgrams(), or take the projection "none"'
            )
        lsa, vectors = Lsa.of_texts(texts, embedder, dimensions=dimensions, seed=seed)
        return cls(embedder, lsa), vectors

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.read(texts)[0]

    def read(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], FloatArray]:
        """The vectors, and how familiar the texts are (n,), in [0, 1]; 1 where no projection was learnt."""
        if self.lsa is None or not has_features(self.embedder):
            return self.embedder.embed(texts), np.ones(len(texts))
        rows = self.embedder.features(texts)
        return self.lsa.project(rows), self.lsa.familiarity(rows)

    def evidence(self, text: str) -> tuple[str, ...]:
        """What to say of how familiar it is."""
        if self.lsa is None or not has_features(self.embedder):
            return ()
        return (self.lsa.familiarity.evidence(self.embedder.features([text])),)

    def state(self) -> dict[str, NDArray[Any]]:
        """Arrays for a router's artefact; none without a projection."""
        return {} if self.lsa is None else self.lsa.state()

    @classmethod
    def restore(cls, arrays: Arrays, embedder: Embedder) -> TextVectors:
        """The reverse of `state`.

        Raises
        ------
        ArtefactError
            If the arrays are not as `state` writes them.
        ConfigError
            If there is a projection and the embedder has no features.
        """
        if not arrays.has("lsa_columns"):
            return cls(embedder, None)
        if not has_features(embedder):
            raise ConfigError(f"the projection needs sparse features, which {embedder.name!r} does not have")
        return cls(embedder, Lsa.restore(arrays))
