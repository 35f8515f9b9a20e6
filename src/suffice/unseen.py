"""Candidates that the router never saw: what is expected of them until they have data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec
import numpy as np

from suffice.protocols import CostModel
from suffice.types import Candidate, FloatArray, Query


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    """Candidates with a prior: a score that holds for every query, and a cost by list price."""

    candidates: tuple[Candidate, ...]
    scores: tuple[float, ...]
    costs: CostModel
    reason: str
    """Who was scored so, and from what."""

    @classmethod
    def of(
        cls, unseen: Sequence[Candidate], panel: Sequence[Candidate], mean_quality: Mapping[str, float]
    ) -> Self | None:
        """Those of `unseen` of which something can be said; None: of none.

        Parameters
        ----------
        panel : all candidates
        mean_quality : by name, of those that were trained on
        """
        if not unseen:
            return None
        from suffice.routers.costs import prior_cost_model
        from suffice.routers.prior import prior_scores

        names = {candidate.name for candidate in unseen}
        found, basis = prior_scores(panel, {n: q for n, q in mean_quality.items() if n not in names})
        known = {name: score for name, score in found.items() if name in names and score is not None}
        if not known:
            return None
        chosen = tuple(candidate for candidate in unseen if candidate.name in known)
        return cls(
            candidates=chosen,
            scores=tuple(known[candidate.name] for candidate in chosen),
            costs=prior_cost_model([c.name for c in chosen], {c.name: c.price for c in chosen}),
            reason=f"{', '.join(c.name for c in chosen)} scored by prior ({basis})",
        )

    def beside(
        self, query: Query, scores: FloatArray, costs: FloatArray, latencies: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Scores, costs and latencies (1, P) of those that were seen, and then of these."""
        unknown = np.full((1, len(self.scores)), np.nan)
        return (
            np.hstack((scores, np.array([self.scores]))),
            np.hstack((costs, self.costs.costs([query]))),
            np.hstack((latencies, unknown)),
        )
