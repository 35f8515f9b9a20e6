"""A head that learns from battles: which of two models answers this query better, or neither.

Every model has a utility u(x), linear in the query's vector, and so has a tie. The three outcomes of a
battle have the logits (u_a - u_b) / 2, t, (u_b - u_a) / 2: Davidson (1970), On Extending the
Bradley-Terry Model to Accommodate Ties. For two models that is any three-way softmax at all, hence the
win, tie or loss classifier of RouteLLM (Ong et al., 2024, arXiv 2406.18665, section 4.2), and more models
only add utilities. Departures: a graded preference p is shared between the tie and the nearer win so that
its mean stays p; a score is the expected win rate with ties as half, where RouteLLM counts a tie for the
weak model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from suffice.outcomes import Preferences
from suffice.routers.artefact import Arrays
from suffice.routers.bradley_terry import bradley_terry, win_table
from suffice.routers.heads import Head, as_numpy, linear, start_at
from suffice.routers.losses import Loss
from suffice.routers.tuning import Rows
from suffice.types import FloatArray

_TRUST: Final = tuple(step / 16 for step in range(21))
"""How far differences between queries are followed; the best on battles held out is taken."""
_BLOCK: Final = 64
_RIDGE: Final = 1.0


class PairHead(Head):
    """K utilities and the tie's, over texts that each have some battles."""

    kind = "pairs"

    def __init__(self, width: int, n_arms: int) -> None:
        self.module = linear(width, n_arms + 1)
        self.typical: FloatArray = np.zeros(n_arms + 1)
        """Mean utilities, and the tie's, over the training texts."""
        self.trust = 0.0

    def teach(self, battles: Preferences, texts: Mapping[str, int], device: Any) -> None:
        """Take battles; `texts` says which row of the encoder's input each belongs to."""
        import torch

        place = {model: k for k, model in enumerate(battles.models)}
        of_text = np.array([texts[text] for text in battles.query])
        order = np.argsort(of_text, kind="stable")
        first = np.array([place[model] for model in battles.model_a])[order]
        second = np.array([place[model] for model in battles.model_b])[order]
        prefs = battles.pref_b[order]
        self.starts = np.searchsorted(of_text[order], np.arange(len(texts) + 1))
        self.pairs_ = torch.from_numpy(np.stack((first, second), axis=1)).to(device)
        self.targets_ = torch.tensor(three_ways(prefs), dtype=torch.float32, device=device)
        self.module.to(device)
        ratings = bradley_terry(win_table(first, second, prefs, len(place)), penalty=_RIDGE)
        share = float(np.clip(self.targets_[:, 1].mean().item(), 0.02, 0.9))
        start_at(self.module, np.append(ratings, np.log(2 * share / (1 - share))))
        self.typical = as_numpy(self.module.bias)

    def loss(self, states: Any, rows: Rows) -> Any:
        return self._loss(self.module(states), rows, self.criterion)

    def _loss(self, outputs: Any, rows: Rows, criterion: Loss) -> Any:
        """Mean over the battles of these texts."""
        import torch

        counts = self.starts[rows + 1] - self.starts[rows]
        battles = np.concatenate([np.arange(self.starts[row], self.starts[row + 1]) for row in rows])
        own = outputs[np.repeat(np.arange(len(rows)), counts)]
        pairs, targets = self.pairs_[battles], self.targets_[battles]
        gap = (own.gather(1, pairs[:, 1:]) - own.gather(1, pairs[:, :1])) / 2
        logits = torch.cat((-gap, own[:, -1:], gap), dim=1)
        return criterion(logits.log_softmax(dim=1), targets).mean()

    def calibrate(self, states: Any, rows: Rows, train_states: Any) -> None:
        if not len(rows):
            return
        import torch

        with torch.no_grad():
            centre = self.module(train_states).mean(dim=0)
            moved = self.module(states) - centre
            losses = [float(self._loss(centre + trust * moved, rows, Loss())) for trust in _TRUST]
        self.typical = as_numpy(centre)
        self.trust = _TRUST[int(np.argmin(losses))]

    def scores(self, states: Any) -> FloatArray:
        outputs = self.typical + self.trust * (as_numpy(self.module(states)) - self.typical)
        blocks = [win_rates(outputs[i : i + _BLOCK]) for i in range(0, len(outputs), _BLOCK)]
        return np.concatenate(blocks)

    def facts(self) -> dict[str, Any]:
        return {"typical": self.typical.tolist(), "trust": self.trust}

    def recall(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._recall_module(arrays)
        typical = np.array(facts["typical"], np.float64)
        if typical.shape != self.typical.shape:
            raise ValueError(f"{len(typical)} utilities, not {len(self.typical)}")
        self.typical, self.trust = typical, float(facts["trust"])

    def summary(self) -> str:
        return f"differences between queries are followed {self.trust:.2f} times"


def three_ways(pref_b: FloatArray) -> FloatArray:
    """(n, 3): chances of a, a tie and b whose mean, a tie as half, is the preference (n,).

    Examples
    --------
    >>> three_ways(np.array([0.0, 0.5, 0.75])).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5]]
    """
    tie = 1 - np.abs(2 * pref_b - 1)
    return np.stack((np.maximum(1 - 2 * pref_b, 0), tie, np.maximum(2 * pref_b - 1, 0)), axis=1)


def win_rates(outputs: FloatArray) -> FloatArray:
    """(n, K): every model's chance against the others in the mean, a tie as half.

    Parameters
    ----------
    outputs : shape (n, K + 1): utilities, then the logit of a tie
    """
    utilities, tie = outputs[:, :-1], outputs[:, -1]
    half = (utilities[:, :, None] - utilities[:, None, :]) / 2  # of the row's model over the column's
    top = np.maximum(np.abs(half), tie[:, None, None])
    win, loss, draw = np.exp(half - top), np.exp(-half - top), np.exp(tie[:, None, None] - top)
    chance = (win + draw / 2) / (win + loss + draw)
    return np.asarray((chance.sum(axis=2) - 0.5) / max(utilities.shape[1] - 1, 1))
