"""Names to trained routers, and their predictions in the order of the compared models."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from suffice import routers
from suffice.errors import ConfigError, MissingDependency
from suffice.outcomes import Outcomes
from suffice.protocols import CostModel, Embedder, Router
from suffice.registry import shown
from suffice.types import FloatArray, Query


def fitted(
    name: str,
    train: Outcomes,
    params: Mapping[str, Any] | None = None,
    *,
    embedder: Embedder | None = None,
    seed: int = 0,
) -> tuple[Router, float]:
    """A router trained on outcomes, and the seconds it took.

    Parameters
    ----------
    name : of a router, or path/to/file.py:ClassName
    params : of its constructor
    embedder : for routers that take one; None is the default
    seed : for routers that take one and were not given another

    Raises
    ------
    MissingDependency
        If a library of the router's is not installed.
    ConfigError
        If the router cannot be made, or not be trained, with these parameters.
    """
    try:
        routers.registry.check(name, params or {}, hidden=("embedder",))
        takes_seed = "seed" in inspect.signature(routers.get(name)).parameters
        given = {"seed": seed} if takes_seed else {}
        router = routers.create(name, embedder=embedder, **given | dict(params or {}))
        start = perf_counter()
        router.fit(train)
    except ImportError as error:
        raise MissingDependency(error.name or str(error), "all", f"the router {name!r}") from error
    except (TypeError, ValueError) as error:
        if not params:
            raise
        raise ConfigError(f"router {name!r} with {shown(params)}: {error}") from error
    return router, perf_counter() - start


def scores_of(router: Router, queries: Sequence[Query], models: Sequence[str]) -> FloatArray:
    """(n, K) in the order of `models`."""
    return router.scores(queries)[:, [router.arms.index(model) for model in models]]


def costs_of(model: CostModel, queries: Sequence[Query], models: Sequence[str]) -> FloatArray:
    """(n, K) predicted USD in the order of `models`."""
    return model.costs(queries)[:, [model.arms.index(name) for name in models]]
