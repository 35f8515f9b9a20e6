"""RouterDC: queries and models in one space, pulled together and apart by two contrastive losses.

Chen et al. (2024), RouterDC: Query-Based Router by Dual Contrastive Learning for Assembling Large Language
Models, arXiv 2409.19886. An encoder gives x, every model has a vector k, their similarity is the cosine.
The sample-LLM loss (equation 3) makes each of the best models of a query more similar to it than its bad
ones, the sample-sample loss (equation 4) makes queries of one cluster more similar than others.

Departures: the paper takes the most similar model, but a choice that weighs costs needs qualities, so
cosines (less their means) are scaled to qualities by queries held out; models of equal quality are ranked
by lot anew in every step, where the authors' code goes by their order; clusters are k-means over the
pretrained encodings themselves rather than over a t-SNE map of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np

from suffice.errors import ConfigError
from suffice.outcomes import Preferences
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter
from suffice.routers.bert import Bert
from suffice.routers.clustering import kmeans, squared_distances
from suffice.routers.draws import text_draws
from suffice.routers.encoder import MINILM
from suffice.routers.finetuned import Lesson
from suffice.routers.heads import GradedHead, Head, as_numpy
from suffice.routers.tuning import Rows
from suffice.types import FloatArray, IntArray

_SPREAD: Final = 0.78
"""Standard deviation of initial model vectors, the authors'."""
_BAD: Final = 0.5
"""A model of at most this quality can be a negative."""
_N_OTHERS: Final = 3
"""Queries of other clusters that one is compared with, H in the paper."""


class RouterDC(Bert):
    """quality = arm's mean + slope (cosine of query and arm - its mean)."""

    name = "routerdc"
    batches_by_length = False  # a batch of like texts would hold one cluster

    def __init__(
        self,
        *,
        encoder: str = MINILM,
        n_best: int = 3,
        n_worst: int = 3,
        temperature: float = 1.0,
        cluster_weight: float = 1.0,
        n_clusters: int = 5,
        epochs: float = 4.0,
        max_steps: int = 1000,
        batch: int = 32,
        learning_rate: float | None = None,
        max_length: int = 256,
        frozen_layers: int = 0,
        held_out: float = 0.1,
        patience: int = 3,
        max_rows: int | None = None,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        n_best, n_worst : models per query that are pulled and pushed, K+ and K- in the paper
        temperature : cosines are divided by it in both losses
        cluster_weight : of the sample-sample loss, lambda in the paper; 0 leaves it out
        n_clusters : of queries, for that loss
        the others : as `Bert`'s
        """
        super().__init__(
            encoder=encoder,
            epochs=epochs,
            max_steps=max_steps,
            batch=batch,
            learning_rate=learning_rate,
            max_length=max_length,
            frozen_layers=frozen_layers,
            held_out=held_out,
            patience=patience,
            max_rows=max_rows,
            seed=seed,
        )
        self.n_best, self.n_worst, self.temperature = n_best, n_worst, temperature
        self.cluster_weight, self.n_clusters = cluster_weight, n_clusters

    def fit_preferences(self, preferences: Preferences) -> Self:
        """Learn from pairs as from outcomes: of two models the winner is pulled, the loser pushed."""
        return BaseRouter.fit_preferences(self, preferences)

    def _graded(self, n_arms: int) -> Head:
        head = CosineHead(self.encoder_.width, n_arms)
        head.n_best, head.n_worst = self.n_best, self.n_worst
        head.temperature, head.cluster_weight = self.temperature, self.cluster_weight
        return head

    def _taught(self, head: Any, quality: FloatArray, lesson: Lesson) -> None:
        super()._taught(head, quality, lesson)
        vectors = as_numpy(unit(self.encoder_.all_states(lesson.tokens))).astype(np.float32)
        centres = kmeans(vectors, text_draws(lesson.texts, self.seed), self.n_clusters, seed=self.seed)
        head.clusters = squared_distances(vectors, centres).argmin(axis=1)

    def _check_params(self) -> None:
        super()._check_params()
        fits = min(self.n_best, self.n_worst, self.n_clusters) >= 1 and self.temperature > 0
        if not fits or self.cluster_weight < 0:
            raise ConfigError(
                f"routerdc with n_best {self.n_best}, n_worst {self.n_worst}, n_clusters {self.n_clusters}, "
                f"temperature {self.temperature}, cluster_weight {self.cluster_weight}; the first three "
                "from 1, a temperature above 0 and a weight from 0 are needed"
            )


class CosineHead(GradedHead):
    """A vector per arm, and both losses."""

    kind = "cosine"
    n_best: int
    n_worst: int
    temperature: float
    cluster_weight: float
    clusters: IntArray
    """(n,): of every training query."""
    typical: FloatArray
    """(K,): mean cosines over training queries."""

    def _made(self, width: int, n_arms: int) -> Any:
        import torch

        self.typical = np.zeros(n_arms)
        module = torch.nn.Embedding(n_arms, width)
        with torch.no_grad():
            module.weight.normal_(std=_SPREAD)
        return module

    def cosines(self, states: Any) -> Any:
        return unit(states) @ unit(self.module.weight).T

    def loss(self, states: Any, rows: Rows) -> Any:
        found = sample_llm_loss(
            self.cosines(states) / self.temperature,
            self.targets_[rows],
            self.mask_[rows],
            n_best=self.n_best,
            n_worst=self.n_worst,
        )
        if self.cluster_weight and self.module.training:
            pairs = unit(states) @ unit(states).T / self.temperature
            found = found + self.cluster_weight * sample_sample_loss(pairs, self.clusters[rows])
        return found

    def residuals(self, states: Any) -> FloatArray:
        return as_numpy(self.cosines(states)) - self.typical

    def calibrate(self, states: Any, rows: Rows, train_states: Any) -> None:
        if len(train_states):
            self.typical = as_numpy(self.cosines(train_states)).mean(axis=0)
        super().calibrate(states, rows, train_states)

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "typical": self.typical.tolist()}

    def recall(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        super().recall(arrays, facts)
        typical = np.array(facts["typical"], np.float64)
        if typical.shape != self.typical.shape:
            raise ValueError(f"{len(typical)} mean cosines, not {len(self.typical)}")
        self.typical = typical


def unit(rows: Any) -> Any:
    """Rows of length 1."""
    from torch.nn import functional

    return functional.normalize(rows, dim=-1)


def sample_llm_loss(similar: Any, quality: Any, mask: Any, *, n_best: int, n_worst: int) -> Any:
    """Equation 3: mean over queries of the sum over their best models.

    Parameters
    ----------
    similar : shape (b, K): cosines over the temperature
    quality : shape (b, K), in [0, 1]
    mask : shape (b, K): 1 where the quality is known
    n_best : K+; a model of quality 0 is none of the best
    n_worst : K-; one of quality above 0.5 is none of the worst
    """
    import torch

    lot = torch.rand_like(quality) * 1e-4
    is_known = mask > 0
    best = torch.where(is_known, quality + lot, -1.0).topk(min(n_best, quality.shape[1]), dim=1).indices
    worst = torch.where(is_known, -quality + lot, -2.0).topk(min(n_worst, quality.shape[1]), dim=1).indices
    is_good = (quality.gather(1, best) > 0) & is_known.gather(1, best)
    is_bad = (quality.gather(1, worst) <= _BAD) & is_known.gather(1, worst)
    pushed = similar.gather(1, worst).masked_fill(~is_bad, -torch.inf)  # (b, K-)
    pulled = similar.gather(1, best)  # (b, K+)
    # a good model that is itself among the worst would be compared with itself
    is_other = best[:, :, None] != worst[:, None, :]
    against = pushed[:, None, :].expand(-1, best.shape[1], -1).masked_fill(~is_other, -torch.inf)
    every = torch.cat((pulled[:, :, None], against), dim=2).logsumexp(dim=2)
    return ((every - pulled) * is_good).sum(dim=1).mean()


def sample_sample_loss(similar: Any, clusters: IntArray) -> Any:
    """Equation 4: every query against one of its own cluster and some of the others.

    Parameters
    ----------
    similar : shape (b, b): cosines over the temperature
    clusters : shape (b,)

    A query alone in its cluster, or with none beside it, takes no part.
    """
    import torch

    is_same = torch.from_numpy(clusters[:, None] == clusters[None, :]).to(similar.device)
    is_self = torch.eye(len(clusters), dtype=torch.bool, device=similar.device)
    lot = torch.rand_like(similar)
    mate = lot.masked_fill(~is_same | is_self, -1.0).argmax(dim=1, keepdim=True)
    n_others = min(_N_OTHERS, len(clusters))
    others = lot.masked_fill(is_same, -1.0).topk(n_others, dim=1).indices
    takes_part = (is_same & ~is_self).any(dim=1) & (~is_same).any(dim=1)
    pulled = similar.gather(1, mate)
    pushed = similar.gather(1, others).masked_fill(is_same.gather(1, others), -torch.inf)
    each = torch.cat((pulled, pushed), dim=1).logsumexp(dim=1) - pulled[:, 0]
    return torch.where(takes_part, each, 0.0).sum() / takes_part.sum().clamp(min=1)
