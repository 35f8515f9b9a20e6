"""By chance: the line that every router must pass."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter
from suffice.types import Candidate, FloatArray, Query


class RandomRouter(BaseRouter):
    """Uniform scores, a function of seed, arm and query text: asked again, it says the same."""

    name = "random"

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def from_candidates(self, candidates: Sequence[Candidate]) -> Self:
        """Ready without outcomes."""
        if not candidates:
            raise ConfigError(f"the router {self.name!r} was given no candidates; at least one is needed")
        self.arms_, self.n_train_ = tuple(candidate.name for candidate in candidates), 0
        return self

    def _fit(self, outcomes: Outcomes) -> None:
        """Learns nothing but the arms' names."""

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        arms = [hashlib.blake2b(f"{self.seed}\0{arm}\0".encode(), digest_size=8) for arm in self.arms_]
        out = np.empty((len(queries), len(arms)))
        for row, query in zip(out, queries, strict=True):
            text = query.text.encode("utf-8", "surrogatepass")
            for place, arm in enumerate(arms):
                digest = arm.copy()
                digest.update(text)
                row[place] = int.from_bytes(digest.digest(), "big") / 2**64
        return out

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return {}, {}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        pass
