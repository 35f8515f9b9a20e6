"""Item response theory: queries are items with a difficulty, models have abilities.

Song et al. (2025), IRT-Router, arXiv 2506.01048, section 3. MIRT: P = sigmoid(a(x) . theta_M - b(x)). NIRT:
a small network on the interaction a(x) * (theta_M - b(x)), a in (0, 1). Discrimination a and difficulty b
are linear in the query's vector. For queries unlike the training ones the paper warms up: the vector
is mixed with the mean of its nearest neighbours'.

Departures: theta is free for every model rather than made from a text about it, so that a new model
needs labels and no description: its theta is the most probable one, the trained thetas' mean and
covariance being the prior. A few members are averaged, and believed as far as queries held out bear out
(`latent`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.protocols import Embedder
from suffice.routers.added import AddedArm
from suffice.routers.artefact import Arrays
from suffice.routers.descent import Params, Schedule, by_name, members_of, sigmoid, with_one
from suffice.routers.latent import Grads, LatentRouter
from suffice.routers.optim import Adam
from suffice.routers.vectors import Projection
from suffice.types import FloatArray, Query

_HIDDEN: Final = 16
_MAX_KEPT: Final = 20_000
"""Training vectors kept for the warm-up."""
_MAP_STEPS: Final = 300
_LEAST_VARIANCE: Final = 1e-2


class IRT(LatentRouter):
    """Chance of being right from ability, discrimination and difficulty."""

    name = "irt"

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        form: Literal["mirt", "nirt"] = "mirt",
        latent: int = 16,
        warm_up: float = 0.0,
        neighbours: int = 10,
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
        form : "mirt" is linear in the abilities, "nirt" has a network
        latent : abilities of a model, at least 1
        warm_up : share of the neighbours' mean in a query's vector, in [0, 1] (the paper's 1 - lambda)
        neighbours : how many, at least 1
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
        self.form, self.latent, self.warm_up, self.neighbours = form, latent, warm_up, neighbours
        self.alpha = alpha
        self.lr, self.weight_decay, self.batch, self.max_epochs = lr, weight_decay, batch, max_epochs
        self.members = members
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    @property
    def arrays_(self) -> tuple[str, ...]:  # type: ignore[override]  # depends on the form
        common = ("theta", "discrimination", "difficulty")
        return common if self.form == "mirt" else (*common, "inner", "offset", "outer", "bias")

    def _start(self, arms: Sequence[str], width: int, seed: int) -> Params:
        rng = np.random.default_rng(seed)
        d = self.latent

        def weights(*shape: int) -> NDArray[np.float32]:
            return rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(shape[-1]))

        params = {"theta": by_name(arms, d, 1 / np.sqrt(d), seed), "discrimination": weights(d, width)}
        if self.form == "mirt":
            return params | {"difficulty": weights(1, width)}
        return params | {
            "difficulty": weights(d, width),
            "inner": weights(_HIDDEN, d),
            "offset": np.zeros(_HIDDEN, np.float32),
            "outer": weights(_HIDDEN),
            "bias": np.zeros(1, np.float32),
        }

    def _logits(self, params: Params, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        a, b = inputs @ params["discrimination"].T, inputs @ params["difficulty"].T
        if self.form == "mirt":
            return np.asarray(a @ params["theta"].T - b)
        return np.asarray(self._network(params, sigmoid(a), b)[1] @ params["outer"] + params["bias"])

    def _network(self, params: Params, a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """NIRT's interaction (n, K, latent) and hidden units (n, K, H)."""
        interaction = a[:, None, :] * (params["theta"] - b[:, None, :])
        return interaction, np.tanh(interaction @ params["inner"].T + params["offset"])

    def _gradients(self, params: Params, inputs: NDArray[np.float32], back: NDArray[np.float32]) -> Grads:
        a, b = inputs @ params["discrimination"].T, inputs @ params["difficulty"].T
        theta = params["theta"]
        if self.form == "mirt":
            return {
                "theta": back.T @ a,
                "discrimination": (back @ theta).T @ inputs,
                "difficulty": -back.sum(axis=1)[None] @ inputs,
            }
        a = sigmoid(a)
        interaction, hidden = self._network(params, a, b)
        on_units = back[:, :, None] * params["outer"] * (1 - hidden**2)
        on_interaction = on_units @ params["inner"]
        on_gap = on_interaction * a[:, None, :]
        on_a = np.einsum("nkd,nkd->nd", on_interaction, theta - b[:, None, :]) * a * (1 - a)
        return {
            "theta": on_gap.sum(axis=0),
            "discrimination": on_a.T @ inputs,
            "difficulty": -on_gap.sum(axis=1).T @ inputs,
            "inner": np.tensordot(on_units, interaction, axes=((0, 1), (0, 1))),
            "offset": on_units.sum(axis=(0, 1)),
            "outer": np.tensordot(back, hidden, axes=((0, 1), (0, 1))),
            "bias": back.sum(keepdims=True)[0],
        }

    def _add(self, name: str, queries: Sequence[Query], quality: FloatArray) -> AddedArm:
        inputs = with_one(self._inputs(self.vectors_([query.text for query in queries])))
        members = list(members_of(self.params_))
        trained = np.mean([self._chances(params, inputs) for params in members], axis=0)
        shared = float(self._parts(trained)[0].mean())
        n_trained = len(self.shares_)
        thetas = [self._most_probable(params, inputs, quality, n_trained) for params in members]
        ability = np.stack(thetas)[:, None, :]
        new = np.mean(
            [
                self._chances(params | {"theta": theta[None]}, inputs)
                for params, theta in zip(members, thetas, strict=True)
            ],
            axis=0,
        )
        self.params_["theta"] = np.concatenate((self.params_["theta"], ability), axis=1)
        self.means_ = np.append(self.means_, quality.mean() - self.slopes_[0] * shared)
        self.centre_ = np.append(self.centre_, new.mean() - shared)
        return self._extend(name, len(quality))

    def _most_probable(
        self, params: Params, inputs: NDArray[np.float32], quality: FloatArray, n_trained: int
    ) -> NDArray[np.float32]:
        """(latent,): theta of the greatest posterior, by full-batch Adam from the prior's mean."""
        known = params["theta"][:n_trained].astype(np.float64)
        mean = known.mean(axis=0)
        spread = np.cov(known.T, bias=True).reshape(self.latent, self.latent)
        precision = np.linalg.inv(spread + _LEAST_VARIANCE * np.eye(self.latent))
        mine = params | {"theta": mean[None].astype(np.float32)}
        adam = Adam({"theta": mine["theta"]}, 0.02)
        targets = quality[:, None].astype(np.float32)
        for _ in range(_MAP_STEPS):
            back = sigmoid(self._logits(mine, inputs)) - targets
            slope = self._gradients(mine, inputs, back)["theta"] + (mine["theta"] - mean) @ precision
            adam.step({"theta": (slope / len(quality)).astype(np.float32)})
        return np.asarray(mine["theta"][0])

    def _inputs(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self.warm_up:
            return vectors
        return np.array([self._warmed(vector) for vector in vectors], np.float32)

    def _warmed(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        cosines = self.known_ @ vector
        k = min(self.neighbours, len(cosines))
        near = np.sort(np.argpartition(-cosines, k - 1)[:k])
        share = np.float32(self.warm_up)
        return np.asarray((1 - share) * vector + share * self.known_[near].mean(axis=0))

    def _remember(self, vectors: NDArray[np.float32], draws: NDArray[np.uint64]) -> None:
        kept = np.argsort(draws, kind="stable")[:_MAX_KEPT] if self.warm_up else np.empty(0, np.intp)
        self.known_ = vectors[kept]

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays, facts = super()._state()
        return arrays | {"known": self.known_}, facts

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        super()._restore(arrays, facts)
        self.known_ = arrays.take("known", "f", (None, self.vectors_.dimensions))
        if self.warm_up and not len(self.known_):
            raise ValueError("a warm-up without known vectors")

    def _schedule(self) -> Schedule:
        if self.latent < 1 or self.alpha < 0 or self.members < 1 or self.neighbours < 1:
            raise ConfigError(
                f"irt with latent {self.latent}, alpha {self.alpha}, members {self.members}, neighbours "
                f"{self.neighbours}; alpha from 0 and the others from 1 are needed"
            )
        if self.form not in ("mirt", "nirt") or not 0 <= self.warm_up <= 1:
            raise ConfigError(
                f"irt of the form {self.form!r} with warm_up {self.warm_up}; mirt or nirt, and a share in "
                "[0, 1] are needed"
            )
        return super()._schedule()
