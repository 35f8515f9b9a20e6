"""Always the same arm: what a gateway without routing does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suffice.errors import UnknownModel
from suffice.outcomes import Outcomes
from suffice.routers.constant import ConstantRouter
from suffice.types import Candidate, FloatArray


class Fixed(ConstantRouter):
    """Scores the named arm 1 and the others 0."""

    name = "fixed"

    def __init__(self, *, model: str = "") -> None:
        """
        Parameters
        ----------
        model : the arm; empty takes the first one
        """
        self.model = model

    def _of_outcomes(self, outcomes: Outcomes) -> tuple[FloatArray, str]:
        return self._of_names(outcomes.arms)

    def _of_candidates(self, candidates: Sequence[Candidate]) -> tuple[FloatArray, str]:
        return self._of_names([candidate.name for candidate in candidates])

    def _of_names(self, names: Sequence[str]) -> tuple[FloatArray, str]:
        chosen = self.model or names[0]
        if chosen not in names:
            raise UnknownModel(chosen, names)
        return np.array([name == chosen for name in names], np.float64), f"always {chosen}, as configured"
