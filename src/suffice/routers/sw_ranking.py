"""Similarity-weighted ranking: Bradley-Terry on battles, those on similar queries weighing more.

Ong et al. (2024), RouteLLM, arXiv 2406.18665, section 4.2 (similarity-weighted ranking). A battle on query
i weighs gamma^(1 + S_i), S_i its cosine with the query over the largest one. RouteLLM fits a logistic
regression per query; here the battles' weights are added up into a table of wins, K x K, and a few
steps of Newton from the ratings over all battles fit these.

Departures: any number of models, each scored by its win rate against the others; ratings are pulled a
little to those over all battles; gamma may be chosen on queries left out; very many wide vectors are
reduced to their principal directions. Models are grouped into tiers,
as RouteLLM does in its code, only if asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.protocols import Embedder
from suffice.routers.artefact import Arrays
from suffice.routers.battles import Battles
from suffice.routers.bradley_terry import bradley_terry
from suffice.routers.pairwise import PairwiseRouter
from suffice.routers.preferring import expected_win_rates
from suffice.routers.principal import principal_directions, reduced
from suffice.routers.tiers import tiers_of
from suffice.routers.vectors import Projection, TextVectors
from suffice.routers.wins import WinCounts
from suffice.types import FloatArray, IntArray, Query

_GRID: Final = (10.0, 1e2, 1e3, 1e4, 1e6)
_MAX_LEFT_OUT: Final = 200
_TOLERANCE: Final = 1e-5
_MAX_ENTRIES: Final = 4_000_000
"""Of the queries' vectors: beyond these, which take about 2 ms a query, vectors are reduced in width."""
_LEAST_WIDTH: Final = 16


class SWRanking(PairwiseRouter):
    """Expected win rates from ratings fitted for the query at hand."""

    name = "sw_ranking"
    needs_embedder = True

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        gamma: float | None = None,
        pull: float = 4.0,
        tiers: int | None = None,
        projection: Projection = "auto",
        dimensions: int = 64,
        seed: int = 0,
    ) -> None:
        """
        Parameters
        ----------
        gamma : at least 1; 10 is RouteLLM's, None chooses from 10 to a million
        pull : to the ratings over all battles, counted in queries of the greatest weight, above 0
        tiers : groups of about equal ratings that share one, at least 1; 10 is RouteLLM's for 64 models
        projection : "lsa" learns `dimensions` directions from sparse features, "none" takes the
            embedder's own vectors, "auto" is "lsa" where the embedder has features
        seed : of the projection, and of which queries are left out
        """
        self.embedder = embedder
        self.gamma, self.pull, self.tiers = gamma, pull, tiers
        self.projection, self.dimensions, self.seed = projection, dimensions, seed

    directions_: NDArray[np.float32] | None

    def _learn(self, battles: Battles) -> tuple[IntArray, FloatArray]:
        self._check_params()
        self.vectors_, vectors = TextVectors.learn(
            battles.texts,
            self._embedder(),
            projection=self.projection,
            dimensions=self.dimensions,
            seed=self.seed,
        )
        self.directions_ = None
        width = max(_MAX_ENTRIES // len(vectors), _LEAST_WIDTH)
        if width < vectors.shape[1]:
            self.directions_ = principal_directions(vectors, width)
            vectors = reduced(vectors, self.directions_)
        tiers = tiers_of(self.ratings_, self.tiers)
        wins = WinCounts.of_battles(battles, tiers)
        self._keep(vectors, wins, tiers, self.pull * battles.per_query() / 4)
        return self._choose()

    def _choose(self) -> tuple[IntArray, FloatArray]:
        """gamma, and the rates at that gamma of the queries left out one at a time."""
        grid = _GRID if self.gamma is None else (self.gamma,)
        rows = np.arange(min(len(self.texts_vectors_), _MAX_LEFT_OUT))  # in the order of their draws
        losses, found = [], []
        for gamma in grid:
            ratings = []
            for row in rows.tolist():
                cosines = self.texts_vectors_ @ self.texts_vectors_[row]
                cosines[row] = -np.inf
                ratings.append(self._ratings(cosines, gamma))
            table = np.array(ratings)
            losses.append(self.wins_.log_loss(rows, table))
            found.append(table)
        best = int(np.argmin(losses))
        self.gamma_ = grid[best]
        return rows, expected_win_rates(found[best][:, self.tiers_])

    def _keep(self, vectors: NDArray[np.float32], wins: WinCounts, tiers: IntArray, penalty: float) -> None:
        self.texts_vectors_, self.wins_ = vectors, wins
        self.tiers_, self.penalty_ = tiers, penalty
        sizes = np.bincount(tiers)
        self.prior_ = np.bincount(tiers, weights=self.ratings_) / sizes

    def _ratings(self, cosines: NDArray[np.float32], gamma: float) -> FloatArray:
        """(T,): the tiers' ratings, a battle weighing gamma^(S - 1), at most 1.

        The factor gamma^2 that this leaves out of RouteLLM's weight changes no rating, only the pull.
        """
        largest = cosines.max()
        if not largest > 0:  # nothing is known of the query
            return self.prior_
        weights = np.exp(np.float32(np.log(gamma) / largest) * (cosines - largest))
        return bradley_terry(
            self.wins_.table(weights), penalty=self.penalty_, prior=self.prior_, tolerance=_TOLERANCE
        )

    def _win_rates(self, vectors: NDArray[np.float32]) -> FloatArray:
        ratings = [self._ratings(self.texts_vectors_ @ one, self.gamma_) for one in self._reduced(vectors)]
        return expected_win_rates(np.array(ratings)[:, self.tiers_])

    def _reduced(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return vectors if self.directions_ is None else reduced(vectors, self.directions_)

    def _evidence(self, query: Query) -> tuple[str, ...]:
        cosines = self.texts_vectors_ @ self._reduced(self.vectors_([query.text]))[0]
        return (
            *self.vectors_.evidence(query.text),
            f"{self.wins_.n_battles} battles on {len(cosines)} queries, gamma {self.gamma_:g}",
            f"largest cosine {float(cosines.max()):.3f}",
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {"vectors": self.texts_vectors_, "tiers": self.tiers_}
        if self.directions_ is not None:
            arrays["directions"] = self.directions_
        facts = {
            "slope": self.slope_,
            "gamma": self.gamma_,
            "penalty": self.penalty_,
            "n_battles": self.wins_.n_battles,
        }
        return arrays | self.wins_.state() | self._pair_state() | self.vectors_.state(), facts

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        self._restore_pairs(arrays, facts)
        self.vectors_ = TextVectors.restore(arrays, self._embedder())
        width, self.directions_ = self.vectors_.dimensions, None
        if arrays.has("directions"):
            self.directions_ = arrays.take("directions", "f", (width, None))
            width = self.directions_.shape[1]
        vectors = arrays.take("vectors", "f", (None, width))
        tiers = arrays.take("tiers", "i", (len(self.arms_),))
        n_tiers = int(tiers.max()) + 1
        if sorted(set(tiers.tolist())) != list(range(n_tiers)):
            raise ConfigError("tiers that are not numbered from 0 on")
        wins = WinCounts.restore(arrays, len(vectors), n_tiers, int(facts["n_battles"]))
        self._keep(vectors, wins, tiers, float(facts["penalty"]))
        self.gamma_ = float(facts["gamma"])

    def _check_params(self) -> None:
        if (self.gamma is not None and self.gamma < 1) or not self.pull > 0:
            raise ConfigError(
                f"sw_ranking with gamma {self.gamma}, pull {self.pull}; gamma from 1 and a pull above 0 "
                "are needed"
            )
        if self.tiers is not None and self.tiers < 1:
            raise ConfigError(f"sw_ranking with tiers {self.tiers}; at least 1 is needed")
