"""A short draft from memory, and how sure its tokens are: what is not is looked up before it is answered.

References
----------
TARG (2025), Training-Free Adaptive Retrieval Gating: a draft of 20 tokens, the mean over its tokens of
exp(-margin) or their entropy, and a threshold at the share of look-ups that may be spent. The draft is thrown
away: one call more for every query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from suffice.cascades import Move, Seen, accept
from suffice.errors import ConfigError
from suffice.gating.confidence_probe import ConfidenceProbe
from suffice.types import FloatArray, Query


class PrefixMargin(ConfidenceProbe):
    """`confidence_probe` on a draft."""

    name = "prefix_margin"

    def __init__(
        self,
        *,
        uncertainty: Literal["margin", "entropy"] = "margin",
        n_tokens: int = 20,
        threshold: float | None = None,
        share: float | None = None,
        n_cuts: int = 200,
    ) -> None:
        """
        Parameters
        ----------
        uncertainty : what is read of the draft; recordings have it as `prefix_margin`, `prefix_entropy`
        n_tokens : of the draft, at least 1
        threshold, share, n_cuts : as of `ConfidenceProbe`

        Raises
        ------
        ConfigError
            If one is out of range.
        """
        if uncertainty not in ("margin", "entropy") or n_tokens < 1:
            raise ConfigError(f"prefix_margin with uncertainty {uncertainty!r} and {n_tokens} tokens")
        signal = f"prefix_{uncertainty}"
        super().__init__(signal=signal, n_cuts=n_cuts, threshold=threshold, share=share)
        self.uncertainty, self.n_tokens = uncertainty, n_tokens
        self.draft_tokens = n_tokens

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        """The draft, then one strategy."""
        if len(seen) > 1:
            return accept(len(seen) - 1, "the strategy was chosen before")
        return super().next(query, scores, costs_usd, seen)

    def _params(self) -> Mapping[str, Any]:
        return {"uncertainty": self.uncertainty, "n_tokens": self.n_tokens, "n_cuts": self.n_cuts}
