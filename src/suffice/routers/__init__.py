"""Routers: predicted quality of every arm, before any is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suffice.errors import ConfigError
from suffice.protocols import Embedder, Router
from suffice.registry import Registry
from suffice.routers.artefact import Artefact, read_manifest
from suffice.routers.base import BaseRouter
from suffice.routers.costs import (
    ObservedCostModel,
    TokenCostModel,
    fit_cost_model,
    load_cost_model,
    prior_cost_model,
)
from suffice.routers.latencies import (
    LengthLatencyModel,
    fit_latency_model,
    load_latency_model,
    prior_latency_model,
)
from suffice.types import Candidate

__all__ = [
    "Artefact",
    "BaseRouter",
    "LengthLatencyModel",
    "ObservedCostModel",
    "TokenCostModel",
    "available",
    "create",
    "fit_cost_model",
    "fit_latency_model",
    "get",
    "hashed_embedder",
    "load",
    "load_cost_model",
    "load_latency_model",
    "prior_cost_model",
    "prior_latency_model",
    "read_manifest",
    "registry",
    "untrained",
]

_EMBEDDERS = Registry("embedder", "suffice.embedders", {"hashed": "suffice.embedders.hashed:HashedNgrams"})

registry = Registry(
    "router",
    "suffice.routers",
    {
        "random": "suffice.routers.random:RandomRouter",
        "fixed": "suffice.routers.fixed:Fixed",
        "cheapest": "suffice.routers.cheapest:Cheapest",
        "strongest": "suffice.routers.strongest:Strongest",
        "builtin": "suffice.routers.builtin:Builtin",
        "knn": "suffice.routers.knn:KNN",
        "ridge": "suffice.routers.ridge:Ridge",
        "blend": "suffice.routers.blend:Blend",
        "ensemble": "suffice.routers.ensemble:Ensemble",
        "rules": "suffice.routers.rules:Rules",
        "sticky": "suffice.routers.sticky:Sticky",
        "llm": "suffice.routers.llm:LLM",
        "bert": "suffice.routers.bert:Bert",
        "routerdc": "suffice.routers.routerdc:RouterDC",
        "causal_lm": "suffice.routers.causal_lm:CausalLM",
        "logistic": "suffice.routers.logistic:Logistic",
        "svm": "suffice.routers.svm:SVM",
        "mlp": "suffice.routers.mlp:MLP",
        "gbm": "suffice.routers.gbm:GBM",
        "hybrid": "suffice.routers.hybrid:Hybrid",
        "carrot": "suffice.routers.carrot:Carrot",
        "kmeans": "suffice.routers.kmeans:KMeans",
        "sw_ranking": "suffice.routers.sw_ranking:SWRanking",
        "elo": "suffice.routers.elo:Elo",
        "mf": "suffice.routers.mf:MF",
        "embedllm": "suffice.routers.embedllm:EmbedLLM",
        "irt": "suffice.routers.irt:IRT",
        "graphrouter": "suffice.routers.graphrouter:GraphRouter",
        "gmtrouter": "suffice.routers.gmtrouter:GMTRouter",
        "personalized": "suffice.routers.personalized:Personalized",
    },
)


def available() -> tuple[str, ...]:
    """Names of all routers that can be created."""
    return registry.available()


def get(name: str) -> Any:
    """The class of that name, or of `path/to/file.py:ClassName`."""
    return registry.get(name)


def create(name: str, embedder: Embedder | None = None, **params: Any) -> Any:
    """A router by name, to be fitted.

    Parameters
    ----------
    embedder : given to routers that take one; None gives them `HashedNgrams()`
    params : the constructor's parameters

    Raises
    ------
    ConfigError
        If the router has no such parameter, or not of that type.
    """
    needs_embedder = getattr(get(name), "needs_embedder", False)
    fixed = {"embedder": embedder if embedder is not None else _default_embedder()} if needs_embedder else {}
    return registry.create(name, params, fixed)


def untrained(name: str, candidates: Sequence[Candidate], **params: Any) -> Router:
    """A router that decides by prices, strength or chance alone, before there are any outcomes.

    Raises
    ------
    ConfigError
        If that router must be trained.
    """
    router = create(name, **params)
    if not hasattr(router, "from_candidates"):
        able = ", ".join(known for known in available() if hasattr(get(known), "from_candidates"))
        raise ConfigError(
            f"the router {name!r} must be trained: run `suffice train {name}`, or take one of {able}"
        )
    ready: Router = router.from_candidates(candidates)
    return ready


def load(directory: Path, embedder: Embedder | None = None) -> Router:
    """The router saved in a directory, whichever it is.

    Parameters
    ----------
    embedder : the one it was trained with; None takes the default, if that is it

    Raises
    ------
    ArtefactError
        If there is none, or none that can be used.
    """
    artefact = read_manifest(Path(directory))
    if artefact.embedder is not None and embedder is None:
        embedder = _default_embedder()
    router: Router = get(artefact.router).load(Path(directory), embedder=embedder)
    return router


def _default_embedder() -> Embedder:
    return hashed_embedder()


def hashed_embedder(**params: Any) -> Embedder:
    """By name, as a plug-in's would be: a router's file imports no embedder."""
    embedder: Embedder = _EMBEDDERS.get("hashed")(**params)
    return embedder
