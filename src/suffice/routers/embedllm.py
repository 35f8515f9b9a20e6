"""EmbedLLM: a vector for every model, times a linear map of the query's, gives the chance of being right.

Zhuang et al. (2025), EmbedLLM, arXiv 2410.02223, section 4: P(correct) = sigmoid(v_M . (W x + b)), trained by
cross-entropy on known answers, with noise on x. Departures: quality in between is a soft target; alpha is
the noise's length relative to the vector's; a few members are averaged and believed as far as queries
held out bear out (`latent`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.protocols import Embedder
from suffice.routers.descent import Params, Schedule, by_name
from suffice.routers.latent import Grads, LatentRouter
from suffice.routers.vectors import Projection


class EmbedLLM(LatentRouter):
    """Chance of being right from a bilinear form of model and query."""

    name = "embedllm"
    arrays_ = ("models", "text")

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        latent: int = 32,
        alpha: float = 0.1,
        lr: float = 3e-3,
        weight_decay: float = 1e-5,
        batch: int = 64,
        max_epochs: int = 100,
        members: int = 4,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        latent : length of a model's vector, at least 1
        alpha : noise on the query's vector in training, as a share of its length, from 0
        lr, weight_decay : of Adam
        batch : queries in a batch
        max_epochs : at most so many; queries held out may end training before
        members : trained with another share of the queries held out each, and averaged, at least 1
        projection : "lsa" learns `dimensions` directions from sparse features, "none" takes the
            embedder's own vectors, "auto" is "lsa" where the embedder has features
        seed : of the projection, the first weights, the noise and the batches
        """
        self.embedder = embedder
        self.latent, self.alpha = latent, alpha
        self.lr, self.weight_decay, self.batch, self.max_epochs = lr, weight_decay, batch, max_epochs
        self.members = members
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    def _start(self, arms: Sequence[str], width: int, seed: int) -> Params:
        text = np.random.default_rng(seed).standard_normal((self.latent, width), np.float32)
        return {
            "models": by_name(arms, self.latent, 1 / np.sqrt(self.latent), seed),
            "text": text / np.float32(np.sqrt(width)),
        }

    def _logits(self, params: Params, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(inputs @ params["text"].T @ params["models"].T)

    def _gradients(self, params: Params, inputs: NDArray[np.float32], back: NDArray[np.float32]) -> Grads:
        return {
            "models": back.T @ (inputs @ params["text"].T),
            "text": (back @ params["models"]).T @ inputs,
        }

    def _schedule(self) -> Schedule:
        if self.latent < 1 or self.alpha < 0 or self.members < 1:
            raise ConfigError(
                f"embedllm with latent {self.latent}, alpha {self.alpha}, members {self.members}; latent and "
                "members from 1 and alpha from 0 are needed"
            )
        return super()._schedule()
