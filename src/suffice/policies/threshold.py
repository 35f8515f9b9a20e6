"""A cut on the gain: the strong plan where it is expected to do better by enough."""

from __future__ import annotations

import numpy as np

from suffice.errors import ConfigError
from suffice.policies.base import best_of, check_number, chosen, first_names, ranked
from suffice.protocols import PolicyContext
from suffice.types import Choice, FloatArray


class Threshold:
    """Strong where score(strong) - score(weak) >= threshold, else weak.

    Ong et al. (2024), RouteLLM, section 2, whose win rate of the strong model stands for the gain:
    win rate w is gain 2w - 1, so `win_rate=True` takes thresholds in RouteLLM's range.

    Without `strong` and `weak` any number of plans is allowed: the cheapest plan whose score lies
    less than the threshold below the best score, else the best. With two plans, of which the better
    is the dearer, that is the same rule.
    """

    def __init__(
        self, *, threshold: float, strong: str | None = None, weak: str | None = None, win_rate: bool = False
    ) -> None:
        """
        Parameters
        ----------
        threshold : a gain in [-1, 1], or a win rate in [0, 1]
        strong, weak : names of plans, both or neither; other plans rank behind them, by score
        """
        threshold = check_number("threshold", threshold, 0 if win_rate else -1, 1)
        if (strong is None) != (weak is None) or (strong is not None and strong == weak):
            raise ConfigError(
                f"threshold with strong {strong!r} and weak {weak!r}; two plans, or neither, are needed"
            )
        self.threshold, self.win_rate = threshold, win_rate
        self.strong, self.weak = strong, weak
        self._least_gain = 2 * threshold - 1 if win_rate else threshold

    def choose(
        self, scores: FloatArray, costs: FloatArray, latencies: FloatArray, context: PolicyContext
    ) -> Choice:
        """All (n, P); latencies play no part. An unknown score gains nothing and is last.

        Raises
        ------
        ConfigError
            If `strong` or `weak` is not among the plans.
        """
        if self.strong is None or self.weak is None:
            return self._choose_cheapest(scores, costs, context)
        strong, weak = (_place(context, name) for name in (self.strong, self.weak))
        gain = scores[:, strong] - scores[:, weak]
        takes_strong = ~(gain < self._least_gain)  # unknown: the strong one is safe
        order = np.full(scores.shape, 2.0)
        order[:, strong] = np.where(takes_strong, 0, 1)
        order[:, weak] = np.where(takes_strong, 1, 0)
        ranking = ranked(context, scores.shape, order, -scores, costs)
        names = first_names(context, ranking)
        sign = ("below", "at least")
        return chosen(
            ranking,
            [
                f"{name}: {self.strong} gains {g:+.3f} on {self.weak}, {sign[g >= self._least_gain]} "
                f"{self._least_gain:g}"
                for name, g in zip(names, gain.tolist(), strict=True)
            ],
        )

    def _choose_cheapest(self, scores: FloatArray, costs: FloatArray, context: PolicyContext) -> Choice:
        best = best_of(context, scores)
        gap = np.where(np.isnan(scores), np.inf, best - scores)
        is_far = ~(gap < self._least_gain)
        ranking = ranked(context, scores.shape, is_far, np.where(is_far, 0.0, costs), gap, costs)
        gaps = gap[np.arange(len(ranking)), ranking[:, 0]].tolist()
        names = first_names(context, ranking)
        return chosen(
            ranking,
            [
                f"{name} is the cheapest less than {self._least_gain:g} below the best score ({g:.3f} below)"
                if g < self._least_gain
                else f"{name} has the highest score"
                for name, g in zip(names, gaps, strict=True)
            ],
        )


def _place(context: PolicyContext, name: str) -> int:
    if name not in context.arms:
        raise ConfigError(f"the threshold policy's plan {name!r} is not among {', '.join(context.arms)}")
    return context.arms.index(name)
