"""The graph of graphrouter and its two rounds of messages, with gradients written out.

Nodes: T tasks (clusters of queries, vectors X), K models, queries. Edges: a query to its nearest tasks,
with weights w; a task to a model with two features, performance P and cost C, each the mean over the
known edges between the task's queries and the model. In words, e * s being an edge's feature times its
neighbour's state:

    model  s_m = relu(U_m + A mean_t [P * X_t, C * X_t])        messages from tasks
    task   s_t = relu(B X_t + D mean_m [P * s_m, C * s_m])      messages from models
    query  s_q = relu(E x_q + F sum_t w_t s_t)                  messages from tasks
    logit  of q, m = s_q . G s_m + g sum_t w_t P_tm + b_m       quality is its sigmoid
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.routers.descent import Params, by_name, cross_entropy, sigmoid
from suffice.types import BoolArray, FloatArray, IntArray

Array = NDArray[np.float32]
_PULL: Final = 8.0
"""Queries' worth of 0 in the mean on an edge."""
_SPREAD: Final = 4.0
"""Performance is about this much less spread than costs and states."""


@dataclass(frozen=True, eq=False, slots=True)
class Graph:
    """Queries with known edges, from which tasks' edges are made."""

    tasks: Array
    """(T, D): vectors of the task nodes, a constant last."""
    weights: Array
    """(n, T): a query's edges to tasks."""
    inputs: Array
    """(n, D): the queries' vectors, a constant last."""
    performance: Array
    """(n, K): quality minus the arm's mean; 0 where unknown."""
    cost: Array
    """(n, K): log cost, of mean 0 and variance 1; 0 where unknown."""
    known: BoolArray
    """(n, K): whether there is an edge of performance."""
    shares: Array
    """(T,): of the queries."""

    def reordered(self, order: IntArray) -> Graph:
        """The same with the arms in another order (K,)."""
        arms = {name: getattr(self, name)[:, order] for name in ("performance", "cost", "known")}
        return replace(self, **arms)

    def edges(self, seen: NDArray[Any]) -> tuple[Array, Array]:
        """P and C (T, K), of the edges that are seen (n, K) or of the queries that are (n, 1)."""
        visible = (self.known & seen).astype(np.float32)
        counts = self.weights.T @ visible + np.float32(_PULL)
        performance = self.weights.T @ (self.performance * visible) / counts
        performance = np.asarray(np.float32(_SPREAD) * performance)
        return performance, self.weights.T @ (self.cost * visible) / counts


def first_params(arms: Sequence[str], width: int, hidden: int, bias: FloatArray, seed: int) -> Params:
    """Small random maps; models' own vectors belong to their names."""
    rng = np.random.default_rng(seed)

    def random(*shape: int) -> Array:
        return np.asarray(rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(shape[-1])))

    return {
        "model_own": by_name(arms, hidden, 0.3, seed),
        "model_from_tasks": random(hidden, 2 * width),
        "task_own": random(hidden, width),
        "task_from_models": random(hidden, 2 * hidden),
        "query_own": random(hidden, width),
        "query_from_tasks": random(hidden, hidden),
        "head": random(hidden, hidden) * np.float32(0.1),
        "path": np.full(1, 1.0, np.float32),
        "bias": bias.astype(np.float32),
    }


@dataclass(frozen=True, eq=False, slots=True)
class States:
    """States of tasks and models, and the messages that they were made of."""

    performance: Array
    cost: Array
    to_models: Array
    models: Array
    to_tasks: Array
    tasks: Array


def node_states(params: Params, graph: Graph, performance: Array, cost: Array) -> States:
    """Both rounds but the query's, which is all that a decision has left to do."""
    mass, k = graph.shares[:, None], performance.shape[1]
    to_models: Array = np.hstack([(edge * mass).T @ graph.tasks for edge in (performance, cost)])
    models: Array = np.maximum(params["model_own"] + to_models @ params["model_from_tasks"].T, np.float32(0))
    to_tasks: Array = np.hstack([edge @ models / np.float32(k) for edge in (performance, cost)])
    tasks: Array = graph.tasks @ params["task_own"].T + to_tasks @ params["task_from_models"].T
    tasks = np.maximum(tasks, np.float32(0))
    return States(performance, cost, to_models, models, to_tasks, tasks)


def served(params: Params, states: States) -> Params:
    """What a decision needs: states turned by the maps behind them."""
    return {
        "query": params["query_own"],
        "tasks": states.tasks @ params["query_from_tasks"].T,
        "models": states.models @ params["head"].T,
        "paths": params["path"] * states.performance,
        "bias": params["bias"],
    }


def reordered(kept: Params, order: IntArray) -> Params:
    """The same with the arms in another order (K,)."""
    return {
        "query": kept["query"],
        "tasks": kept["tasks"],
        "models": kept["models"][order],
        "paths": kept["paths"][:, order],
        "bias": kept["bias"][order],
    }


def logits_of(kept: Params, inputs: Array, weights: Array) -> Array:
    """(n, K), for queries (n, D) with edges (n, T) to tasks."""
    queries = np.maximum(inputs @ kept["query"].T + weights @ kept["tasks"], 0)
    return np.asarray(queries @ kept["models"].T + weights @ kept["paths"] + kept["bias"])


class EdgeLoss:
    """Mean cross-entropy of hidden edges given the ones that are seen, and its gradients."""

    def __init__(
        self, params: Params, graph: Graph, quality: FloatArray, seen: BoolArray, mask: float
    ) -> None:
        """
        Parameters
        ----------
        seen : shape (n,): queries whose edges may be seen; the others are held out
        mask : share of the edges hidden in a step, besides all those of the step's own queries
        """
        self.params, self.graph, self.seen, self.mask = params, graph, seen, mask
        self._targets = np.where(graph.known, quality, 0.0).astype(np.float32)

    def __call__(
        self, rows: IntArray, rng: np.random.Generator | None
    ) -> tuple[float, Mapping[str, NDArray[Any]]]:
        graph, params = self.graph, self.params
        seen = self.seen.copy()
        if len(rows) < int(seen.sum()):  # with all of them asked there is no other to look at
            seen[rows] = False
        shown: NDArray[Any] = seen[:, None]
        if rng is not None and self.mask:
            shown = shown & (rng.random(graph.known.shape, np.float32) >= self.mask)
        states = node_states(params, graph, *graph.edges(shown))
        inputs, weights, known = graph.inputs[rows], graph.weights[rows], graph.known[rows]
        kept = served(params, states)
        logits, targets = logits_of(kept, inputs, weights), self._targets[rows]
        total = max(int(known.sum()), 1)
        loss = float(cross_entropy(logits, targets)[known].sum()) / total
        if rng is None:
            return loss, {}
        back = np.where(known, sigmoid(logits) - targets, 0).astype(logits.dtype) / logits.dtype.type(total)
        return loss, self._gradients(kept, states, inputs, weights, back)

    def _gradients(
        self, kept: Params, states: States, inputs: Array, weights: Array, back: Array
    ) -> dict[str, NDArray[Any]]:
        """By parameter, from the gradients (m, K) in the logits."""
        params, hidden = self.params, states.models.shape[1]
        queries = np.maximum(inputs @ kept["query"].T + weights @ kept["tasks"], 0)
        on_queries = (back @ kept["models"]) * (queries > 0)
        on_heads = back.T @ queries
        message = weights.T @ on_queries  # (T, h): what the tasks' messages to the queries are pulled by
        on_tasks = (message @ params["query_from_tasks"]) * (states.tasks > 0)
        on_message = on_tasks @ params["task_from_models"] / back.dtype.type(back.shape[1])
        on_models = on_heads @ params["head"]
        on_models += states.performance.T @ on_message[:, :hidden] + states.cost.T @ on_message[:, hidden:]
        on_models *= states.models > 0
        return {
            "model_own": on_models,
            "model_from_tasks": on_models.T @ states.to_models,
            "task_own": on_tasks.T @ self.graph.tasks,
            "task_from_models": on_tasks.T @ states.to_tasks,
            "query_own": on_queries.T @ inputs,
            "query_from_tasks": message.T @ states.tasks,
            "head": on_heads.T @ states.models,
            "path": np.array([(back * (weights @ states.performance)).sum()]),
            "bias": back.sum(axis=0),
        }
