"""A graph of tasks, queries and models with edges of performance and cost; quality is predicted on edges.

Feng et al. (2025), GraphRouter, arXiv 2410.03834, sections 3 and 4: a heterogeneous graph network whose
edges between queries and models carry performance and cost; a share of the edges is hidden in training
and predicted from the others; a new query joins the graph through its task.

Departures: a task is a cluster of the queries' vectors, since a query's task label is never an input. A
query's own edges reach the others through its tasks only (`graph`), so that the states of tasks and models
are ready when a query comes, and a decision is as cheap as that of a small network; and a query asked
for shows none of its edges, as it will be when serving. Models' nodes start from vectors of their
own rather than from a text about them. What is predicted is quality, not the best model for a fixed
weight of cost: prices stay outside. Costs only describe edges, as the normalised logarithm of recorded
cost, 0 where none is recorded. A few members are averaged and believed, around the arms' means, as far
as queries held out bear out, as in `latent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes
from suffice.protocols import Embedder
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter, arm_means
from suffice.routers.clustering import kmeans, soft_weights
from suffice.routers.descent import Params, Schedule, committee, means_of, members_of, sigmoid, with_one
from suffice.routers.draws import text_draws
from suffice.routers.familiarity import towards_means
from suffice.routers.graph import EdgeLoss, Graph, first_params, logits_of, node_states, reordered, served
from suffice.routers.shrinkage import HeldOut, shared_and_own
from suffice.routers.vectors import Projection, TextVectors
from suffice.types import FloatArray, Query

_NEAREST: Final = 4
_BETA: Final = 9.0
_KEPT: Final = ("query", "tasks", "models", "paths", "bias")


class GraphRouter(BaseRouter):
    """Quality predicted on the edges between a query and the models."""

    name = "graphrouter"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        tasks: int = 32,
        hidden: int = 32,
        mask: float = 0.3,
        lr: float = 3e-3,
        weight_decay: float = 1e-4,
        batch: int = 128,
        max_epochs: int = 60,
        members: int = 4,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        tasks : task nodes, at least 1
        hidden : length of a node's state, at least 1
        mask : share of the edges hidden in a training step, from 0 and below 1
        lr, weight_decay : of Adam
        batch : queries in a step
        max_epochs : at most so many; queries held out may end training before
        members : trained with another share of the queries held out each, and averaged, at least 1
        projection : "lsa" learns `dimensions` directions from sparse features, "none" takes the
            embedder's own vectors, "auto" is "lsa" where the embedder has features
        seed : of the projection, the clusters, the first weights, the masks and the batches
        """
        self.embedder = embedder
        self.tasks, self.hidden, self.mask = tasks, hidden, mask
        self.lr, self.weight_decay, self.batch, self.max_epochs = lr, weight_decay, batch, max_epochs
        self.members = members
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    def _fit(self, outcomes: Outcomes) -> None:
        self._schedule()
        texts, quality = outcomes.texts, np.asarray(outcomes.quality, np.float64)
        self.vectors_, vectors = TextVectors.learn(
            texts,
            self._embedder(),
            projection=self.projection,
            dimensions=self.dimensions,
            seed=self.seed,
        )
        draws = text_draws(texts, self.seed)
        self.means_ = arm_means(quality)
        self.centres_ = kmeans(vectors, draws, min(self.tasks, len(vectors)), seed=self.seed)
        graph = self._graph(vectors, quality, np.asarray(outcomes.cost_usd, np.float64))
        order = np.array(sorted(range(quality.shape[1]), key=outcomes.arms.__getitem__), np.intp)
        names = [outcomes.arms[arm] for arm in order.tolist()]
        kept, held_out, is_held = self._train(graph.reordered(order), names, quality[:, order], draws)
        back = np.argsort(order)
        kept = [reordered(one, back) for one in kept]
        self.kept_ = {name: np.stack([one[name] for one in kept]) for name in _KEPT}
        self._believe(self._chances(vectors), held_out[:, back], quality, is_held)

    def _train(
        self, graph: Graph, names: list[str], quality: FloatArray, draws: NDArray[np.uint64]
    ) -> tuple[list[Params], FloatArray, NDArray[np.bool_]]:
        """What members serve with, chances (n, K) of queries that one held out, and which these are (n,).

        Arms are sorted by name, so that masks do not depend on their order.
        """
        folds = (draws % np.uint64(self.members)).astype(np.intp)  # those of the committee
        level = np.clip(np.nan_to_num(arm_means(quality), nan=0.5), 0.02, 0.98)
        bias, turns = np.log(level / (1 - level)), count()

        def loss_of(params: Params) -> EdgeLoss:
            return EdgeLoss(params, graph, quality, folds != next(turns), self.mask)

        learnt, folds = committee(
            lambda seed: first_params(names, graph.inputs.shape[1], self.hidden, bias, seed),
            loss_of,
            draws,
            self._schedule(),
            n_members=self.members,
            seed=self.seed,
        )
        chances, kept = np.zeros(quality.shape), []
        for member, params in enumerate(members_of(learnt)):
            own = folds == member
            blind = served(params, node_states(params, graph, *graph.edges(~own[:, None])))
            chances[own] = sigmoid(logits_of(blind, graph.inputs[own], graph.weights[own]))
            kept.append(served(params, node_states(params, graph, *graph.edges(np.array(True)))))
        return kept, chances, folds >= 0

    def _graph(self, vectors: NDArray[np.float32], quality: FloatArray, cost: FloatArray) -> Graph:
        """Edges of all training queries."""
        known = ~np.isnan(quality)
        logs = np.log(np.where(cost > 0, cost, np.nan))
        recorded = logs[~np.isnan(logs)]
        spread = float(recorded.std()) if len(recorded) else 0.0
        normal = (logs - recorded.mean()) / spread if spread > 1e-9 else np.zeros_like(logs)
        weights = self._weights(vectors)
        return Graph(
            tasks=with_one(self.centres_),
            weights=weights,
            inputs=with_one(vectors),
            performance=np.where(known, quality - self.means_, 0).astype(np.float32),
            cost=np.nan_to_num(normal, nan=0.0).astype(np.float32),
            known=known,
            shares=weights.mean(axis=0),
        )

    def _weights(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return soft_weights(vectors, self.centres_, nearest=_NEAREST, beta=_BETA).astype(np.float32)

    def _chances(self, vectors: NDArray[np.float32]) -> FloatArray:
        """(n, K), the mean over members."""
        inputs, weights = with_one(vectors), self._weights(vectors)
        found = [sigmoid(logits_of(kept, inputs, weights)) for kept in members_of(self.kept_)]
        return np.asarray(np.mean(found, axis=0, dtype=np.float64))

    def _believe(
        self, chances: FloatArray, held_out: FloatArray, quality: FloatArray, is_held: NDArray[np.bool_]
    ) -> None:
        """Where chances are centred, and how far what is held out bears them out."""
        self.centre_ = means_of(chances, ~np.isnan(quality))
        shared, own, is_known = shared_and_own((quality - self.means_)[is_held])
        predicted, apart = self._parts(held_out[is_held])
        sums = HeldOut(1, 1 + quality.shape[1])
        sums.add(0, np.hstack((predicted, np.where(is_known, apart, 0.0))).T, np.hstack((shared, own)).T)
        self.slopes_ = [sums.slope(0, slice(0, 1)), sums.slope(0, slice(1, None))]

    def _parts(self, chances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n, 1) and (n, K): chances relative to the arms' mean ones, shared and own."""
        gaps = chances - self.centre_
        shared = gaps[:, ~np.isnan(self.means_)].mean(axis=1, keepdims=True)
        return shared, gaps - shared

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        vectors, trust = self.vectors_.read([query.text for query in queries])
        shared, own = self._parts(self._chances(vectors))
        scores = np.asarray(self.means_ + (self.slopes_[0] * shared + self.slopes_[1] * own))
        return towards_means(scores, self.means_, trust)

    def _evidence(self, query: Query) -> tuple[str, ...]:
        weights = self._weights(self.vectors_([query.text]))[0]
        best = int(weights.argmax())
        shared, own = self.slopes_
        return (
            *self.vectors_.evidence(query.text),
            f"nearest task node {best} of {len(weights)}, weight {weights[best]:.2f}",
            f"believed {shared:.2f} times on what the arms share, {own:.2f} on what tells them apart",
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {f"graph_{name}": self.kept_[name] for name in _KEPT}
        arrays |= {"means": self.means_, "centre": self.centre_, "task_nodes": self.centres_}
        return arrays | self.vectors_.state(), {"slopes": self.slopes_}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._schedule()
        self.vectors_ = TextVectors.restore(arrays, self._embedder())
        k, width, hidden = len(self.arms_), self.vectors_.dimensions, self.hidden
        self.centres_ = arrays.take("task_nodes", "f", (None, width))
        self.means_ = arrays.take("means", "f", (k,), finite=False)
        self.centre_ = arrays.take("centre", "f", (k,))
        bias = arrays.take("graph_bias", "f", (None, k))
        m, t = len(bias), len(self.centres_)
        self.kept_ = {
            "query": arrays.take("graph_query", "f", (m, hidden, width + 1)),
            "tasks": arrays.take("graph_tasks", "f", (m, t, hidden)),
            "models": arrays.take("graph_models", "f", (m, k, hidden)),
            "paths": arrays.take("graph_paths", "f", (m, t, k)),
            "bias": bias,
        }
        shared, own = facts["slopes"]
        self.slopes_ = [float(shared), float(own)]

    def _schedule(self) -> Schedule:
        if self.tasks < 1 or self.hidden < 1 or self.members < 1 or not 0 <= self.mask < 1:
            raise ConfigError(
                f"graphrouter with tasks {self.tasks}, hidden {self.hidden}, members {self.members}, mask "
                f"{self.mask}; the first three from 1 and mask from 0 and below 1 are needed"
            )
        schedule = Schedule(self.lr, self.weight_decay, self.batch, self.max_epochs)
        schedule.check(self.name)
        return schedule
