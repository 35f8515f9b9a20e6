"""Routers around another router: they add to its scores and leave the learning to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes, Preferences
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter
from suffice.types import Candidate, Query

_PREFIX: Final = "inner_"


class Wrapper(BaseRouter):
    """Holds a router by name; it is saved inside."""

    needs_embedder = True
    inner: str
    inner_params: Mapping[str, Any]
    inner_: BaseRouter

    def from_candidates(self, candidates: Sequence[Candidate]) -> Self:
        """Ready without outcomes, where the inner router is."""
        inner = self._made()
        if not hasattr(inner, "from_candidates"):
            raise ConfigError(
                f"{self.name} wraps {self.inner!r}, which must be trained: run `suffice train {self.name}`"
            )
        return self._around(inner.from_candidates(candidates))

    def fit_preferences(self, preferences: Preferences) -> Self:
        """As the inner router learns from pairs."""
        return self._around(self._made().fit_preferences(preferences))

    def _around(self, inner: BaseRouter) -> Self:
        self.inner_ = inner
        self.arms_, self.added_, self.n_train_ = inner.arms, (), inner.n_train_
        self.mean_quality_ = dict(inner.mean_quality_)
        return self

    def _made(self) -> Any:
        from suffice import routers  # the registry imports every router

        kind = routers.get(self.inner)
        if not (isinstance(kind, type) and issubclass(kind, BaseRouter)) or issubclass(kind, Wrapper):
            raise ConfigError(
                f"{self.name} cannot wrap {self.inner!r}: a router that is no wrapper is needed"
            )
        return routers.create(self.inner, self._embedder(), **self.inner_params)

    def _fit(self, outcomes: Outcomes) -> None:
        self.inner_ = self._made().fit(outcomes)

    def _evidence(self, query: Query) -> tuple[str, ...]:
        inside = self.inner_.explain(query)
        return (inside.summary, *inside.evidence)

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays, facts = self.inner_._state()
        return {_PREFIX + name: array for name, array in arrays.items()}, {"inner": facts}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self.inner_ = self._made()
        self.inner_.arms_, self.inner_.n_train_ = self.arms_, self.n_train_
        self.inner_.mean_quality_ = self.mean_quality_
        self.inner_._restore(arrays.under(_PREFIX), facts["inner"])
